from __future__ import annotations

import runpy
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from roottip.certainty import _combined, difference, interval, rate_intervals
from roottip.matching import rates

CHECK = Path(__file__).parents[1] / "scripts" / "check_intervals.py"


def test_one_find_a_group_is_scipys_wilson_interval():
    # independent trials: only Student's quantile and the jackknife's n - 1 set them apart
    part = np.repeat([0.0, 1.0], [60, 340])
    low, high = interval(part, np.ones(400))
    reference = stats.binomtest(340, 400).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=4e-4)


def test_groups_that_err_together_count_once():
    part, whole = np.repeat([0.0, 1.0], [6, 14]), np.ones(20)
    assert interval(9 * part, 9 * whole) == pytest.approx(interval(part, whole))


def test_nothing_wrong_is_no_certainty():
    low, high = interval(np.full(5, 4.0), np.full(5, 4.0))
    assert high == 1
    reference = stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert low == pytest.approx(reference.low)
    assert 0.8 < low < 0.9


def test_one_group_and_empty_groups():
    assert np.isnan(interval(np.array([3.0]), np.array([4.0]))).all()
    assert np.isnan(interval(np.array([3.0, 0]), np.array([4.0, 0]))).all()
    some, with_empty = ([[3, 1, 0], [2, 2, 1]], [[3, 1, 0], [2, 2, 1], [0, 0, 0]])
    assert rate_intervals(some) == rate_intervals(with_empty)
    told = difference(some, [[2, 2, 0], [2, 2, 2]])
    again = difference(with_empty, [[2, 2, 0], [2, 2, 2], [0, 0, 0]])
    assert told.equals(again)
    alone = difference([[3, 1, 0]], [[2, 2, 0]])
    assert alone["difference"].tolist() == pytest.approx([0, 0.25, 6 / 7 - 2 / 3])
    assert alone[["low", "high", "p"]].isna().all(axis=None)


def counts(seed: int, groups: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tips = rng.integers(5, 30, groups)
    hits = rng.binomial(tips, [[0.9], [0.75]])
    alarms = rng.poisson(3, (2, groups))
    a, b = np.stack([hits, tips - hits, alarms], axis=2)
    return a, b


def test_the_paired_difference_is_the_t_test_where_groups_are_of_one_size():
    # with 10 tips in each group the pooled recall is the mean, its difference a paired t-test's
    rng = np.random.default_rng(0)
    hits = rng.binomial(10, [[0.9], [0.8]], (2, 15))
    a, b = (np.stack([h, 10 - h, np.zeros_like(h)], axis=1) for h in hits)
    row = difference(a, b).set_index("rate").loc["recall"]
    reference = stats.ttest_rel(hits[0] / 10, hits[1] / 10).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((reference.low, reference.high))


def test_few_errors_are_compared_by_each_rates_own_interval():
    # two equal groups of each: trials as if independent, so Newcombe's example of 56 / 70 and
    # 48 / 80 (Statistics in Medicine 17, 1998, 873-890, method 10) is met without correlation
    a, b = np.array([[28.0, 7, 0]] * 2), np.array([[24.0, 16, 0]] * 2)
    low, high = _combined(np.full(3, 0.8), np.full(3, 0.6), a, b, np.zeros(3))[:, 1]
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    # no error at all in one: the jackknife alone would say that there is no doubt
    sure = np.array([[10.0, 0, 0]] * 6)
    row = difference(sure, [[9, 1, 0]] * 6).set_index("rate").loc["recall"]
    assert row["difference"] == pytest.approx(0.1)
    assert row["low"] < 0.05
    assert row["high"] > 0.15


@pytest.mark.parametrize("groups", [7, 40])
def test_p_is_scipys_permutation_test(groups):
    a, b = counts(1, groups)
    both, row = np.concatenate([a, b]), np.arange(groups)

    def statistic(ours, theirs, axis):
        f1 = [rates(*np.moveaxis(both[at].sum(-2), -1, 0))["f1"] for at in (ours, theirs)]
        return f1[0] - f1[1]

    reference = stats.permutation_test(
        (row, row + groups),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
    )
    p = difference(a, b).set_index("rate").loc["f1", "p"]
    assert p == pytest.approx(reference.pvalue, abs=1e-12 if groups == 7 else 0.02)


def test_a_detector_does_not_differ_from_itself_and_the_sign_turns():
    a, b = counts(2, 12)
    same = difference(a, a)
    assert (same[["difference", "low", "high"]] == 0).all(axis=None)
    assert (same["p"] == 1).all()
    there, back = difference(a, b), difference(b, a)
    assert there["difference"].to_numpy() == pytest.approx(-back["difference"].to_numpy())
    assert there["low"].to_numpy() == pytest.approx(-back["high"].to_numpy())
    assert there["p"].to_numpy() == pytest.approx(back["p"].to_numpy())


def test_a_detector_that_finds_nothing_has_no_precision_to_compare():
    a, _ = counts(3, 6)
    blind = np.stack([np.zeros(6), a[:, 0] + a[:, 1], np.zeros(6)], axis=1)
    told = difference(a, blind).set_index("rate")
    assert np.isnan(told.loc["precision"].to_numpy(dtype=float)).all()
    assert told.loc["recall", "low"] > 0.5


def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch):
    monkeypatch.syspath_prepend(CHECK.parent)
    # 250 repetitions: chance alone moves a true 95 % by 1.4 points (standard deviation)
    held = runpy.run_path(str(CHECK))["coverage"](12, 250)
    ours = held[[name for name in held.index if "bootstrap" not in name and "chance" not in name]]
    assert len(ours) == 9
    assert ours.between(0.91, 0.99).all()
    assert held[[name for name in held.index if "chance" in name]].max() < 0.1
    # what a plain bootstrap would have told
    assert held["bootstrap, better recall"] < 0.91


