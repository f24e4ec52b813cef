"""The page of a comparison: one HTML file to read, to try thresholds in, and to print.

Everything is inside the file: figures, pictures and the script that moves them. The page only
adds up what `Evaluation.candidates` says (how an image's counts change as the threshold falls
past each found point), so the figures that it shows at any threshold are `evaluate`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip import html, table
from roottip.errors import InputError
from roottip.evaluation import Evaluation
from roottip.images import read_image
from roottip.matching import FALSE_ALARM, HIT, MISS, Floats, nearest
from roottip.pictures import thumbnail
from roottip.places import write_whole
from roottip.windows import Image

MOST_IMAGES = 40
"""Images embedded, those with most errors first: some 60 kB each."""

MOST_CROPS = 12
"""False alarms, and misses, shown of each detector."""

_SIDE = 720
"""px of an embedded image's longer side."""

_CROP = 96
"""px of the image that a crop shows."""

_TICK = 20
"""Length of the ticks that point to a place, px of the enlarged crop."""

_POINTS = 300
"""Points drawn of a curve; more would not be seen."""


_LEGEND = (
    "hit (found, and a person marked it)",
    "miss (marked, but not found)",
    "false alarm (found, but nobody marked it)",
    "ignored (found at a tip that is marked as not to be seen: counts neither way)",
    "tip marked as not to be seen (never a miss; what is found within the ring, which is the "
    "tolerance, is no false alarm)",
)


