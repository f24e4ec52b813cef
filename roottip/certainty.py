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
"""Of all intervals."""

COUNTS = ["hits", "misses", "false_alarms"]
RATES = ["precision", "recall", "f1"]

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

    Wilson's score interval with two changes. The number of trials is the effective one, which
    would give independent trials the variance that the jackknife over groups finds (at most
    the true number); and Student's quantile for the groups less one replaces the normal one.

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
    effective = min(independent / variance, trials) if variance > 0 else trials
    per_trial = stats.t.ppf((1 + LEVEL) / 2, groups - 1) ** 2 / effective
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
        takes both detectors' results away together (paired). ``p`` is from the permutation
        test that swaps the two detectors in any of the groups: how often chance alone
        makes a difference at least as large, in either direction.
    """
    a, b = (np.asarray(counts, dtype=float).reshape(-1, 3) for counts in (a, b))
    some = ((a + b) > 0).any(axis=1)  # a group without tips and finds says nothing
    a, b = a[some], b[some]
    together = _differences(a.sum(axis=0), b.sum(axis=0))
    enough = len(a) > 1
    half = np.full(3, np.nan)
    if enough:
        without = _differences(a.sum(axis=0) - a, b.sum(axis=0) - b)
        quantile = stats.t.ppf((1 + LEVEL) / 2, len(a) - 1)
        half = quantile * np.sqrt(_jackknife_variance(without))
    return pd.DataFrame(
        {
            "rate": RATES,
            "difference": together,
            "low": np.maximum(together - half, -1),
            "high": np.minimum(together + half, 1),
            "p": _swapped(a, b, together, seed) if enough else np.nan,
        }
    )


def by_group(per_image: pd.DataFrame) -> pd.DataFrame:
    """Hits, misses and false alarms of each group, from `Evaluation.per_image`."""
    return per_image.groupby("group")[COUNTS].sum()


def _differences(a: Floats, b: Floats) -> Floats:
    ours, theirs = (rates(*np.moveaxis(counts, -1, 0)) for counts in (a, b))
    return np.stack([ours[name] - theirs[name] for name in RATES], axis=-1)


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
    null = np.abs(_differences(a.sum(axis=0) + moved, b.sum(axis=0) - moved))
    # a hair less than observed: the same counts may come from another sum
    extreme = (null >= np.abs(observed) - 1e-9).sum(axis=0)
    # of random swaps, the one observed is one more
    p = extreme / len(null) if exact else (extreme + 1) / (len(null) + 1)
    return np.where(np.isnan(observed), np.nan, p)
