"""How well found points agree with the truth.

A found point and a truth point can be a pair when they are at most `tolerance` apart; each
belongs to one pair at most. Of all pairings the one with the most pairs is taken, and among
those the one with the smallest sum of distances. A paired found point is a **hit**; an
unpaired one is **ignored** when a truth point with ``ignore`` = 1 is within the tolerance
(nobody could see what is there), else a **false alarm**; an unpaired truth point is a
**miss**. Undefined ratios, such as the precision of nothing found, are NaN.

Pooled figures count all images together; per-image figures are in `Evaluation.per_image`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from roottip.errors import InputError
from roottip.table import check_points

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]
Numbers = TypeVar("Numbers", float, Floats)

HIT, MISS, FALSE_ALARM, IGNORED = "hit", "miss", "false alarm", "ignored"


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found out.

    Attributes
    ----------
    summary : dict
        Pooled figures: ``tolerance, threshold, images, groups, truth, found, hits, misses,
        false_alarms, ignored, precision, recall, f1``, the bounds of their 95 % intervals
        (``precision_low, precision_high`` …, bootstrap over groups),
        ``average_precision``, ``distance_median, distance_mean`` (px, over hits),
        ``count_bias, count_mae`` (found less true tips, an image).
    matches : DataFrame
        A row for each truth point and each found point, a pair sharing one:
        ``image, outcome, x, y, score, truth_x, truth_y, distance``.
    per_image : DataFrame
        A row for each image: ``image, group, truth, found, hits, misses, false_alarms,
        ignored, precision, recall, f1``.
    curve : DataFrame
        ``threshold, precision, recall, f1`` at each distinct score, highest first.
    """

    summary: dict[str, float]
    matches: pd.DataFrame
    per_image: pd.DataFrame
    curve: pd.DataFrame


def match(found: Floats, truth: Floats, tolerance: float) -> tuple[Indices, Indices]:
    """Pair found with truth points: most pairs first, then the least total distance.

    Parameters
    ----------
    found : (N, 2) float
        ``x, y``.
    truth : (M, 2) float
        ``x, y``, same units.
    tolerance : float
        Largest distance of a pair, inclusive, same units.

    Returns
    -------
    found_index, truth_index : (K,) intp
        The pairs.
    """
    pairs_found: list[int] = []
    pairs_truth: list[int] = []
    for in_found, in_truth in _components(found, truth, tolerance):
        distance = _distances(found[in_found], truth[in_truth])
        # an impossible pair costs more than all possible ones together, so none is taken
        # where a larger set of possible pairs exists
        impossible = (tolerance + 1) * (min(distance.shape) + 1)
        cost = np.where(distance <= tolerance, distance, impossible)
        rows, columns = linear_sum_assignment(cost)
        possible = distance[rows, columns] <= tolerance
        pairs_found.extend(in_found[rows[possible]])
        pairs_truth.extend(in_truth[columns[possible]])
    return np.asarray(pairs_found, dtype=np.intp), np.asarray(pairs_truth, dtype=np.intp)


