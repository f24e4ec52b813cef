"""Plates with known answers: roots drawn so that every tip is known exactly.

A plain generator for the shipped sample and the tests: main roots that wander downwards,
laterals, root hairs, dirt blotches and sensor noise on coloured backgrounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip import table
from roottip.windows import Image

_SHIFT = 4  # cv2 draws in fixed point with this many binary digits after the point
_FINE = 2  # drawn this much larger and averaged down, for edges with partial coverage


@dataclass(frozen=True)
class Plate:
    """Settings of one drawn plate.

    Attributes
    ----------
    height, width : int
        px
    roots : int
        Main roots; 0 draws a plate without any.
    laterals : int
        Lateral roots on each main root, at most.
    root_width : float
        Of a main root where it starts, px; laterals have 0.7 of it, and all taper to 0.6
        of their width at the tip.
    hairs : int
        Root hairs on each root.
    dirt : int
        Blotches.
    background, foreground : (int, int, int)
        RGB of the paper and of a root.
    noise : float
        Standard deviation of the sensor noise, grey levels.
    """

    height: int = 480
    width: int = 400
    roots: int = 2
    laterals: int = 6
    root_width: float = 5.0
    hairs: int = 60
    dirt: int = 6
    background: tuple[int, int, int] = (45, 60, 160)
    foreground: tuple[int, int, int] = (215, 215, 225)
    noise: float = 4.0


def draw_plate(plate: Plate, seed: int) -> tuple[Image, pd.DataFrame]:
    """Draw a plate.

    Parameters
    ----------
    plate : Plate
    seed : int
        The same plate and seed give the same pixels.

    Returns
    -------
    image : (H, W, 3) uint8
        RGB.
    tips : DataFrame
        ``x, y`` of each visible end (px, the centre of the top-left pixel is (0, 0)),
        ``ignore`` 1 where it lies on another root or outside the plate, ``root_order``
        0 for main roots and 1 for laterals.
    """
    rng = np.random.default_rng(seed)
    roots = _grow(plate, rng)
    shape = (plate.height * _FINE, plate.width * _FINE)
    cover = np.zeros(shape, dtype=np.uint8)
    for line, width, _ in roots:
        _draw_hairs(cover, line, width, plate.hairs, rng)
    strength = rng.integers(170, 256, len(roots))
    for (line, width, _), value in zip(roots, strength, strict=True):
        _draw_root(cover, line, width, int(value))
    for _ in range(plate.dirt):
        _draw_blotch(cover, rng)
    alpha = cv2.resize(cover, (plate.width, plate.height), interpolation=cv2.INTER_AREA)
    image = _photograph(alpha, plate, rng)
    return image, _tips(roots, plate)


Line = NDArray[np.float64]
Root = tuple[Line, float, int]


def _grow(plate: Plate, rng: np.random.Generator) -> list[Root]:
    grown: list[Root] = []
    for i in range(plate.roots):
        # from above the picture: a root has one free end only
        start = np.array([plate.width * (i + rng.uniform(0.3, 0.7)) / plate.roots, -8.0])
        length = plate.height * rng.uniform(0.55, 0.85)
        main = _wander(start, np.pi / 2 + rng.normal(0, 0.15), length, 0.02, rng)
        grown.append((main, plate.root_width, 0))
        for _ in range(rng.integers(0, plate.laterals + 1)):
            at = int(len(main) * rng.uniform(0.1, 0.75))
            side = rng.choice([-1, 1])
            direction = np.pi / 2 + side * rng.uniform(0.7, 1.4)
            lateral = _wander(main[at], direction, rng.uniform(30, 110), 0.04, rng)
            grown.append((lateral, plate.root_width * 0.7, 1))
    return grown


def _wander(
    start: Line, direction: float, length: float, bend: float, rng: np.random.Generator
) -> Line:
    """A line of 2 px steps whose direction does a random walk."""
    steps = max(2, int(length / 2))
    angle = direction + np.cumsum(rng.normal(0, bend, steps))
    path = np.cumsum(2 * np.stack([np.cos(angle), np.sin(angle)], axis=1), axis=0)
    return np.concatenate([start[None], start + path])


def _fixed(xy: Line) -> NDArray[np.int32]:
    """Pixels of the plate to cv2's fixed-point pixels of the enlarged drawing."""
    enlarged = (xy + 0.5) * _FINE - 0.5
    return np.asarray(np.round(enlarged * 2**_SHIFT), dtype=np.int32)


def _draw_root(cover: Image, line: Line, width: float, value: int) -> None:
    """Overlapping discs: exact round ends, and a width that may change along the line."""
    dense = np.concatenate([np.linspace(a, b, 4, endpoint=False) for a, b in pairwise(line)])
    dense = np.concatenate([dense, line[-1:]])
    radius = width / 2 * np.linspace(1, 0.6, len(dense)) * _FINE
    for centre, r in zip(_fixed(dense), radius, strict=True):
        cv2.circle(cover, centre.tolist(), round(r * 2**_SHIFT), value, -1, cv2.LINE_AA, _SHIFT)


def _draw_hairs(
    cover: Image, line: Line, width: float, count: int, rng: np.random.Generator
) -> None:
    for at in rng.integers(0, max(1, int(len(line) * 0.8)), count):
        angle = rng.uniform(0, 2 * np.pi)
        end = line[at] + rng.uniform(1, 3) * width * np.array([np.cos(angle), np.sin(angle)])
        a, b = _fixed(np.stack([line[at], end])).tolist()
        cv2.line(cover, a, b, int(rng.integers(30, 90)), 1, cv2.LINE_AA, _SHIFT)


