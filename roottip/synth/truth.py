"""What is known of a drawn plate: visible ends, those nobody can see, and what deceives.

A tip is the middle of the visible end: where, along the root's axis, brightness is half way
between the paper and the root just behind its rounded end. It is computed from the drawn shape
and the defocus alone, so that light, noise and compression do not move it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.special import erf

from roottip.causes import BORDER, CLOSE_PAIR, PAIR
from roottip.synth.clutter import DIRT, DROP, LABEL, SEED, Clutter, value_at
from roottip.synth.growth import Line, directions
from roottip.synth.plate import Plate
from roottip.synth.roots import Hairs, Plane, Stroke

NEAR = 12.0
"""How far from a tip something is a cause of error, px."""

TIP_COLUMNS = ("x", "y", "ignore", "root_order", "cause", "root_id", "plant", "length", "width")

_BORDER = 4.0  # px; closer to an edge, or to a cover's, a tip is not told from a root that goes on
_SMALL = 2.5  # px; a narrower tip is small, and so is a root shorter than five of these
_FAINT = 9.0  # grey levels: the least contrast of a visible tip
_GRAINY = 1.5  # and in units of the spread of the ground's grain and the sensor's noise
_ALONG = 0.4  # widths: an end closer to a root that it runs along melts into it
_MAT = 0.45  # mean opacity of the root hairs around a tip that cannot be seen for them


@dataclass(frozen=True)
class Scene:
    """What was drawn.

    Attributes
    ----------
    plate : Plate
    drawn : sequence of Stroke
    hairs : Hairs
    clutter : Clutter
    water : (H, W) float32 or None
        Film, 0 to 1.
    """

    plate: Plate
    drawn: Sequence[Stroke]
    hairs: Hairs
    clutter: Clutter
    water: Plane | None


def visible_end(stroke: Stroke, blur: float, translucency: float) -> Line:
    """Where a root's end is seen: half of the brightness behind it, along its axis.

    Parameters
    ----------
    stroke : Stroke
    blur : float
        Standard deviation, px.
    translucency : float
        Of the last mm.

    Returns
    -------
    (2,) float
        ``x, y``, px.
    """
    tail, radius = stroke.line[stroke.bare :], stroke.radius[stroke.bare :]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(tail, axis=0), axis=1))])
    total = np.hypot(blur, 0.29)  # a pixel is 1 px wide, spread sqrt(1 / 12)
    at = np.arange(0, along[-1] + 4 * total, 0.1)
    half = np.interp(at, along, radius, right=0.0)
    # across the axis the blur leaves this much of the brightness in the middle
    bright = erf(half / (np.sqrt(2) * total))
    bright *= 1 - translucency * np.clip(at / max(along[7], 0.1), 0, 1)
    reach = np.arange(-4 * total, 4 * total + 0.05, 0.1)
    weight = np.exp(-0.5 * (reach / total) ** 2)
    padded = np.concatenate(
        [np.full(len(reach) // 2, bright[0]), bright, np.zeros(len(reach) // 2)]
    )
    seen = np.convolve(padded, weight / weight.sum(), mode="valid")[: len(at)]
    # behind the rounded end, where the blur of the end does not reach
    behind = int(np.argmin(np.abs(at - (along[7] - 2 * total))))
    after = np.flatnonzero(seen[behind:] < seen[behind] / 2)
    end = at[behind + after[0]] - 0.05 if len(after) else along[-1]
    return np.array([np.interp(end, along, tail[:, i]) for i in (0, 1)])


def find_tips(scene: Scene) -> pd.DataFrame:
    """The visible end of each root, with what makes it hard.

    Returns
    -------
    DataFrame
        `TIP_COLUMNS`: ``x, y``, px; ``ignore`` 1 where the end cannot be seen: outside or on
        the border or at a clamp, rim or sticker, on, under or all along another root, under a
        label, seed or dirt, in a mat of root hairs, or with next to no contrast to the ground
        beside its grain and the noise; ``root_order``; ``cause``, tags joined by ``;``, empty for
        a free tip; ``root_id``, the same on every day; ``plant``; ``length`` and ``width`` of the
        root, px.
    """
    plate, drawn = scene.plate, scene.drawn
    if not drawn:
        return _typed([])
    ends = np.array([visible_end(s, plate.defocus, plate.translucency) for s in drawn])
    cloud = np.concatenate([stroke.line for stroke in drawn])
    owner = np.repeat(np.arange(len(drawn)), [len(stroke.line) for stroke in drawn])
    radius = np.concatenate([stroke.radius for stroke in drawn])
    tree = cKDTree(cloud)
    hairs = cKDTree(scene.hairs.long.reshape(-1, 2)) if len(scene.hairs.long) else None
    around = tree.query_ball_point(ends, NEAR + plate.root_width)
    rows, covered = [], np.zeros(len(drawn), dtype=bool)
    for n, stroke in enumerate(drawn):
        x, y = ends[n]
        border = min(x, y, plate.width - 1 - x, plate.height - 1 - y)
        others = np.array(around[n], dtype=int)
        others = others[owner[others] != n]
        gap = np.linalg.norm(cloud[others] - ends[n], axis=1) - radius[others]
        length = float(np.linalg.norm(np.diff(stroke.line, axis=0), axis=1).sum())
        causes = []
        hidden = border < _BORDER
        if border < NEAR:
            causes.append(BORDER)
        if len(gap) and gap.min() < NEAR / 2:
            close = np.unique(owner[others[gap < NEAR / 2]])
            parallel = [m for m in close if _runs_along(stroke, drawn[m])]
            causes.append("bundle" if parallel else "crossing")
            if len(parallel) and len(parallel) < len(close):
                causes.append("crossing")
            hidden |= gap.min() < max(0.25 * stroke.width, 0.5)
            along = gap[np.isin(owner[others], parallel)]
            hidden |= len(along) > 0 and along.min() < max(_ALONG * stroke.width, 1.5)
        if hairs is not None and hairs.query(ends[n])[0] < NEAR / 2 + 4:
            causes.append("hair")
        if not hidden:
            causes += _on_it(scene, x, y, causes)
            hidden = _hidden(scene, stroke, ends[n])
        if plate.translucency > 0.4:
            causes.append("translucent")
        if stroke.width < _SMALL or length < 5 * _SMALL:
            causes.append("small")
        covered[n] = hidden
        row = (x, y, int(hidden), stroke.root.order, causes, stroke.root.id)
        rows.append((*row, stroke.root.plant, length, stroke.width))
    found = _typed(rows)
    seen = cKDTree(ends[~covered])  # two tips are confused where both are seen
    near = seen.query_ball_point(ends, PAIR, return_length=True) - ~covered
    found["cause"] = [
        ";".join([CLOSE_PAIR, *own] if others > 0 else own)
        for own, others in zip(found["cause"], near, strict=True)
    ]
    return found


def _typed(rows: list[Any]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(TIP_COLUMNS))
    kinds = {"ignore": int, "root_order": int, "root_id": int, "plant": int, "cause": object}
    return frame.astype({**dict.fromkeys(("x", "y", "length", "width"), float), **kinds})


def _runs_along(stroke: Stroke, other: Stroke) -> bool:
    """Whether another root stays beside a root's last part, and does not just cross it."""
    back = max(30.0, 6 * stroke.width)
    from_end = np.linalg.norm(stroke.line - stroke.line[-1], axis=1)
    part = stroke.line[(from_end < back) & (np.arange(len(from_end)) > len(from_end) - 60)]
    far, _ = cKDTree(other.line).query(part)
    reach = stroke.width / 2 + other.radius.max() + 6
    return bool(len(part) > 2 and np.mean(far < reach) > 0.7)


