"""One picture of a plate: roots, clutter and camera put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip.synth import ground
from roottip.synth.clutter import scatter
from roottip.synth.growth import Line, Root, beside, directions, grow, on_day
from roottip.synth.plate import Plate, stream
from roottip.synth.roots import Plane, Stroke, draw_hairs, draw_roots, fixed, strokes
from roottip.synth.shapes import SHIFT
from roottip.synth.truth import Scene, find_distractors, find_tips
from roottip.windows import Image

_IDS = 100_000  # root ids of the second plant begin after this many, and so on
_BAND = 64  # rows painted together: what is made in between stays in the processor's cache


@dataclass(frozen=True)
class Picture:
    """A drawn plate and what is known of it.

    Attributes
    ----------
    image : (H, W, 3) uint8
        RGB, before it is compressed as a JPEG.
    tips : DataFrame
        ``x, y, ignore, root_order, cause, root_id, plant, length, width``, a row for each root:
        its visible end in px; see `roottip.synth.truth`.
    distractors : DataFrame
        ``x, y, cause``: what looks like a tip and is none.
    strokes : list of Stroke
        The roots as they were drawn.
    """

    image: Image
    tips: pd.DataFrame
    distractors: pd.DataFrame
    strokes: list[Stroke]


def draw(plate: Plate, seed: int) -> Picture:
    """Grow and draw one plate.

    Parameters
    ----------
    plate : Plate
    seed : int
        The same plate and seed give the same pixels.
    """
    return picture(plate, plant(plate, seed, plate.day), seed)


def plant(plate: Plate, seed: int, last: float) -> list[Root]:
    """All roots of a plate until the last day, mm from the picture's upper left corner.

    Pairs of roots that end beside each other are added; they are roots of their own.
    """
    roots: list[Root] = []
    wide, high = plate.width / plate.px_per_mm, plate.height / plate.px_per_mm
    for number, (x, y) in enumerate(_sown(plate, seed)):
        rng = stream(seed, "grow", number)
        grown = grow(
            plate.species, last, int(rng.integers(1, 2**31)), 1.6 * wide, high - y + 10, number
        )
        missing = {root.id for root in grown if root.order and rng.random() > plate.laterals}
        for root in grown:  # parents come before their laterals
            if root.parent in missing:
                missing.add(root.id)
        grown = [root for root in grown if root.id not in missing]
        young = on_day(grown, plate.day)
        long = [root for root in young if len(root.line) > 20]
        new = max((root.id for root in grown), default=0) + 1
        for _ in range(rng.poisson(plate.pairs) if long else 0):
            whole = long[rng.integers(len(long))]
            root = next(root for root in grown if root.id == whole.id)
            gap = rng.uniform(2, max(2.0, plate.pair_gap)) / plate.px_per_mm
            shorter = rng.choice([0, rng.uniform(0, 6)])
            together = rng.uniform(0, 0.9)
            grown.append(beside(root, gap * rng.choice([-1, 1]), together, shorter, new))
            new += 1
        roots += [
            replace(
                root,
                id=root.id + _IDS * number,
                parent=root.parent + _IDS * number if root.parent >= 0 else -1,
                line=root.line + np.array((x, y)),
            )
            for root in grown
        ]
    return roots


def _seen(roots: Sequence[Root], plate: Plate) -> list[Root]:
    """The roots of which some part is in the picture, and those they grow from."""
    keep: set[int] = set()
    size = np.array((plate.width, plate.height)) / plate.px_per_mm
    for root in reversed(roots):  # parents come before their laterals
        inside = ((root.line > 0) & (root.line < size)).all(axis=1)
        if root.id in keep or inside.any():
            keep |= {root.id, root.parent}
    return [root for root in roots if root.id in keep]


def _sown(plate: Plate, seed: int) -> Line:
    """Where the seeds are, mm."""
    rng = stream(seed, "sown")
    wide = plate.width / plate.px_per_mm
    jitter = rng.uniform(-0.3, 0.3, plate.plants)
    x = wide * (np.arange(plate.plants) + 0.5 + jitter) / max(plate.plants, 1)
    y = plate.top + rng.uniform(-1.5, 1.5, plate.plants)
    return np.stack([x, y], axis=1).reshape(-1, 2)


def picture(plate: Plate, roots: Sequence[Root], seed: int) -> Picture:
    """Draw roots as they are on the plate's day.

    Parameters
    ----------
    plate : Plate
    roots : sequence of Root
        As from `plant`, of this or a later day.
    seed : int
    """
    thickest = max((root.radius for root in roots), default=1.0)
    today = _seen(on_day(roots, plate.day), plate)
    drawn = strokes(plate, today, thickest, seed)
    source = float(stream(seed, "light").uniform(0, 2 * np.pi))
    layers = draw_roots(plate, drawn, source)
    hairs = draw_hairs(plate, drawn, seed)
    sown = _sown(plate, seed) * plate.px_per_mm - 0.5
    clutter = scatter(plate, seed, sown)
    water = ground.film(plate, seed)

    scene = ground.paper(plate, seed)
    shade = _shadow(layers, plate, source)
    bands = [slice(top, top + _BAND) for top in range(0, plate.height, _BAND)]
    for rows in bands:
        part = scene[:, rows]
        if shade is not None:
            part *= shade[rows]
        _cover(part, hairs.opacity[rows], plate.root)
        for opacity, tone in layers:
            clear = 1 - opacity[rows]
            for plane, value in zip(part, plate.root, strict=True):
                plane *= clear
                plane += tone[rows] * np.float32(value)
    _caps(scene, drawn, plate)
    shine = _gloss(drawn, plate, seed)
    for rows in bands:
        part = scene[:, rows]
        if shine is not None:
            _cover(part, shine[rows] * np.float32(1 / 255), (250, 250, 250))
        if water is not None:
            _cover(part, water[rows], [0.75 * value + 25 for value in plate.paper])
        paint = clutter.paint[rows]
        clear = 1 - paint[..., 3] * np.float32(1 / 255)
        for channel, plane in enumerate(part):
            plane *= clear
            plane += paint[..., channel]
    known = Scene(plate, drawn, hairs, clutter, water)
    image = _photograph(scene, plate, seed)
    tips = find_tips(known)
    return Picture(image, tips, find_distractors(known, tips), drawn)


def _cover(part: Plane, opacity: Plane, colour: Sequence[float]) -> None:
    """Lay a colour over some rows, (3, h, W), in place."""
    for plane, value in zip(part, colour, strict=True):
        plane += opacity * (np.float32(value) - plane)


def _shadow(layers: Any, plate: Plate, source: float) -> Plane | None:
    """What the roots' shadow leaves of the light, (H, W); None without any."""
    if plate.shadow <= 0 or not layers:
        return None
    small = (plate.width // 4 + 1, plate.height // 4 + 1)
    union = layers[0][0]
    for opacity, _ in layers[1:]:
        union = np.maximum(union, opacity)
    coarse = cv2.resize(union, small, interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), 0.4 + plate.root_width / 8)
    way = -plate.root_width / 8 * np.array([np.cos(source), np.sin(source)])
    shift = np.array([[1, 0, way[0]], [0, 1, way[1]]])
    moved = cv2.warpAffine(coarse, shift, small)
    wide = cv2.resize(moved, (plate.width, plate.height))
    return np.asarray(1 - np.float32(plate.shadow) * wide, dtype=np.float32)


