"""How well found points agree with the truth: one detector's figures.

What counts as a pair says `roottip.matching`; how sure a figure is, `roottip.certainty`.
Pooled figures count all images together; per-image figures are in `Evaluation.per_image`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from roottip import causes, table
from roottip.certainty import by_group, rate_intervals
from roottip.errors import InputError, check_number
from roottip.matching import (
    FALSE_ALARM,
    HIT,
    IGNORED,
    MISS,
    Floats,
    Indices,
    apart,
    match,
    nearest,
    rates,
    steps,
)
from roottip.table import check_distractors, check_points

TOLERANCES = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)
"""px, of `Evaluation.by_tolerance`, besides the tolerance chosen."""

TOLERANCES_MM = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)
"""mm, where the scale of all images is known."""

_COUNTED = ["truth", "found", "hits", "misses", "false_alarms", "ignored"]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found out.

    Attributes
    ----------
    summary : dict
        Pooled figures. ``tolerance`` (px), ``threshold`` and ``threshold_from``, where that
        came from; ``images, groups, truth, found, hits, misses, false_alarms, ignored``;
        ``precision, recall, f1`` and the bounds of their 95 % intervals over groups
        (``precision_low, precision_high`` …); ``average_precision``; the localisation error
        of hits, ``distance_median, distance_mean, distance_q90`` (px; where the scale of all
        images is known also ``distance_median_mm`` …); and how well counts of tips an image
        agree, found (less the ignored) less true: ``count_bias`` (mean difference),
        ``count_mae`` (mean absolute difference), ``count_low, count_high`` (Bland and
        Altman's limits of agreement, bias ± 1.96 standard deviations), ``count_r2``
        (1 - SSE/SST of found counts taken as predictions of the true ones) and
        ``count_correlation2`` (Pearson's correlation, squared).
    matches : DataFrame
        A row for each visible truth point and each found point that scores at least the
        threshold, a pair sharing one: ``image, outcome, x, y, score, truth_x, truth_y,
        distance, cause, neighbour`` (`roottip.causes`; neighbour: px from the truth point to the
        nearest other one) and ``root_order`` where truth has it.
    per_image : DataFrame
        A row for each image: ``image, group, truth, found, hits, misses, false_alarms,
        ignored, precision, recall, f1``.
    curve : DataFrame
        ``threshold, precision, recall, f1`` at each distinct score, highest first.
    by_tolerance : DataFrame
        ``tolerance, precision, recall, f1, unit`` at the threshold; ``unit`` is px or mm.
    by_cause : DataFrame
        As in `causes.by_cause`.
    candidates : DataFrame
        Every found point, whatever its score: ``image, x, y, score, hits, false_alarms``, the
        last two being how an image's counts change as the threshold falls past the point.
    """

    summary: dict[str, Any]
    matches: pd.DataFrame
    per_image: pd.DataFrame
    curve: pd.DataFrame
    by_tolerance: pd.DataFrame
    by_cause: pd.DataFrame
    candidates: pd.DataFrame


