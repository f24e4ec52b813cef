"""Draw plain plates: a few smooth roots on an even ground, nothing else.

python scripts/draw_plain.py out/plain --count 12

Grown plates are full of life, and pages teach that strokes are no roots; these keep a net from
thinking that a plain root on a plain ground is a stroke.
"""

from __future__ import annotations

import math
from pathlib import Path

import command_line
import cv2
import numpy as np
import pandas as pd
from draw_pages import command
from numpy.typing import NDArray

from roottip import table

SIDE = 500
"""px"""

EDGE = 8
"""px from the border within which nobody can say whether a root goes on."""

APART = 4
"""px between an end and another root's edge: nearer, the two are one thing."""

FINE = 4
"""Fractions of a pixel that OpenCV draws to, as a power of 2."""

Points = NDArray[np.float64]


def draw_plain(folder: Path, count: int, seed: int) -> None:
    """Write a dataset folder of plain plates, of one group."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = [f"plain_{number:04d}.png" for number in range(count)]
    rows = []
    for number, name in enumerate(names):
        image, tips, hidden = plate(np.random.default_rng((seed, number)))
        cv2.imwrite(str(folder / "images" / name), image)
        for points, ignore in ((tips, 0), (hidden, 1)):
            rows += [{"image": name, "x": x, "y": y, "ignore": ignore} for x, y in points]
    table.write(pd.DataFrame(rows, columns=["image", "x", "y", "ignore"]), folder / "tips.csv")
    images = pd.DataFrame({"image": names, "split": "train", "group": "plain"})
    table.write(images, folder / "images.csv")  # last: it says that the dataset is whole


def plate(rng: np.random.Generator) -> tuple[NDArray[np.uint8], Points, Points]:
    """A picture, its tips, and ends near the border or on another root, (N, 2) px each.

    Main roots come from the border, some have a lateral.
    """
    dark, bright = rng.uniform(5, 110, 3), rng.uniform(120, 250, 3)
    if rng.random() < 0.5:
        dark, bright = np.full(3, dark[0]), np.full(3, bright[0])
    ground, root = (bright, dark) if rng.random() < 0.2 else (dark, bright)
    image = np.full((SIDE, SIDE, 3), ground)
    width = int(rng.integers(3, 10))
    roots: list[tuple[Points, int]] = []
    for _ in range(rng.integers(1, 5)):
        start = np.array([rng.uniform(30, SIDE - 30), -10.0])
        main_root = path(rng, start, rng.uniform(-0.4, 0.4), rng.uniform(120, 450))
        stroke(image, main_root, width, root)
        roots.append((main_root, width))
        if rng.random() < 0.5:
            where = int(rng.integers(len(main_root) // 3, len(main_root) - len(main_root) // 4))
            turned = rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.4)
            lateral = path(rng, main_root[where], turned, rng.uniform(40, 150))
            roots.append((lateral, max(2, round(0.8 * width))))
            stroke(image, *roots[-1], root)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    image = image + rng.normal(0, rng.uniform(0.5, 6), image.shape)
    turn = int(rng.integers(4))
    whole = np.rot90(np.clip(image, 0, 255).astype(np.uint8), turn).copy()
    ends = np.array([end(*own) for own in roots])
    shown = ((ends >= 0) & (ends < SIDE)).all(axis=1)
    clear = ((ends > EDGE) & (ends < SIDE - 1 - EDGE)).all(axis=1)
    for number, point in enumerate(ends):
        others = [
            np.linalg.norm(points - point, axis=1).min() < own / 2 + APART
            for other, (points, own) in enumerate(roots)
            if other != number
        ]
        clear[number] &= not any(others)
    return whole, turned_back(ends[clear], turn), turned_back(ends[shown & ~clear], turn)


def end(points: Points, width: int) -> Points:
    """The very end of a root, (2,) px: its last point is the middle of a round cap."""
    ahead = points[-1] - points[-2]
    return points[-1] + ahead / np.linalg.norm(ahead) * width / 2


def path(rng: np.random.Generator, start: Points, bearing: float, length: float) -> Points:
    """Downwards from a point, bending slowly: (N, 2) px, one apart."""
    steps = int(length)
    bend = rng.choice([0.0, rng.uniform(-0.006, 0.006)])
    angle = math.pi / 2 - bearing + bend * np.arange(steps)
    return np.concatenate(
        [start[None], start + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1), axis=0)]
    )


def stroke(image: NDArray[np.float64], points: Points, width: int, colour: Points) -> None:
    """Draw a root into the image."""
    fine = np.round(points * 2**FINE).astype(np.int32)
    layer = np.zeros(image.shape[:2], np.uint8)
    cv2.polylines(layer, [fine], False, 255, width, cv2.LINE_AA, FINE)
    share = layer[..., None] / 255.0
    image[:] = image * (1 - share) + colour * share


def turned_back(points: Points, turns: int) -> Points:
    """Where points of a square picture are after so many quarter turns to the left."""
    for _ in range(turns):
        points = np.stack([points[:, 1], SIDE - 1 - points[:, 0]], axis=1)
    return points


def main() -> None:
    command(__doc__, draw_plain)


if __name__ == "__main__":
    command_line.run(main)