def _caps(scene: Plane, drawn: Sequence[Stroke], plate: Plate) -> None:
    """Yellow the root caps: what covers a tip lets less blue through."""
    if plate.cap <= 0:
        return
    for stroke in drawn:
        reach = 1.6 * stroke.width + 1
        x, y = stroke.line[-1]
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        part = scene[:, top : max(0, int(y + reach) + 1), left : max(0, int(x + reach) + 1)]
        if not part.size:
            continue
        rows, columns = np.mgrid[top : top + part.shape[1], left : left + part.shape[2]]
        far = np.hypot(columns - x, rows - y) / reach
        weight = plate.cap * np.clip(1.3 - 1.3 * far, 0, 1)
        # only where there is root: paper keeps its colour
        paper, root = np.array(plate.paper), np.array(plate.root)
        share = np.abs(part.mean(axis=0) - paper.mean()) / max(1, abs(root.mean() - paper.mean()))
        weight *= np.clip(share, 0, 1) ** 2
        part[0] *= 1 - 0.06 * weight
        part[1] *= 1 - 0.1 * weight
        part[2] *= 1 - 0.5 * weight


def _gloss(drawn: Sequence[Stroke], plate: Plate, seed: int) -> NDArray[np.uint8] | None:
    """Short wet highlights along the roots, (H, W); None without any."""
    if plate.gloss <= 0:
        return None
    shine = np.zeros((plate.height, plate.width), dtype=np.uint8)
    for stroke in drawn:
        rng = stream(seed, "gloss", stroke.root.plant, stroke.root.id)
        _, across = directions(stroke.line)
        for start in rng.integers(0, len(stroke.line), rng.poisson(len(stroke.line) / 60)):
            stop = min(start + rng.integers(4, 40), stroke.bare - 2)
            if stop - start > 2:
                value = 255 * plate.gloss * rng.uniform(0.3, 1)
                side = rng.uniform(-0.3, 0.3) * stroke.width
                path = fixed((stroke.line + side * across)[start:stop], 1)
                cv2.polylines(shine, [path], False, value, 1, cv2.LINE_AA, SHIFT)
    return shine


def _photograph(scene: Plane, plate: Plate, seed: int) -> Image:
    """Light, lens and sensor."""
    lit = ground.light(plate, seed)
    for channel, (plane, tint) in enumerate(zip(scene, (0.12, 0.02, -0.14), strict=True)):
        plane *= lit * np.float32(1 + plate.cast * tint)
        if plate.defocus > 0:
            scene[channel] = cv2.GaussianBlur(plane, (0, 0), plate.defocus)
    ground.noise(plate, seed, scene)
    planes = [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in scene]
    return np.asarray(cv2.merge(planes))
