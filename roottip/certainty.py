"""How far chance may have moved a rate, or the difference of two.

Images of one group (a plant on two days) are not independent, so the group is the unit: every
figure here looks at what changes when a whole group is left out (the delete-a-group
jackknife) or when a whole group's results are swapped between two detectors. With one group
there is nothing to compare and the answers are NaN.

A bootstrap of groups would be the usual choice, but its percentile intervals are too narrow for
few groups; ``scripts/check_intervals.py`` measures how often these here hold the truth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from roottip.matching import Floats, rates

LEVEL = 0.95
"""Confidence level of all intervals."""

COUNTS = ["hits", "misses", "false_alarms"]
RATES = ["precision", "recall", "f1"]

FEW = 5
"""Errors or successes, the least for an interval from the variance between groups alone; the rule
of thumb for normal approximations to counts."""

_BLOCKS, _BLOCK = 9, 1111
"""Random swaps where there are too many groups to try all; a block at a time bounds the memory."""


def rate_intervals(counts: Floats) -> dict[str, tuple[float, float]]:
    """95 % intervals of the pooled ``precision``, ``recall`` and ``f1``.

    Parameters
    ----------
    counts : (G, 3)
        Hits, misses and false alarms of each group.

    Returns
    -------
    dict
        ``(low, high)`` of each rate.
    """
    hits, misses, alarms = np.asarray(counts, dtype=float).reshape(-1, 3).T
    return {
        "precision": interval(hits, hits + alarms),
        "recall": interval(hits, hits + misses),
        "f1": interval(2 * hits, 2 * hits + misses + alarms, hits + misses + alarms),
    }


def interval(part: Floats, whole: Floats, size: Floats | None = None) -> tuple[float, float]:
    """95 % interval of ``part.sum() / whole.sum()`` from the parts and wholes of groups.

    Wilson's score interval. Where the jackknife over groups finds more variance than
    independent trials would have, the number of trials is the effective one that explains it,
    and Student's quantile for the groups less one replaces the normal one, as the variance is
    then an estimate from so many groups.

    Parameters
    ----------
    part, whole : (G,) float
        ``0 <= part <= whole``.
    size : (G,) float, optional
        How many trials there were, where not ``whole``.

    Returns
    -------
    low, high : float
        In [0, 1].
    """
    some = whole > 0
    part, whole, trials = part[some], whole[some], (whole if size is None else size)[some].sum()
    groups = len(whole)
    if groups < 2:
        return float("nan"), float("nan")
    rate = part.sum() / whole.sum()
    variance = _jackknife_variance((part.sum() - part) / (whole.sum() - whole))
    independent = rate * (1 - rate)
    effective, quantile = trials, stats.norm.ppf((1 + LEVEL) / 2)
    if variance * trials > independent:
        effective = independent / variance
        quantile = stats.t.ppf((1 + LEVEL) / 2, groups - 1)
    per_trial = quantile**2 / effective
    centre = (rate + per_trial / 2) / (1 + per_trial)
    half = np.sqrt(per_trial * independent + per_trial**2 / 4) / (1 + per_trial)
    # the rate itself is inside, but for rounding
    return float(np.clip(centre - half, 0, rate)), float(np.clip(centre + half, rate, 1))


def difference(a: Floats, b: Floats, seed: int = 0) -> pd.DataFrame:
    """By how much the pooled rates of detector `a` are above those of `b` on the same images.

    Parameters
    ----------
    a, b : (G, 3)
        Hits, misses and false alarms of each group, the same groups in the same order.
    seed : int
        Of the random swaps, where there are too many groups to try all.

    Returns
    -------
    DataFrame
        A row for each rate: ``rate, difference, low, high, p``. ``low`` and ``high`` bound
        the 95 % interval: Student's, with the variance of the jackknife over groups, which
        takes both detectors' results away together (paired). With fewer than `FEW` errors, or
        successes, of either detector groups show too little of it; then the bounds are put
        together from each rate's `interval` (Newcombe, Statistics in Medicine 17, 1998,
        2635-2650), the correlation being that of the jackknife. ``p`` is from the permutation
        test that swaps the two detectors in any of the groups: how often chance alone
        makes a difference at least as large, in either direction, if the two are the same.
        Detectors as precise but of another recall are not the same: then the p of precision
        comes out too small, while its interval holds 0 as often as it should.
    """
    a, b = (np.asarray(counts, dtype=float).reshape(-1, 3) for counts in (a, b))
    some = ((a + b) > 0).any(axis=1)  # a group without tips and finds says nothing
    a, b = a[some], b[some]
    ours, theirs = _rates(a.sum(axis=0)), _rates(b.sum(axis=0))
    together = ours - theirs
    enough = len(a) > 1
    bounds = np.full((2, 3), np.nan)
    if enough:
        without = _rates(a.sum(axis=0) - a), _rates(b.sum(axis=0) - b)
        quantile = stats.t.ppf((1 + LEVEL) / 2, len(a) - 1)
        half = quantile * np.sqrt(_jackknife_variance(without[0] - without[1]))
        bounds = together + np.outer([-1, 1], half)
        few = np.minimum(_rarer(a), _rarer(b)) < FEW
        bounds[:, few] = _combined(ours, theirs, a, b, _correlation(*without))[:, few]
    return pd.DataFrame(
        {
            "rate": RATES,
            "difference": together,
            "low": np.maximum(bounds[0], -1),
            "high": np.minimum(bounds[1], 1),
            "p": _swapped(a, b, together, seed) if enough else np.nan,
        }
    )


def by_group(per_image: pd.DataFrame) -> pd.DataFrame:
    """Hits, misses and false alarms of each group in order, from `Evaluation.per_image`."""
    # by numbers: pandas groups by no name that is not UTF-8
    number, _ = pd.factorize(per_image["group"].to_numpy(object), sort=True)
    return per_image.groupby(number)[COUNTS].sum()


def _rates(counts: Floats) -> Floats:
    """``(…, 3)``: the `RATES` of ``(…, 3)`` counts."""
    named = rates(*np.moveaxis(counts, -1, 0))
    return np.stack([named[name] for name in RATES], axis=-1)


def _rarer(counts: Floats) -> Floats:
    """``(3,)``: successes or errors of each rate, whichever are fewer."""
    hits, misses, alarms = counts.sum(axis=0)
    return np.asarray(np.minimum(hits, [alarms, misses, misses + alarms]))


def _correlation(a: Floats, b: Floats) -> Floats:
    """``(3,)``: of ``(G, 3)`` rates with each group left out; 0 where one does not vary."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray(np.divide((a * b).sum(axis=0), scale, out=np.zeros(3), where=scale > 0))


