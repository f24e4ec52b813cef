"""Roots and their hairs, drawn at twice the picture's size and averaged down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip.synth.growth import Line, Root, directions
from roottip.synth.plate import Plate, stream
from roottip.synth.shapes import SHIFT

Plane = NDArray[np.float32]

FINE = 2
"""px of the drawing for a px of the picture."""

_TOO_WIDE = 0.6  # px of the drawing by which cv2 fills smooth polygons too far on every side
_RINGS = (1.0, 0.8, 0.6, 0.4, 0.2)  # nested outlines make the profile across a root
_CAP = 12  # points of the rounded end
_FADE = 5  # steps in which a translucent end fades


@dataclass(frozen=True)
class Stroke:
    """A root as it is drawn.

    Attributes
    ----------
    root : Root
    line : (N, 2) float
        ``x, y`` from base to tip, px of the picture.
    radius : (N,) float
        px; 0 at the tip.
    bare : int
        Index into `line` where the end begins that light shines through.
    """

    root: Root
    line: Line
    radius: NDArray[np.float64]
    bare: int

    @property
    def width(self) -> float:
        """Just behind the rounded end, px."""
        return float(2 * self.radius[self.bare :].max())

    @property
    def ahead(self) -> Line:
        """Unit vector out of the tip."""
        back = self.line[-1] - self.line[self.bare]
        return np.asarray(back / max(np.linalg.norm(back), 1e-9))


def strokes(plate: Plate, roots: Sequence[Root], thickest: float, seed: int) -> list[Stroke]:
    """Place roots on the plate, thin ones first: what comes later lies above.

    Roots that are still inside the one they grow from are left out; what grows from them has their
    parent.

    Parameters
    ----------
    plate : Plate
    roots : sequence of Root
        In mm from the picture's upper left corner.
    thickest : float
        Radius that is drawn `Plate.root_width` wide, mm.
    seed : int
    """
    made = []
    inside: dict[int, int] = {}  # the parents of the roots left out
    for root in roots:  # parents come before their laterals
        root = replace(root, parent=inside.get(root.parent, root.parent))
        rng = stream(seed, "root", root.plant, root.id)
        line = root.line * plate.px_per_mm - 0.5
        step = np.linalg.norm(np.diff(line, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(step)])
        length = along[-1]
        if length < 2:
            inside[root.id] = root.parent
            continue
        half = plate.root_width / 2 * max(root.radius / thickest, plate.thinnest)
        half *= float(np.exp(rng.normal(0, 0.06)))
        end = min(plate.sharpness * half * plate.taper, length / 2)
        soft = min(max(plate.px_per_mm, 3 * half), 0.7 * length)  # the last mm
        body = np.arange(0.0, length, 2.0)
        tail = np.linspace(length - soft, length - end, 8)
        tip = length - end * np.cos(np.linspace(0, np.pi / 2, _CAP))[1:]
        at = np.concatenate([body[body < tail[0] - 0.1], tail, np.append(tip[:-1], length)])
        # a main root tapers over its growing zone, a lateral over half its length
        zone = 40 * half if root.order == 0 else max(0.6 * length, 12 * half)
        grown = np.clip((length - at) / zone, 0, 1)
        radius = half * (plate.taper + (1 - plate.taper) * grown)
        radius *= 1 + 0.04 * np.sin(at / (9 * half) + rng.uniform(0, 6.3))
        into = np.clip((at - (length - end)) / max(end, 1e-9), 0, 1)
        radius *= np.sqrt(np.maximum(1 - into**2, 0))
        xy = np.stack([np.interp(at, along, line[:, i]) for i in (0, 1)], axis=1)
        made.append(Stroke(root, xy, radius, len(at) - len(tail) - _CAP + 1))
    return sorted(made, key=lambda stroke: (-stroke.root.order, stroke.radius.max()))


def fixed(xy: Line, fine: int = FINE) -> NDArray[np.int32]:
    """Pixels of the picture to cv2's fixed-point pixels of the enlarged drawing."""
    return np.asarray(np.round(((xy + 0.5) * fine - 0.5) * 2**SHIFT), dtype=np.int32)


