from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roottip.looks import agreed, doubted

LARGE = 250_000  # px of an image that must hold something plain


def finds(*rows: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return table[:, :2], table[:, 2].astype(np.float32)


def test_a_tip_is_where_the_first_look_sees_it_and_as_sure_as_all_looks():
    first = finds((10, 10, 0.4), (50, 50, 0.6))
    second = finds((12, 10, 0.8), (90, 90, 0.9))
    points, scores = agreed([first, second], [2, 1], radius=8)
    # 2/3 * 0.6; 2/3 * 0.4 + 1/3 * 0.8; 1/3 * 0.9
    assert points.tolist() == [[10, 10], [50, 50], [90, 90]]
    assert scores == pytest.approx([1.6 / 3, 0.4, 0.3])
    assert scores.dtype == np.float32


def test_a_find_confirms_one_tip_only():
    first = finds((10, 10, 0.9), (14, 10, 0.8))
    second = finds((12, 10, 0.6))
    points, scores = agreed([first, second], [1, 1], radius=8)
    assert points.tolist() == [[10, 10], [14, 10]]
    assert scores == pytest.approx([0.75, 0.4])


def test_of_two_finds_in_reach_the_surer_confirms():
    first = finds((10, 10, 0.9))
    second = finds((11, 10, 0.2), (15, 10, 0.7))
    points, scores = agreed([first, second], [1, 1], radius=8)
    assert points.tolist() == [[10, 10], [11, 10]]
    assert scores == pytest.approx([0.8, 0.1])


def test_nothing_found_is_nothing():
    points, scores = agreed([finds(), finds()], [1, 1], radius=8)
    assert points.shape == (0, 2)
    assert scores.shape == (0,)


some = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(0.125, 1, width=32)), max_size=12
)


@given(some, some, st.integers(1, 3))
def test_scores_are_shared_out_and_none_is_lost(one, other, weight):
    looks = [finds(*one), finds(*other)]
    points, scores = agreed(looks, [weight, 1], radius=8)
    weighted = weight * looks[0][1].sum() + looks[1][1].sum()
    assert scores.sum() * (weight + 1) == pytest.approx(weighted, rel=1e-5, abs=1e-6)
    assert len(points) >= max(len(one), len(other))
    assert (np.diff(scores) <= 0).all()
    seen = {tuple(place) for found, _ in looks for place in found}
    assert {tuple(place) for place in points} <= seen


@given(some)
def test_looks_that_see_the_same_change_nothing(rows):
    apart = {(x // 20, y // 20): (x // 20 * 20, y // 20 * 20, s) for x, y, s in rows}
    look = finds(*apart.values())
    points, scores = agreed([look, look, look], [1, 1, 1], radius=8)
    assert {(*p, s) for p, s in zip(points.tolist(), scores.round(4).tolist(), strict=True)} == {
        (*p, s) for p, s in zip(look[0].tolist(), look[1].round(4).tolist(), strict=True)
    }


def test_where_nothing_is_sure_odds_are_lowered():
    # odds 3 where 4 are asked for: all odds times (3 / 4) ** 4
    scores = np.array([0.75, 0.5], np.float32)
    odds = np.array([3, 1]) * (3 / 4) ** 4
    assert doubted(scores, 0.8, LARGE) == pytest.approx(odds / (1 + odds))
    assert doubted(scores, 0.8, LARGE).dtype == np.float32


def test_less_is_asked_of_a_small_image():
    # of one in five parts of the area a fifth of the odds: 4 / 5, and not 4
    scores = np.array([0.4, 0.2], np.float32)
    odds = np.array([2 / 3, 1 / 4]) * ((2 / 3) / (4 / 5)) ** 4
    assert doubted(scores, 0.8, 50_000) == pytest.approx(odds / (1 + odds))
    assert doubted(scores, 0.6, 50_000).tolist() == scores.tolist()  # 3 / 10 asked for


def test_more_is_asked_of_an_image_that_was_enlarged_a_lot():
    # twice as much as 1.5: 16 times the odds, 4 in place of 1 / 4
    scores = np.array([0.75, 0.5], np.float32)
    odds = np.array([3, 1]) * (3 / 4) ** 4
    assert doubted(scores, 0.2, LARGE, 3.0) == pytest.approx(odds / (1 + odds))
    assert doubted(scores, 0.2, LARGE, 1.5).tolist() == scores.tolist()


certainties = st.lists(st.floats(0, 1, width=32), max_size=12)


@given(certainties, st.floats(0, 0.99), st.floats(1, 1e9))
def test_one_sure_find_vouches_for_all_and_doubts_keep_the_order(scores, surest, area):
    before = np.array(sorted(scores, reverse=True), np.float32)
    after = doubted(before, surest, area)
    larger = doubted(before, surest, 2 * area)
    assert (larger <= after + 1e-6).all()
    assert (after <= before).all()
    assert (np.diff(after) <= 0).all()
    if len(before) == 0 or float(before[0]) >= surest:
        assert larger.tolist() == after.tolist() == before.tolist()
    elif area > LARGE:
        assert larger.tolist() == after.tolist()


def test_of_many_finds_in_reach_the_surest_confirms():
    turn = np.linspace(0, 6, 40)
    around = np.stack([50 + 6 * np.cos(turn), 50 + 6 * np.sin(turn)], axis=1)
    for best in range(40):
        scores = np.full(40, 0.2, np.float32)
        scores[best] = 0.8
        first = np.array([[50.0, 50.0]]), np.array([0.9], np.float32)
        _, means = agreed([first, (around, scores)], [1, 1], radius=8)
        assert means[0] == pytest.approx(0.85)


def test_of_equally_sure_finds_the_topmost_is_asked_first():
    first = np.array([[0.0, 5.0], [5.0, 0.0]]), np.full(2, 0.8, np.float32)
    second = np.array([[3.0, 3.0]]), np.array([0.6], np.float32)
    points, _scores = agreed([first, second], [1, 1], radius=5)
    assert points[0].tolist() == [5, 0]