def _draw_blotch(cover: Image, rng: np.random.Generator) -> None:
    """A few overlapping discs of dirt or paper residue."""
    centre = rng.uniform((0, 0), cover.shape[::-1])
    value = int(rng.integers(40, 200))
    for _ in range(rng.integers(1, 6)):
        place = np.round(centre + rng.normal(0, 4 * _FINE, 2)).astype(int).tolist()
        cv2.circle(cover, place, int(rng.integers(1, 4 * _FINE)), value, -1, cv2.LINE_AA)


def _photograph(alpha: cv2.typing.MatLike, plate: Plate, rng: np.random.Generator) -> Image:
    """Blend the roots over uneven, grainy paper, defocus a little and add sensor noise."""
    y, x = np.mgrid[: plate.height, : plate.width] / max(plate.height, plate.width)
    light = 1 + 0.2 * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y)
    grain = cv2.GaussianBlur(rng.normal(size=(plate.height, plate.width)), (0, 0), 1.5)
    paper = np.asarray(plate.background) * (light + 0.06 * grain)[..., None]
    opacity = alpha[..., None] / 255
    scene = paper * (1 - opacity) + np.asarray(plate.foreground) * light[..., None] * opacity
    blurred = cv2.GaussianBlur(scene, (0, 0), 0.7)
    noisy = blurred + rng.normal(0, plate.noise, scene.shape)
    return np.asarray(np.clip(np.round(noisy), 0, 255), dtype=np.uint8)


def _tips(roots: list[Root], plate: Plate) -> pd.DataFrame:
    rows = []
    for n, (line, width, order) in enumerate(roots):
        ahead = (line[-1] - line[-2]) / np.linalg.norm(line[-1] - line[-2])
        end = line[-1] + 0.6 * width / 2 * ahead  # the disc at the end reaches this far
        inside = (end > 2).all() and (end < (plate.width - 3, plate.height - 3)).all()
        covered = any(
            np.linalg.norm(other - end, axis=1).min() < other_width
            for m, (other, other_width, _) in enumerate(roots)
            if m != n
        )
        rows.append((*end, int(covered or not inside), order))
    frame = pd.DataFrame(rows, columns=["x", "y", "ignore", "root_order"])
    return frame.astype({"x": float, "y": float, "ignore": int, "root_order": int})


def sample_plates() -> list[Plate]:
    """The twelve plates of ``data/sample``: backgrounds, widths and one without any root."""
    colours = [
        ((45, 60, 160), (215, 215, 225)),
        ((35, 35, 38), (205, 205, 195)),
        ((130, 130, 132), (225, 225, 220)),
        ((222, 222, 216), (120, 95, 70)),
    ]
    plates = [
        Plate(
            roots=1 + n % 3,
            laterals=4 + 2 * (n % 4),
            root_width=4.0 + n % 3,
            hairs=20 * (n % 5),
            dirt=3 * (n % 4),
            background=colours[n % 4][0],
            foreground=colours[n % 4][1],
        )
        for n in range(11)
    ]
    return [*plates, Plate(roots=0, dirt=10)]


def random_plates(count: int, seed: int) -> list[Plate]:
    """Plates of every background, to train with.

    Paper, gel and film of any colour; roots brighter or darker than the ground by 25 to 150
    grey levels, 3 to 10 px wide; none to dense hairs, none to much dirt; one plate in ten has
    no root at all.
    """
    rng = np.random.default_rng(seed)
    plates = []
    for _ in range(count):
        ground = rng.integers(15, 241, 3)
        if rng.random() < 0.5:  # half of all grounds are nearly grey
            ground = np.clip(ground.mean() + rng.normal(0, 6, 3), 10, 245).astype(int)
        side = 1 if ground.mean() < rng.uniform(60, 200) else -1
        root = np.clip(ground + side * rng.uniform(25, 150) + rng.normal(0, 8, 3), 0, 255)
        plates.append(
            Plate(
                height=720,
                width=720,
                roots=0 if rng.random() < 0.1 else int(rng.integers(1, 6)),
                laterals=int(rng.integers(0, 16)),
                root_width=float(rng.uniform(3, 10)),
                hairs=int(rng.choice([0, 50, 150, 400])),
                dirt=int(rng.integers(0, 40)),
                background=(int(ground[0]), int(ground[1]), int(ground[2])),
                foreground=(int(root[0]), int(root[1]), int(root[2])),
                noise=float(rng.uniform(1, 9)),
            )
        )
    return plates


def write_dataset(plates: list[Plate], seed: int, folder: Path, split: str = "val") -> None:
    """Write drawn plates as a dataset folder: ``images/``, ``tips.csv``, ``images.csv``.

    Every plate is a group of its own. Plate n is drawn from
    ``seed + n``.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    tips, rows = [], []
    for n, plate in enumerate(plates):
        image, truth = draw_plate(plate, seed + n)
        name = f"plate_{n + 1:02d}.jpg"
        cv2.imwrite(str(folder / "images" / name), image[..., ::-1])
        truth.insert(0, "image", name)
        tips.append(truth)
        rows.append(
            {
                "image": name,
                "split": split,
                "width": plate.width,
                "height": plate.height,
                "group": f"plate_{n + 1:02d}",
            }
        )
    table.write(pd.concat(tips, ignore_index=True).round(2), folder / "tips.csv")
    table.write(pd.DataFrame(rows), folder / "images.csv")