def _window(plane: Any, x: float, y: float, reach: float) -> Any:
    top, left = max(0, round(y - reach)), max(0, round(x - reach))
    return plane[top : max(0, round(y + reach)) + 1, left : max(0, round(x + reach)) + 1]


def _on_it(scene: Scene, x: float, y: float, causes: list[str]) -> list[str]:
    """Tags of what lies near a tip that is inside the picture."""
    kind = _window(scene.clutter.kind, x, y, NEAR)
    found = [
        name
        for name, code in (("dirt", DIRT), ("label", LABEL), ("film", DROP))
        if (kind == code).any()
    ]
    cover = _window(scene.clutter.hidden, x, y, NEAR)
    if (cover.any() or (kind == SEED).any()) and BORDER not in causes:
        found.append(BORDER)
    if scene.water is not None and "film" not in found:
        wet = _window(scene.water, x, y, NEAR)
        if wet.size and wet.max() > 0.15:
            found.append("film")
    if "hair" not in causes:
        fuzz = _window(scene.hairs.opacity, x, y, NEAR / 2)
        if fuzz.size and fuzz.mean() > 0.08:
            found.append("hair")
    return found


def _hidden(scene: Scene, stroke: Stroke, end: Line) -> bool:
    """Whether something covers an end or all beyond it, or it has next to no contrast."""
    plate = scene.plate
    if _window(scene.clutter.hidden, end[0], end[1], _BORDER).any():  # a clamp, rim or sticker
        return True
    x, y = end - 0.4 * stroke.width * stroke.ahead
    cover = _window(scene.clutter.paint[..., 3], x, y, max(1.0, 0.3 * stroke.width))
    if cover.size and cover.mean() > 0.5 * 255:
        return True
    opacity = (1 - plate.translucency) * (1 - plate.faint if stroke.root.order else 1)
    tone = 1 - 0.5 * plate.shading
    contrast = opacity * np.abs(tone * np.array(plate.root) - np.array(plate.paper)).max()
    total = np.hypot(plate.defocus, 0.29)
    contrast *= erf(stroke.width / 2 / (np.sqrt(2) * total))
    if scene.water is not None:
        wet = _window(scene.water, x, y, 1.0)
        contrast *= 1 - (wet.mean() if wet.size else 0.0)
    fuzz = _window(scene.hairs.opacity, end[0], end[1], max(NEAR / 2, stroke.width))
    if fuzz.size and fuzz.mean() > _MAT:
        return True
    return bool(contrast < max(_FAINT, _GRAINY * np.hypot(plate.grain, plate.noise)))