def evaluate(
    found: pd.DataFrame,
    truth: pd.DataFrame,
    images: Sequence[str] | Mapping[str, str] | pd.DataFrame,
    tolerance: float,
    threshold: float | None = None,
    threshold_from: str = "given",
    distractors: pd.DataFrame | None = None,
) -> Evaluation:
    """Score found points against the truth.

    Parameters
    ----------
    found : DataFrame
        Points table; without ``score`` every point scores 1.
    truth : DataFrame
        Points table; ``ignore`` = 1 marks tips nobody could see. ``cause`` (tags joined by
        ``;``) and ``root_order`` are counted by where they are.
    images : sequence of str, mapping of str to str, or DataFrame
        Every image scored, also those without truth and without finds. A mapping gives each
        its group, else each image is its own; a table (``image``, and what it has of ``group,
        width, height, px_per_mm``) also lets borders and mm be known.
    tolerance : float
        px
    threshold : float, optional
        Found points that score below count as not found, except in the curve. All count where not
        given: it is 0 then, or the lowest score where other programs' are below.
    threshold_from : str
        Where that threshold came from; ``none given`` where it is not.
    distractors : DataFrame, optional
        ``image, x, y, cause`` of what looks like a tip and is none.

    Raises
    ------
    InputError
        A table is malformed, or names an image that `images` does not, or these name one twice.
    """
    check_number("tolerance", tolerance, 0, table.FARTHEST, above=True)
    if threshold is not None:
        check_number("threshold", threshold, -math.inf)
    found, truth = check_points(found, "found"), check_points(truth, "truth")
    if "score" not in found:
        found["score"] = 1.0
    if threshold is None:
        threshold = float(found["score"].min()) if (found["score"] < 0).any() else 0.0
        threshold_from = "none given"
    listed = _listed(images)
    groups = dict(zip(listed["image"], listed["group"], strict=True))
    number = {name: n for n, name in enumerate(groups)}
    for name, frame in (("found", found), ("truth", truth)):
        table.check_listed(frame, groups, name, "images")
    if distractors is None:
        distractors = pd.DataFrame({"image": [], "x": [], "y": [], "cause": []})
    distractors = check_distractors(distractors, "distractors")
    distractors = distractors[distractors["image"].isin(groups)]
    visible, hidden = truth[truth["ignore"] == 0], truth[truth["ignore"] == 1]

    found_xy, visible_xy, hidden_xy = (_apart(part, number) for part in (found, visible, hidden))
    score = found["score"].to_numpy()
    to_hidden = nearest(found_xy, hidden_xy)[0]
    hits, alarms = steps(found_xy, score, to_hidden <= tolerance, visible_xy, tolerance).T
    candidates = found[["image", "x", "y", "score"]].assign(hits=hits, false_alarms=alarms)
    curve, average_precision = _curve(candidates, len(visible))

    kept = score >= threshold
    finds = _Finds(found[kept].reset_index(drop=True), found_xy[kept], to_hidden[kept])
    matches = _outcomes(finds, visible, visible_xy, distractors, _sizes(listed), number, tolerance)
    per_image = _per_image(matches, groups)
    px_per_mm = _px_per_mm(listed)
    summary = {
        "tolerance": tolerance,
        "threshold": threshold,
        "threshold_from": threshold_from,
        **_summary(matches, per_image, average_precision, px_per_mm, number),
    }
    by_tolerance = [_over_tolerances(finds, visible_xy, {*TOLERANCES, tolerance}, "px")]
    if px_per_mm is not None:
        scaled = finds.scaled(px_per_mm[_images(finds.points, number)])
        visible_mm = _scaled(visible_xy, px_per_mm[_images(visible, number)])
        by_tolerance.append(_over_tolerances(scaled, visible_mm, TOLERANCES_MM, "mm"))
    tolerances = pd.concat(by_tolerance, ignore_index=True)
    by_cause = causes.by_cause(matches, groups)
    return Evaluation(summary, matches, per_image, curve, tolerances, by_cause, candidates)


def at_thresholds(curve: pd.DataFrame, thresholds: ArrayLike) -> pd.DataFrame:
    """``threshold, precision, recall, f1`` of an `Evaluation.curve` at any thresholds."""
    at = np.ravel(np.asarray(thresholds, dtype=np.float64))  # one alone too
    # the curve has a row at each distinct score, highest first; above it nothing is found
    nothing = pd.DataFrame({"threshold": [np.inf], "precision": np.nan, "recall": 0.0, "f1": 0.0})
    curve = pd.concat([nothing, curve], ignore_index=True)
    rows = np.searchsorted(-curve["threshold"].to_numpy(), -at, "right") - 1
    return curve.iloc[rows].reset_index(drop=True).assign(threshold=at)


@dataclass(frozen=True)
class _Finds:
    """Found points that score at least the threshold."""

    points: pd.DataFrame
    xy: Floats
    """``(N, 3)``, as `matching.apart` puts them."""
    to_hidden: Floats
    """How far the nearest tip is that nobody could see."""

    def scaled(self, px_per_mm: Floats) -> _Finds:
        return _Finds(self.points, _scaled(self.xy, px_per_mm), self.to_hidden / px_per_mm)


def _listed(images: Sequence[str] | Mapping[str, str] | pd.DataFrame) -> pd.DataFrame:
    """The images table of what `evaluate` was given, each image with a group."""
    if isinstance(images, pd.DataFrame):
        listed = table.check_images(images, "images")
        listed["group"] = table.groups_of(listed)
    elif isinstance(images, str):
        raise InputError(f"images={images!r} is one name; give a list of names")
    else:
        listed = table.check_images(pd.DataFrame({"image": table.texts(images)}), "images")
        groups = images.values() if isinstance(images, Mapping) else listed["image"]
        listed["group"] = table.texts(groups)
    if listed.empty:
        raise InputError("there is no image to score")
    return listed