def evaluate(
    found: pd.DataFrame,
    truth: pd.DataFrame,
    images: Sequence[str] | Mapping[str, str],
    tolerance: float,
    threshold: float = 0.0,
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Score found points against the truth.

    Parameters
    ----------
    found : DataFrame
        Points table; without ``score`` every point scores 1.
    truth : DataFrame
        Points table; ``ignore`` = 1 marks tips nobody could see.
    images : sequence of str, or mapping of str to str
        Every image scored, also those without truth and without finds; a mapping gives each
        its group, else each image is its own.
    tolerance : float
        px
    threshold : float
        Found points that score below count as not found, except in the curve.
    resamples, seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        A table is malformed, or names an image that `images` does not.
    """
    if not tolerance > 0:
        raise InputError(f"tolerance={tolerance} must be a distance above 0 px")
    found, truth = check_points(found, "found"), check_points(truth, "truth")
    if "score" not in found:
        found["score"] = 1.0
    groups = dict(images) if isinstance(images, Mapping) else {name: name for name in images}
    if not groups:
        raise InputError("there is no image to score")
    for name, frame in (("found", found), ("truth", truth)):
        unknown = sorted(set(frame["image"]) - set(groups))
        if unknown:
            raise InputError(
                f"{name} has tips in {unknown[0]!r} and {len(unknown) - 1} more images that are "
                f"not among the {len(groups)} scored, such as {next(iter(groups))!r}; image names "
                "must be the same in all tables"
            )

    found_of, truth_of = dict(list(found.groupby("image"))), dict(list(truth.groupby("image")))
    matches, changes = [], []
    for image in groups:
        f, t = found_of.get(image, found.iloc[:0]), truth_of.get(image, truth.iloc[:0])
        matches.append(_match_image(image, f[f["score"] >= threshold], t, tolerance))
        changes.append(_changes(f, t, tolerance))
    table = pd.concat(matches, ignore_index=True)
    per_image = _per_image(table, groups)
    wanted = int((truth["ignore"] == 0).sum())
    curve, average_precision = _curve(np.concatenate(changes), wanted)

    totals = per_image[["truth", "found", "hits", "misses", "false_alarms", "ignored"]].sum()
    hit = table["outcome"] == HIT
    error = per_image["found"] - per_image["ignored"] - per_image["truth"]
    summary = {
        "tolerance": tolerance,
        "threshold": threshold,
        "images": len(groups),
        "groups": len(set(groups.values())),
        **{name: int(value) for name, value in totals.items()},
        **_rates(totals["hits"], totals["misses"], totals["false_alarms"]),
        **_intervals(per_image, resamples, seed),
        "average_precision": average_precision,
        "distance_median": table.loc[hit, "distance"].median(),
        "distance_mean": table.loc[hit, "distance"].mean(),
        "count_bias": error.mean(),
        "count_mae": error.abs().mean(),
    }
    return Evaluation(summary, table, per_image, curve)


def compare_f1(
    a: Evaluation, b: Evaluation, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """By how much the pooled F1 of `a` is above that of `b`, both on the same images.

    Returns
    -------
    difference, low, high : float
        The bounds of the 95 % interval come from a paired bootstrap: each resample draws
        groups and takes both detectors on them. NaN where it is undefined.

    Raises
    ------
    InputError
        The two were not evaluated on the same images.
    """
    if not a.per_image[["image", "group"]].equals(b.per_image[["image", "group"]]):
        raise InputError("two detectors can be compared on the same images only")
    ours, theirs = (_resampled(e.per_image, resamples, seed)["f1"] for e in (a, b))
    return (float(a.summary["f1"] - b.summary["f1"]), *_interval(ours - theirs))


def best_threshold(curve: pd.DataFrame) -> float:
    """The threshold of a curve with the highest F1, midway to the next lower score.

    Midway, because a threshold that sits on a score of the tuning data is an accident of it.
    """
    f1 = curve["f1"].fillna(0).to_numpy()
    if len(f1) == 0:
        raise InputError("no point was found on the tuning data, so no threshold can be chosen")
    best = int(np.argmax(f1))
    scores = np.append(curve["threshold"].to_numpy(), 0.0)
    return float((scores[best] + scores[best + 1]) / 2)


def _distances(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)))


def _components(found: Floats, truth: Floats, tolerance: float) -> list[tuple[Indices, Indices]]:
    """The found and truth points that could be paired, in groups that cannot be paired across.

    Assignment is cubic in the number of points; groups are a few points each.
    """
    if len(found) == 0 or len(truth) == 0:
        return []
    # a hair wider than the tolerance: the tree rounds otherwise than `_distances` does
    near = cKDTree(found).query_ball_tree(cKDTree(truth), tolerance * (1 + 1e-9))
    edges = [(i, len(found) + j) for i, neighbours in enumerate(near) for j in neighbours]
    if not edges:
        return []
    i, j = np.asarray(edges).T
    n = len(found) + len(truth)
    _, label = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), False)
    members: dict[int, tuple[list[int], list[int]]] = {}
    for node in np.unique(np.concatenate([i, j])):
        side = int(node >= len(found))
        pair = members.setdefault(int(label[node]), ([], []))
        pair[side].append(int(node) - side * len(found))
    return [
        (np.asarray(f, dtype=np.intp), np.asarray(t, dtype=np.intp)) for f, t in members.values()
    ]


def _split(truth: pd.DataFrame) -> tuple[Floats, Floats]:
    xy = truth[["x", "y"]].to_numpy(dtype=np.float64)
    ignore = truth["ignore"].to_numpy() == 1
    return xy[~ignore], xy[ignore]


def _near_any(xy: Floats, targets: Floats, tolerance: float) -> NDArray[np.bool_]:
    if len(xy) == 0 or len(targets) == 0:
        return np.zeros(len(xy), dtype=bool)
    return np.asarray((_distances(xy, targets) <= tolerance).any(axis=1))


def _match_image(
    image: str, found: pd.DataFrame, truth: pd.DataFrame, tolerance: float
) -> pd.DataFrame:
    xy, score = found[["x", "y"]].to_numpy(dtype=np.float64), found["score"].to_numpy()
    visible, hidden = _split(truth)
    i, j = match(xy, visible, tolerance)
    outcome = np.where(_near_any(xy, hidden, tolerance), IGNORED, FALSE_ALARM).astype(object)
    outcome[i] = HIT
    partner = np.full((len(xy), 2), np.nan)
    partner[i] = visible[j]
    missed = np.delete(visible, j, axis=0)
    return pd.DataFrame(
        {
            "image": [image] * (len(xy) + len(missed)),
            "outcome": np.concatenate([outcome, np.full(len(missed), MISS, dtype=object)]),
            "x": np.concatenate([xy[:, 0], np.full(len(missed), np.nan)]),
            "y": np.concatenate([xy[:, 1], np.full(len(missed), np.nan)]),
            "score": np.concatenate([score, np.full(len(missed), np.nan)]),
            "truth_x": np.concatenate([partner[:, 0], missed[:, 0]]),
            "truth_y": np.concatenate([partner[:, 1], missed[:, 1]]),
            "distance": np.concatenate([np.hypot(*(xy - partner).T), np.full(len(missed), np.nan)]),
        }
    )


def _changes(found: pd.DataFrame, truth: pd.DataFrame, tolerance: float) -> Floats:
    """How hits and false alarms of an image change as the threshold falls past each score.

    Returns
    -------
    (N, 3) float64
        ``score, change of hits, change of false alarms``, a row for each found point. The sums
        down to a score are the counts that `_match_image` gives at that threshold.
    """
    order = np.argsort(-found["score"].to_numpy(), kind="stable")
    xy = found[["x", "y"]].to_numpy(dtype=np.float64)[order]
    visible, hidden = _split(truth)
    excused = _near_any(xy, hidden, tolerance)
    changes = np.zeros((len(xy), 3))
    changes[:, 0] = found["score"].to_numpy()[order]
    changes[:, 2] = ~excused
    for in_found, in_truth in _components(xy, visible, tolerance):
        hits, alarms = 0, 0
        for n in range(1, len(in_found) + 1):
            shown = in_found[:n]
            paired, _ = match(xy[shown], visible[in_truth], tolerance)
            alone = np.delete(shown, paired)
            hits_now, alarms_now = len(paired), int((~excused[alone]).sum())
            changes[in_found[n - 1], 1:] = hits_now - hits, alarms_now - alarms
            hits, alarms = hits_now, alarms_now
    return changes


def _curve(changes: Floats, wanted: int) -> tuple[pd.DataFrame, float]:
    """Precision and recall at each distinct score, and the area below: Σ (Rₙ - Rₙ₋₁) Pₙ."""
    changes = changes[np.argsort(-changes[:, 0], kind="stable")]
    last = np.append(changes[1:, 0] != changes[:-1, 0], True)[: len(changes)]
    hits, alarms = np.cumsum(changes[:, 1])[last], np.cumsum(changes[:, 2])[last]
    rates = _rates(hits, wanted - hits, alarms)
    curve = pd.DataFrame({"threshold": changes[last, 0], **rates})
    if wanted == 0:
        return curve, float("nan")
    step = np.diff(curve["recall"].to_numpy(), prepend=0.0)
    return curve, float((step * curve["precision"].fillna(0).to_numpy()).sum())


def _rates(hits: Numbers, misses: Numbers, false_alarms: Numbers) -> dict[str, Numbers]:
    with np.errstate(invalid="ignore"):
        return {
            "precision": np.divide(hits, np.add(hits, false_alarms, dtype=float)),
            "recall": np.divide(hits, np.add(hits, misses, dtype=float)),
            "f1": np.divide(2 * hits, np.add(2 * hits, misses + false_alarms, dtype=float)),
        }


def _per_image(matches: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    counts = pd.crosstab(matches["image"], matches["outcome"]).reindex(
        index=list(groups), columns=[HIT, MISS, FALSE_ALARM, IGNORED], fill_value=0
    )
    hits, misses, alarms, ignored = counts.to_numpy(dtype=np.int64).T
    return pd.DataFrame(
        {
            "image": list(groups),
            "group": list(groups.values()),
            "truth": hits + misses,
            "found": hits + alarms + ignored,
            "hits": hits,
            "misses": misses,
            "false_alarms": alarms,
            "ignored": ignored,
            **_rates(hits, misses, alarms),
        }
    )


def _intervals(per_image: pd.DataFrame, resamples: int, seed: int) -> dict[str, float]:
    """95 % percentile intervals of the pooled rates, resampling whole groups.

    Images of one group (a plant on two days) are not independent, so groups are drawn.
    With one group there is nothing to resample and the bounds are NaN.
    """
    bounds = {}
    for name, values in _resampled(per_image, resamples, seed).items():
        bounds[f"{name}_low"], bounds[f"{name}_high"] = _interval(values)
    return bounds


def _resampled(per_image: pd.DataFrame, resamples: int, seed: int) -> dict[str, Floats]:
    """Pooled rates of each resample; the same groups and seed draw the same groups."""
    counts = per_image.groupby("group")[["hits", "misses", "false_alarms"]].sum().to_numpy()
    n = len(counts)
    if n < 2:
        counts = np.zeros((n, 3))
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return _rates(*(drawn @ counts).T)


def _interval(values: Floats) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)