def find_distractors(scene: Scene, tips: pd.DataFrame) -> pd.DataFrame:
    """Places that look like a tip and are none, ``x, y, cause``; none within `NEAR` of a tip."""
    hidden = scene.clutter.hidden
    below = [(x, y, "hair") for x, y in scene.hairs.ends]
    for stroke in scene.drawn:
        below += [(x, y, BORDER) for x, y in _exits(stroke.line, hidden)]
    below += [(x, y, "crossing") for x, y in _crossings(scene.drawn)]
    covered = value_at(hidden, np.array([place[:2] for place in below]).reshape(-1, 2), True)
    below = [place for place, under in zip(below, covered, strict=True) if not under]
    frame = pd.DataFrame(scene.clutter.places + below, columns=["x", "y", "cause"])
    frame = frame.astype({"x": float, "y": float, "cause": object})
    right, low = hidden.shape[1] - 0.5, hidden.shape[0] - 0.5
    inside = frame["x"].between(-0.5, right) & frame["y"].between(-0.5, low)
    frame = frame[inside].reset_index(drop=True)
    if len(tips) and len(frame):
        far, _ = cKDTree(tips[["x", "y"]]).query(frame[["x", "y"]])
        frame = frame[far > NEAR].reset_index(drop=True)
    return frame


def _exits(line: Line, hidden: Any) -> Line:
    """Where a root goes in or out of the picture, or under a clamp, rim or sticker."""
    seen = ~value_at(hidden, line, True)
    change = np.flatnonzero(seen[1:] != seen[:-1])
    return np.array([line[i] if seen[i] else line[i + 1] for i in change]).reshape(-1, 2)


def _crossings(drawn: Sequence[Stroke]) -> Line:
    """Where two roots cross, by 20 degrees or more, that do not grow from each other."""
    if len(drawn) < 2:
        return np.empty((0, 2))
    line = np.concatenate([stroke.line[::2] for stroke in drawn])
    ahead = np.concatenate([directions(stroke.line[::2])[0] for stroke in drawn])
    owner = np.repeat(np.arange(len(drawn)), [len(stroke.line[::2]) for stroke in drawn])
    pairs = cKDTree(line).query_pairs(3.0, output_type="ndarray")
    one, two = owner[pairs[:, 0]], owner[pairs[:, 1]]
    family = np.array([(s.root.plant, s.root.id, s.root.parent) for s in drawn])
    same = family[one, 0] == family[two, 0]
    related = same & ((family[one, 1] == family[two, 2]) | (family[two, 1] == family[one, 2]))
    across = np.abs((ahead[pairs[:, 0]] * ahead[pairs[:, 1]]).sum(axis=1)) < 0.94
    pairs = pairs[(one != two) & ~related & across]
    spots = line[pairs[:, 0]]
    _, first = np.unique(np.round(spots / 20), axis=0, return_index=True)  # once for each place
    return np.asarray(spots[np.sort(first)]).reshape(-1, 2)