def _sizes(listed: pd.DataFrame) -> Floats:
    sizes = listed.reindex(columns=["width", "height"])
    numbers = sizes.apply(pd.to_numeric, errors="coerce")
    return np.asarray(numbers.to_numpy(np.float64, na_value=np.nan))


def _px_per_mm(listed: pd.DataFrame) -> Floats | None:
    """The scale of each image, where all have one."""
    if "px_per_mm" not in listed:
        return None
    scale = np.asarray(pd.to_numeric(listed["px_per_mm"], errors="coerce"), dtype=np.float64)
    return scale if bool((scale > 0).all()) else None


def _images(points: pd.DataFrame, number: Mapping[str, int]) -> Indices:
    return np.array([number[name] for name in points["image"]], dtype=np.intp)


def _apart(points: pd.DataFrame, number: Mapping[str, int]) -> Floats:
    return apart(points[["x", "y"]].to_numpy(dtype=np.float64), _images(points, number))


def _scaled(xy: Floats, px_per_mm: Floats) -> Floats:
    return xy / np.column_stack([px_per_mm, px_per_mm, np.ones(len(xy))])


def _alone(n: int, paired: Indices) -> NDArray[np.bool_]:
    alone = np.ones(n, dtype=bool)
    alone[paired] = False
    return alone


def _matches(
    finds: _Finds, tips: pd.DataFrame, pairs: tuple[Indices, Indices], tolerance: float
) -> pd.DataFrame:
    """The table of `Evaluation.matches`, finds first, causes of tips only."""
    i, j = pairs
    outcome = np.where(finds.to_hidden <= tolerance, IGNORED, FALSE_ALARM).astype(object)
    outcome[i] = HIT
    missed = np.flatnonzero(_alone(len(tips), j))
    # the tip of each row, -1 where there is none
    tip = np.concatenate([np.full(len(outcome), -1), missed])
    tip[i] = j
    carried = [name for name in ("cause", "neighbour", "root_order") if name in tips]
    of_tip = tips[["x", "y", *carried]].rename(columns={"x": "truth_x", "y": "truth_y"})
    of_tip = of_tip.reindex(tip).reset_index(drop=True)
    points = finds.points[["image", "x", "y", "score"]].reindex(range(len(tip)))
    points.loc[len(outcome) :, "image"] = tips["image"].to_numpy()[missed]
    offset = points[["x", "y"]].to_numpy() - of_tip[["truth_x", "truth_y"]].to_numpy()
    frame = pd.concat([points, of_tip[["truth_x", "truth_y"]]], axis=1)
    frame.insert(1, "outcome", np.concatenate([outcome, np.full(len(missed), MISS, object)]))
    frame["distance"] = np.hypot(*offset.T)
    frame = pd.concat([frame, of_tip[carried]], axis=1)
    frame["cause"] = frame["cause"].astype(object).where(tip >= 0, "")
    return frame


def _outcomes(
    finds: _Finds,
    visible: pd.DataFrame,
    visible_xy: Floats,
    distractors: pd.DataFrame,
    sizes: Floats,
    number: Mapping[str, int],
    tolerance: float,
) -> pd.DataFrame:
    """The table of `Evaluation.matches`: image by image, with the causes of tips and of alarms."""
    pairs = match(finds.xy, visible_xy, tolerance, finds.to_hidden <= tolerance)
    tip_causes, neighbour = causes.of_tips(visible, _images(visible, number), sizes)
    tips = visible.assign(cause=tip_causes, neighbour=neighbour).reset_index(drop=True)
    matches = _matches(finds, tips, pairs, tolerance)
    alarms = matches.index[matches["outcome"] == FALSE_ALARM]
    matches.loc[alarms, "cause"] = causes.of_alarms(
        _apart(matches.loc[alarms], number),
        _images(matches.loc[alarms], number),
        sizes,
        distractors,
        _images(distractors, number),
        visible_xy[pairs[1]],
        tolerance,
    )
    in_order = np.argsort(_images(matches, number), kind="stable")
    return matches.iloc[in_order].reset_index(drop=True)