def write_page(
    path: Path,
    verdict: Sequence[str],
    evaluations: Mapping[str, Evaluation],
    tables: Mapping[str, pd.DataFrame],
    settings: Mapping[str, Any],
    root: Path | None = None,
    truth: pd.DataFrame | None = None,
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    verdict : sequence of str
        What came out, in plain sentences, the one that counts most first.
    evaluations : mapping of str to Evaluation
        Each detector's, all on the same images.
    tables : mapping of str to DataFrame
        More figures, by heading.
    settings : mapping
        How the comparison was made.
    root : Path, optional
        Where the images are; without it the page has no pictures.
    truth : DataFrame, optional
        The marked tips: those with ``ignore`` = 1, which no evaluation holds, are drawn too.
    """
    ignored = {} if truth is None else table.by_image(truth[truth["ignore"] == 1])
    unseen = {name: tips[["x", "y"]].round(1).to_numpy().tolist() for name, tips in ignored.items()}
    crops, pictures = ([], {}) if root is None else _pictures(evaluations, root)
    data = {
        "tolerance": next(iter(evaluations.values())).summary["tolerance"],
        "detectors": [_detector(name, e) for name, e in evaluations.items()],
        "images": _images(evaluations, pictures, unseen),
        "causes": _causes(evaluations),
    }
    page = html.render(
        "comparison.html",
        verdict=verdict,
        summaries={name: e.summary for name, e in evaluations.items()},
        tables=tables,
        crops=crops,
        legend=_LEGEND if unseen else _LEGEND[:-1],
        settings=settings,
        data=html.script(data),
    )
    write_whole(path, page)


def _detector(name: str, e: Evaluation) -> dict[str, Any]:
    curve = e.curve
    if len(curve) > _POINTS:
        curve = curve.iloc[np.unique(np.linspace(0, len(curve) - 1, _POINTS).astype(int))]
    low, high, digits = _scale(e.candidates["score"])
    kept = {"threshold": digits + 1, "precision": 4, "recall": 4, "f1": 4}
    return {
        "name": name,
        "threshold": float(e.summary["threshold"]),
        "low": low,
        "high": high,
        "digits": digits,
        **{rate: _number(e.summary[rate]) for rate in ("precision", "recall")},
        "curve": curve[list(kept)].dropna().round(kept).to_numpy().tolist(),
        "distances": e.matches["distance"].dropna().round(2).tolist(),
    }


def _scale(scores: pd.Series) -> tuple[float, float, int]:
    """The thresholds worth a try, from and to, and the digits after the point of a step.

    Scores in [0, 1] share that scale, so that their curves can be compared. Others, and such as
    would crowd at its lower end, have a scale of their own, of a thousand steps or more.
    """
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
    if low >= 0 and 0.1 <= high <= 1:
        return 0.0, 1.0, 3
    if low == high:
        high = low + max(1.0, abs(low))
    # more digits no float has; and a span may be larger than any
    digits = min(15, 3 - math.floor(math.log10(min(high - low, 1e300))))
    return float(_down(np.array(low), digits)), -float(_down(np.array(-high), digits)), digits


def _causes(evaluations: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """For each part of ``by_cause`` its heading, values, and of each detector rate and interval."""
    parts = {
        "cause": "Share of the tips hit, by what makes them hard to see",
        "root order": "Share of the tips hit, by root order",
        "nearest tip": "Share of the tips hit, by distance to the nearest other tip",
        "cause of false alarm": "Share of the false alarms, by what lies there",
    }
    numbers = ["count", "of", "rate", "low", "high"]
    charts = []
    for part, heading in parts.items():
        rows: dict[str, dict[str, list[float | None]]] = {}
        for name, e in evaluations.items():
            own = e.by_cause[(e.by_cause["by"] == part) & (e.by_cause["of"] > 0)]
            for value, *figures in own[["value", *numbers]].itertuples(index=False, name=None):
                rows.setdefault(value, {})[name] = [_number(figure) for figure in figures]
        if len(rows) > 1:  # a single class says what the table above says
            charts.append({"heading": heading, "rows": list(rows.items())})
    return charts


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)


def _images(
    evaluations: Mapping[str, Evaluation],
    pictures: Mapping[str, Any],
    unseen: Mapping[str, list[list[float]]],
) -> list[dict[str, Any]]:
    """What the page knows of each image, in the order of the images table."""
    any_one = next(iter(evaluations.values()))
    visible = any_one.matches.dropna(subset=["truth_x"])
    marked = table.by_image(visible)
    hits = {name: _hits(e) for name, e in evaluations.items()}
    outcomes = {name: _outcomes(e) for name, e in evaluations.items()}
    found = {name: table.by_image(e.candidates) for name, e in evaluations.items()}
    digits = {name: _scale(e.candidates["score"])[2] + 1 for name, e in evaluations.items()}
    images = []
    for name, group in any_one.per_image[["image", "group"]].itertuples(index=False):
        tips = marked.get(name, visible.iloc[:0])
        xy = tips[["truth_x", "truth_y"]].to_numpy(dtype=np.float64)
        entry: dict[str, Any] = {
            "name": name.encode(errors="replace").decode(),
            "group": str(group),
            "tips": len(xy),
            "found": {},
        }
        for key, candidates_of in found.items():
            own = candidates_of.get(name, evaluations[key].candidates.iloc[:0])
            threshold = evaluations[key].summary["threshold"]
            own = own.assign(score=_short(own["score"], threshold, digits[key]))
            # integers are written shorter than floats
            steps = own[["hits", "false_alarms"]].astype(int)
            entry["found"][key] = list(zip(own["score"], *map(steps.get, steps), strict=True))
            if name in pictures:
                hit = [(name, *place) in hits[key] for place in xy.tolist()]
                entry.setdefault("hitAt", {})[key] = _hit_at(
                    own, xy, np.array(hit, dtype=bool), threshold
                )
                places = own[["x", "y"]].to_numpy()
                entry.setdefault("places", {})[key] = places.round(1).tolist()
                entry.setdefault("outcomes", {})[key] = [
                    outcomes[key].get((name, *place)) for place in places.tolist()
                ]
        if name in pictures:
            entry |= {"truth": xy.round(1).tolist(), "unseen": unseen.get(name, [])}
            entry |= pictures[name]
        images.append(entry)
    return images


def _short(score: pd.Series, threshold: float, digits: int) -> pd.Series:
    """Scores with few digits after the point, on the same side of the detector's threshold.

    Rounded down: so they also stay on their side of any threshold of at most as many digits,
    which those of the slider are.
    """
    exact = score.to_numpy(dtype=np.float64)
    lower = _down(exact, digits)
    return pd.Series(
        np.where((exact >= threshold) & (lower < threshold), threshold, lower), score.index
    )


def _down(exact: Floats, digits: int) -> Floats:
    """Rounded down."""
    near = exact.round(digits)
    return np.where(near > exact, (near - 10.0**-digits).round(digits), near)


def _hits(e: Evaluation) -> set[tuple[str, float, float]]:
    """Image and place of each tip that is hit."""
    rows = e.matches.loc[e.matches["outcome"] == HIT, ["image", "truth_x", "truth_y"]]
    return set(rows.itertuples(index=False, name=None))


def _outcomes(e: Evaluation) -> dict[tuple[str, float, float], str]:
    """What each find is at the detector's own threshold, by image and place."""
    rows = e.matches.dropna(subset=["x"])
    return dict(
        zip(zip(rows["image"], rows["x"], rows["y"], strict=True), rows["outcome"], strict=True)
    )


def _hit_at(
    candidates: pd.DataFrame, tips: Floats, hit: NDArray[np.bool_], threshold: float
) -> list[float | None]:
    """The score down to which the threshold must fall for each tip to be hit; None for never.

    At the detector's own threshold the tips hit are those of `Evaluation.matches`. At others
    their number is `evaluate`'s too; where finds and tips crowd, which of them it is, is a
    matter of the whole matching, and here each find that adds a hit takes the nearest tip left.
    """
    at = np.full(len(tips), np.nan)
    adding = candidates[candidates["hits"] > 0].sort_values("score", ascending=False)
    for x, y, score in adding[["x", "y", "score"]].to_numpy(dtype=np.float64):
        left = np.flatnonzero(np.isnan(at) & (hit if score >= threshold else True))
        at[left[nearest(np.array([[x, y]]), tips[left])[1][0]]] = score
    return [_number(score) for score in at]


def _pictures(
    evaluations: Mapping[str, Evaluation], root: Path
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Crops of the worst errors, and the images with most errors; each image is read once."""
    errors = sum(e.per_image[["misses", "false_alarms"]].sum(axis=1) for e in evaluations.values())
    names = next(iter(evaluations.values())).per_image["image"]
    shown = set(names[np.argsort(-np.asarray(errors), kind="stable")[:MOST_IMAGES]])
    worst = pd.concat([_worst(e).assign(detector=name) for name, e in evaluations.items()])
    crops: dict[int, dict[str, Any]] = {}
    pictures: dict[str, dict[str, Any]] = {}
    worst = worst.reset_index(drop=True)
    for name in names:
        wanted = worst[worst["image"] == name]
        if name not in shown and wanted.empty:
            continue
        try:
            image = read_image(root / name)
        except InputError:
            continue  # its row in images.csv says why
        if name in shown:
            pictures[name] = {
                "src": thumbnail(image, _SIDE),
                "width": image.shape[1],
                "height": image.shape[0],
            }
        for row in wanted.itertuples():
            crops[row.Index] = {
                "detector": row.detector,
                "outcome": row.outcome,
                "caption": f"{name}, x {row.px:.0f}, y {row.py:.0f}",
                "detail": " · ".join(
                    ([f"score {row.score:.2f}"] if row.outcome == FALSE_ALARM else [])
                    + ([row.cause] if row.cause else [])
                ),
                "src": thumbnail(_cut(image, row.px, row.py), 2 * _CROP),
            }
    return [crops[n] for n in sorted(crops)], pictures


def _worst(e: Evaluation) -> pd.DataFrame:
    """The false alarms with the highest scores, and misses from as many images as there are."""
    alarms = e.matches[e.matches["outcome"] == FALSE_ALARM]
    alarms = alarms.sort_values("score", ascending=False).head(MOST_CROPS)
    misses = e.matches[e.matches["outcome"] == MISS]
    number, _ = pd.factorize(misses["image"].to_numpy(object))  # as in certainty.by_group
    turn = misses.groupby(number).cumcount()
    misses = misses.loc[turn.sort_values(kind="stable").index].head(MOST_CROPS)
    return pd.concat(
        [
            alarms.assign(px=alarms["x"], py=alarms["y"]),
            misses.assign(px=misses["truth_x"], py=misses["truth_y"]),
        ]
    )


def _cut(image: Image, x: float, y: float) -> Image:
    """What lies around a point, enlarged so that its pixels can be seen; grey beyond the border.

    Ticks at the edges lead to the point: what is there is not drawn over.
    """
    half = _CROP // 2
    left, top = round(x) - half, round(y) - half
    inside = image[max(0, top) : max(0, top + _CROP), max(0, left) : max(0, left + _CROP)]
    cut = np.full((_CROP, _CROP, *image.shape[2:]), 128, np.uint8)
    down, right = max(0, -top), max(0, -left)
    cut[down : down + len(inside), right : right + inside.shape[1]] = inside
    large = np.ascontiguousarray(np.repeat(np.repeat(cut, 2, axis=0), 2, axis=1))
    last = 2 * _CROP - 1
    for shade, width in ((20, 5), (255, 2)):
        for edge, inward in ((0, _TICK), (last, last - _TICK)):
            cv2.line(large, (_CROP, edge), (_CROP, inward), (shade,) * 3, width)
            cv2.line(large, (edge, _CROP), (inward, _CROP), (shade,) * 3, width)
    return large