def _combined(ours: Floats, theirs: Floats, a: Floats, b: Floats, correlation: Floats) -> Floats:
    """``(2, 3)``: bounds of the rates' differences from those of the rates."""
    (low, high), (lower, higher) = (np.array([*rate_intervals(c).values()]).T for c in (a, b))

    def apart(one: Floats, other: Floats) -> Floats:
        squared = one**2 + other**2 - 2 * correlation * one * other
        return np.asarray(np.sqrt(np.maximum(squared, 0)))

    together = ours - theirs
    return np.stack(
        [
            together - apart(ours - low, higher - theirs),
            together + apart(high - ours, theirs - lower),
        ]
    )


def _jackknife_variance(without: Floats) -> Floats:
    """Variance of a statistic, from its values with each group left out, along the first axis."""
    n = len(without)
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray((n - 1) / n * spread)


def _swapped(a: Floats, b: Floats, observed: Floats, seed: int) -> Floats:
    """Two-sided p of the difference of each rate under swaps of whole groups."""
    change = b - a
    change = change[(change != 0).any(axis=1)]  # swapping equal counts changes nothing
    n = len(change)
    exact = 2**n <= _BLOCKS * _BLOCK
    if exact:
        moved = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) @ change
    else:
        rng = np.random.default_rng(seed)
        blocks = (rng.integers(0, 2, (_BLOCK, n)).astype(float) for _ in range(_BLOCKS))
        moved = np.concatenate([block @ change for block in blocks])
    null = np.abs(_rates(a.sum(axis=0) + moved) - _rates(b.sum(axis=0) - moved))
    # a hair less than observed: the same counts may come from another sum
    extreme = (null >= np.abs(observed) - 1e-9).sum(axis=0)
    # of random swaps, the one observed is one more
    p = extreme / len(null) if exact else (extreme + 1) / (len(null) + 1)
    return np.where(np.isnan(observed), np.nan, p)