def _curve(candidates: pd.DataFrame, wanted: int) -> tuple[pd.DataFrame, float]:
    """Precision and recall at each distinct score, and the area below: Σ (Rₙ - Rₙ₋₁) Pₙ."""
    changes = candidates.groupby("score")[["hits", "false_alarms"]].sum().iloc[::-1].cumsum()
    hits, alarms = changes.to_numpy(dtype=np.float64).T
    curve = pd.DataFrame(
        {"threshold": changes.index.to_numpy(np.float64), **rates(hits, wanted - hits, alarms)}
    )
    if wanted == 0:
        return curve, float("nan")
    step = np.diff(curve["recall"].to_numpy(), prepend=0.0)
    return curve, float((step * curve["precision"].fillna(0).to_numpy()).sum())


def _per_image(matches: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    number = _images(matches, {name: n for n, name in enumerate(groups)})
    counts = [
        np.bincount(number[matches["outcome"] == outcome], minlength=len(groups))
        for outcome in (HIT, MISS, FALSE_ALARM, IGNORED)
    ]
    hits, misses, alarms, ignored = np.stack(counts)
    return pd.DataFrame(
        {
            "image": table.texts(groups),
            "group": table.texts(groups.values()),
            "truth": hits + misses,
            "found": hits + alarms + ignored,
            "hits": hits,
            "misses": misses,
            "false_alarms": alarms,
            "ignored": ignored,
            **rates(hits, misses, alarms),
        }
    )


def _summary(
    matches: pd.DataFrame,
    per_image: pd.DataFrame,
    average_precision: float,
    px_per_mm: Floats | None,
    number: Mapping[str, int],
) -> dict[str, Any]:
    """The figures of `Evaluation.summary`, in its order, from the number of images on."""
    totals = {name: int(per_image[name].sum()) for name in _COUNTED}
    bounds = rate_intervals(by_group(per_image).to_numpy())
    distance = matches.loc[matches["outcome"] == HIT, ["image", "distance"]]
    summary = {
        "images": len(per_image),
        "groups": len(set(per_image["group"])),
        **totals,
        **rates(totals["hits"], totals["misses"], totals["false_alarms"]),
        **{f"{rate}_low": low for rate, (low, _) in bounds.items()},
        **{f"{rate}_high": high for rate, (_, high) in bounds.items()},
        "average_precision": average_precision,
        **_localisation(distance["distance"]),
        **_agreement(per_image["found"] - per_image["ignored"], per_image["truth"]),
    }
    if px_per_mm is not None:
        mm = _localisation(distance["distance"] / px_per_mm[_images(distance, number)])
        summary |= {f"{name}_mm": value for name, value in mm.items()}
    return summary


def _localisation(distance: pd.Series) -> dict[str, float]:
    return {
        "distance_median": float(distance.median()),
        "distance_mean": float(distance.mean()),
        "distance_q90": float(distance.quantile(0.9)),
    }


def _agreement(found: pd.Series, truth: pd.Series) -> dict[str, float]:
    error = found - truth
    spread = 1.96 * error.std(ddof=1)
    total = float(((truth - truth.mean()) ** 2).sum())
    constant = found.nunique() < 2 or truth.nunique() < 2
    return {
        "count_bias": float(error.mean()),
        "count_mae": float(error.abs().mean()),
        "count_low": float(error.mean() - spread),
        "count_high": float(error.mean() + spread),
        "count_r2": 1 - float((error**2).sum()) / total if total > 0 else float("nan"),
        "count_correlation2": float("nan") if constant else float(found.corr(truth)) ** 2,
    }


def _over_tolerances(
    finds: _Finds, truth: Floats, tolerances: Sequence[float] | set[float], unit: str
) -> pd.DataFrame:
    rows = []
    for tolerance in sorted(tolerances):
        # what is as far as the tolerance is a pair; in mm it was rounded when it was divided
        reach = tolerance * (1 + 1e-9) if unit == "mm" else tolerance
        excused = finds.to_hidden <= reach
        paired, _ = match(finds.xy, truth, reach, excused)
        alarms = ~excused & _alone(len(finds.xy), paired)
        hits = len(paired)
        row = rates(hits, len(truth) - hits, int(alarms.sum()))
        rows.append({"tolerance": float(tolerance), **row, "unit": unit})
    return pd.DataFrame(rows)