@pytest.mark.parametrize("seed", range(4))
def test_p_is_the_share_of_all_swaps_counted_one_by_one(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(1, 9, (2, 6, 3))

    def recall(counts) -> float:
        return counts[:, 0].sum() / counts[:, :2].sum()

    observed = abs(recall(a) - recall(b))
    swaps = [np.array(swap, dtype=bool)[:, None] for swap in product([0, 1], repeat=6)]
    null = [abs(recall(np.where(s, b, a)) - recall(np.where(s, a, b))) for s in swaps]
    p = difference(a, b).set_index("rate").loc["recall", "p"]
    assert p == pytest.approx(np.mean([value >= observed - 1e-9 for value in null]))


def test_differences_end_at_one():
    a, b = np.array([[20, 2, 9], [2, 20, 9]]), np.array([[2, 20, 9], [20, 2, 9]])
    rows = difference(a, b)
    assert rows["low"].min() == -1
    assert rows["high"].max() == 1


def test_few_errors_that_two_detectors_share_hardly_part_them():
    a = np.array([[10.0, 0, 0]] * 5 + [[8, 2, 0]] * 2)
    row = difference(a, a).set_index("rate").loc["recall"]
    low, high = interval(a[:, 0], a[:, :2].sum(axis=1))
    assert row["difference"] == 0
    assert row["high"] - row["low"] < 1.5 * (high - low)


def test_no_p_of_random_swaps_is_zero():
    a, b = np.array([[10.0, 0, 0]] * 40), np.array([[2.0, 8, 0]] * 40)
    b[::2] += (1, -1, 0)
    assert difference(a, b)["p"].iloc[1] == pytest.approx(1 / 10_000)


def test_five_errors_are_enough():
    a, b = np.array([[10.0, 1, 0]] * 5), np.array([[9.0, 2, 0]] * 5)
    row = difference(a, b).set_index("rate").loc["recall"]
    assert row["low"] == pytest.approx(row["difference"])  # the jackknife's: groups alike


def test_f1_is_as_certain_as_hits_misses_and_false_alarms_are_many():
    # hits count twice in the rate, yet each is one trial
    low, high = rate_intervals([[4, 0, 0]] * 5)["f1"]
    reference = stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(reference.low), 1)


@pytest.mark.parametrize(("groups", "few"), [(4, True), (5, False)])
def test_five_successes_are_enough_too(groups, few):
    a, b = np.array([[1.0, 19, 0]] * groups), np.array([[10.0, 10, 0]] * groups)
    row = difference(a, b).set_index("rate").loc["recall"]
    assert (row["low"] < row["difference"] - 0.01) == few  # groups alike: the jackknife's is 0


def test_random_swaps_are_seeded():
    a, b = counts(1, 40)
    first, again, other = (difference(a, b, seed)["p"].tolist() for seed in (0, 0, 1))
    assert first == again != other