def draw_roots(plate: Plate, drawn: Sequence[Stroke], light: float) -> list[tuple[Plane, Plane]]:
    """Layers of roots, lowest first, one for each order.

    Parameters
    ----------
    plate : Plate
    drawn : sequence of Stroke
    light : float
        Where the light comes from, radians.

    Returns
    -------
    list of (opacity, tone)
        (H, W) float32 each, 0 to 1; tone is multiplied with the opacity.
    """
    lit = np.array([np.cos(light), np.sin(light)])
    layers = []
    for order, members in groupby(drawn, key=lambda stroke: stroke.root.order):
        shape = (plate.height * FINE, plate.width * FINE)
        # one channel each: OpenCV smooths the edges of one or three channels, not of two
        opacity, tone = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        for stroke in members:
            _draw_root(opacity, tone, stroke, plate, lit)
        np.minimum(tone, opacity, out=tone)  # smoothed edges of inner outlines reach outside
        share = np.float32((1 - plate.faint if order else 1.0) / 255)
        size = (plate.width, plate.height)
        layers.append(
            (
                cv2.resize(opacity, size, interpolation=cv2.INTER_AREA) * share,
                cv2.resize(tone, size, interpolation=cv2.INTER_AREA) * share,
            )
        )
    return layers


def _draw_root(opacity: Any, tone: Any, stroke: Stroke, plate: Plate, lit: Line) -> None:
    """The body straight onto the canvases, the translucent end over what is there."""
    low, high = stroke.line.min(axis=0), stroke.line.max(axis=0)
    reach = stroke.radius.max() + 2
    if (high < -reach).any() or (low > (plate.width + reach, plate.height + reach)).any():
        return
    rings = _Rings.around(stroke, plate.shading, lit)
    if plate.translucency == 0:
        rings.draw(opacity, tone, 0, 1.0)
        return
    rings.draw(opacity, tone, 0, 1.0, stroke.bare + 1)
    start = stroke.bare - 1
    tail = stroke.line[start:]
    left, top = np.maximum(np.floor((tail.min(axis=0) - reach) * FINE), 0).astype(int)
    right, low = np.maximum(np.ceil((tail.max(axis=0) + reach) * FINE), 0).astype(int)
    part = (slice(top, low), slice(left, right))
    if not opacity[part].size:
        return
    ends = np.zeros_like(opacity[part]), np.zeros_like(tone[part])
    for step in range(_FADE):  # ever shorter ends, ever more translucent
        share = 1 - plate.translucency * step / (_FADE - 1)
        rings.draw(*ends, start + step * 8 // _FADE, share, corner=(left, top))
    # at smoothed edges the tone may be rounded above the opacity: the sum would not fit into 8 bits
    np.minimum(ends[1], ends[0], out=ends[1])
    through = 255 - ends[0].astype(np.uint16)
    for plane, end in zip((opacity, tone), ends, strict=True):
        plane[part] = end + (plane[part] * through // 255).astype(np.uint8)


@dataclass(frozen=True)
class _Rings:
    """Nested outlines of a root: their edges left and right, cv2's fixed-point pixels."""

    left: list[NDArray[np.int32]]
    right: list[NDArray[np.int32]]
    tone: list[float]

    @classmethod
    def around(cls, stroke: Stroke, shading: float, lit: Line) -> _Rings:
        ahead, side = directions(stroke.line)
        # the brightest line lies towards the light
        middle = 0.35 * (side @ lit)[:, None] * side
        # the outline moves inwards, at the tip backwards, by what cv2 fills too much
        step = np.maximum(np.linalg.norm(np.gradient(stroke.line, axis=0), axis=1), 1e-9)
        slope = np.arctan2(np.gradient(stroke.radius), step)
        slope[-1] = -np.pi / 2
        inwards = _TOO_WIDE / FINE
        half = np.maximum(stroke.radius - inwards * np.cos(slope), 0.05)[:, None]
        line = stroke.line + inwards * np.sin(slope)[:, None] * ahead
        rings = _RINGS if shading > 0 else _RINGS[:1]
        centres = [line + (1 - ring) * half * middle for ring in rings]
        return cls(
            [fixed(c + ring * half * side) for c, ring in zip(centres, rings, strict=True)],
            [fixed(c - ring * half * side) for c, ring in zip(centres, rings, strict=True)],
            [1 - shading * ring**2 for ring in rings],
        )

    def draw(
        self,
        opacity: Any,
        tone: Any,
        start: int,
        share: float,
        stop: int | None = None,
        corner: tuple[int, int] = (0, 0),
    ) -> None:
        """Fill the part of the root from one point to another, `share` opaque."""
        shift = np.array(corner, dtype=np.int32) << SHIFT
        for n, bright in enumerate(self.tone):
            outline = np.concatenate([self.left[n][start:stop], self.right[n][start:stop][::-1]])
            outline -= shift
            if n == 0:
                cv2.fillPoly(opacity, [outline], 255 * share, cv2.LINE_AA, SHIFT)
            cv2.fillPoly(tone, [outline], 255 * share * bright, cv2.LINE_AA, SHIFT)


@dataclass(frozen=True)
class Hairs:
    """Hairs as drawn.

    Attributes
    ----------
    opacity : (H, W) float32
        0 to 1
    ends : (N, 2) float
        ``x, y`` of the ends of single long hairs, px.
    long : (N, K, 2) float
        The long hairs themselves, from root to end.
    """

    opacity: Plane
    ends: Line
    long: Line


def draw_hairs(plate: Plate, drawn: Sequence[Stroke], seed: int) -> Hairs:
    """Dense fine hairs behind the tips, the haze they make, and single long ones."""
    shape = (plate.height * FINE, plate.width * FINE)
    canvas = np.zeros(shape, dtype=np.uint8)
    quarter = (plate.height // 4 + 1, plate.width // 4 + 1)
    haze = np.zeros(quarter, dtype=np.uint8)
    curves, long = [np.zeros((0, 4, 2))], [np.zeros((0, 4, 2))]
    total = sum(float(np.linalg.norm(np.diff(s.line, axis=0), axis=1).sum()) for s in drawn)
    for stroke in drawn:
        rng = stream(seed, "hair", stroke.root.plant, stroke.root.id)
        along = np.linalg.norm(np.diff(stroke.line, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(along)])
        hairy = along[-1] - plate.hairless * plate.px_per_mm * rng.uniform(0.6, 1.4)
        if hairy <= 2:
            continue
        # the more vigorous roots have the denser hairs; some have none
        vigour = rng.choice([0.2, 0.7, 1.0, 1.4])
        count = rng.poisson(vigour * plate.hairs * hairy / plate.px_per_mm)
        at = rng.uniform(0, hairy, count)
        young = np.clip((hairy - at) / (2 * plate.px_per_mm), 0.25, 1)
        length = plate.hair_length * plate.px_per_mm * young * rng.gamma(6, 1 / 6, count)
        curves.append(_curls(stroke, along, at, length, rng))
        # long ones are spread over all the roots
        share = plate.long_hairs * plate.megapixels * hairy / max(total, 1.0)
        many = rng.poisson(share)
        long.append(
            _curls(stroke, along, rng.uniform(0, hairy, many), rng.uniform(12, 60, many), rng)
        )
        if plate.haze > 0:
            fuzz = 2 * plate.hair_length * plate.px_per_mm / 4
            keep = along < hairy
            path = fixed(stroke.line[keep] / 4, 1)
            if len(path) > 1:
                cv2.polylines(
                    haze, [path], False, 255 * vigour / 1.4, max(1, round(fuzz)), 8, SHIFT
                )
    fine, single = np.concatenate(curves), np.concatenate(long)
    rng = stream(seed, "hair opacity")
    group = rng.integers(0, 3, len(fine))
    for which, strength in enumerate((0.5, 0.8, 1.2)):
        value = min(255.0, 255 * strength * plate.hair_opacity)
        cv2.polylines(
            canvas, list(fixed(fine[group == which])), False, value, 1, cv2.LINE_AA, SHIFT
        )
    value = min(255.0, 255 * 2.4 * plate.hair_opacity)
    cv2.polylines(canvas, list(fixed(single)), False, value, 2, cv2.LINE_AA, SHIFT)
    small = cv2.resize(canvas, (plate.width, plate.height), interpolation=cv2.INTER_AREA)
    opacity = small * np.float32(1 / 255)
    if plate.haze > 0:
        soft = cv2.GaussianBlur(haze, (0, 0), 0.3 + plate.hair_length * plate.px_per_mm / 8)
        wide = cv2.resize(soft, (plate.width, plate.height), interpolation=cv2.INTER_LINEAR)
        opacity = np.maximum(opacity, wide * np.float32(plate.haze / 255))
    return Hairs(opacity, single[:, -1], single)


def _curls(
    stroke: Stroke,
    along: NDArray[np.float64],
    at: NDArray[np.float64],
    length: NDArray[np.float64],
    rng: np.random.Generator,
) -> Line:
    """Hairs as (N, 4, 2) bent lines that leave a root at given places."""
    if not len(at):
        return np.empty((0, 4, 2))
    base = np.stack([np.interp(at, along, stroke.line[:, i]) for i in (0, 1)], axis=1)
    ahead = np.gradient(stroke.line, axis=0)
    direction = np.arctan2(ahead[:, 1], ahead[:, 0])
    angle = direction[np.clip(np.searchsorted(along, at), 0, len(along) - 1)]
    angle = angle + rng.choice([-1, 1], len(at)) * rng.normal(np.pi / 2, 0.35, len(at))
    bend = rng.normal(0, 0.35, len(at))
    radius = np.interp(at, along, stroke.radius)
    points = [base]
    for step in range(3):
        heading = angle + step * bend
        reach = (length + radius) / 3
        points.append(
            points[-1] + reach[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        )
    return np.stack(points, axis=1)
