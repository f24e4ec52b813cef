from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from roottip.errors import InputError
from roottip.matching import apart, match, nearest, steps

clouds = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=25)


def cloud(points) -> np.ndarray:
    return np.array(points, dtype=float).reshape(-1, 2)


@given(clouds, clouds, st.floats(0.5, 12))
def test_as_many_pairs_as_scipys_bipartite_matching(found, truth, tolerance):
    found, truth = cloud(found), cloud(truth)
    i, j = match(found, truth, tolerance)
    assert len(set(i.tolist())) == len(i)
    assert len(set(j.tolist())) == len(j)
    assert (np.linalg.norm(found[i] - truth[j], axis=1) <= tolerance).all()
    if len(found) and len(truth):
        near = np.linalg.norm(found[:, None] - truth[None], axis=2) <= tolerance
        reference = maximum_bipartite_matching(csr_array(near), perm_type="column")
        assert len(i) == (reference >= 0).sum()
    else:
        assert len(i) == 0


def test_points_may_be_lists_and_a_tolerance_below_0_is_refused():
    i, j = match([[1, 2], [30, 30]], [[31, 30]], 2)
    assert (i.tolist(), j.tolist()) == ([1], [0])
    assert len(match([], [[1, 2]], 2)[0]) == 0
    with pytest.raises(InputError, match="tolerance=-1 must be a number of at least 0"):
        match([[1, 2]], [[1, 2]], -1)


@pytest.mark.parametrize(
    "points", [[1.0, 2.0], [[np.nan, 2]], [[1, np.inf]], [["a", 2]], [[1, 2], [3]], 5, [[[1, 2]]]]
)
def test_points_that_are_none_are_refused(points):
    with pytest.raises(InputError, match=r"found must be an array of finite numbers of shape \(N,"):
        match(points, [[1, 2]], 2)
    with pytest.raises(InputError, match="truth must be an array of finite numbers"):
        match([[1, 2]], points, 2)
    with pytest.raises(InputError, match="found has 2 coordinates a point and truth 3; give both"):
        match([[1, 2]], [[1, 2, 3]], 2)


def test_more_pairs_go_before_shorter_distances():
    # pairing the two nearest points (2 px) would leave the others 11 px apart, unpaired
    found, truth = cloud([(0, 0), (9, 0)]), cloud([(7, 0), (18, 0)])
    i, j = match(found, truth, 10)
    assert dict(zip(i.tolist(), j.tolist(), strict=True)) == {0: 0, 1: 1}


def test_of_as_many_pairs_the_nearest_count():
    i, j = match(cloud([(0, 0), (3, 0)]), cloud([(4, 0)]), 10)
    assert (i.tolist(), j.tolist()) == ([1], [0])


def test_the_sum_of_distances_counts_not_the_nearest_pair():
    # the nearest pair, 1 px, would leave 9 px to the other: 10 in place of 5 + 3
    i, j = match(cloud([(0, 0), (6, 0)]), cloud([(5, 0), (9, 0)]), 10)
    assert dict(zip(i.tolist(), j.tolist(), strict=True)) == {0: 0, 1: 1}


@given(clouds, clouds, st.data())
def test_counts_of_any_threshold_are_those_of_its_points_alone(found, truth, data):
    # whole numbers: many finds are equally near
    found, truth = cloud(found), cloud(truth)
    numbers = st.lists(st.integers(0, 4), min_size=len(found), max_size=len(found))
    score = np.array(data.draw(numbers), dtype=float)
    excused = np.array(data.draw(numbers), dtype=int) == 0
    changes = steps(found, score, excused, truth, 6)
    for threshold in range(5):
        kept = score >= threshold
        hits, _ = match(found[kept], truth, 6, excused[kept])
        alarms = ~excused[kept]
        alarms[hits] = False
        assert changes[kept].sum(axis=0).tolist() == [len(hits), alarms.sum()]


def test_the_tolerance_itself_still_counts():
    assert len(match(cloud([(0, 0)]), cloud([(6, 8)]), 10)[0]) == 1
    assert len(match(cloud([(0, 0)]), cloud([(6, 8.001)]), 10)[0]) == 0


@given(st.lists(st.tuples(clouds, clouds), min_size=1, max_size=4), st.floats(0.5, 12))
def test_many_images_at_once_are_matched_like_one_by_one(pictures, tolerance):
    number = [np.repeat(np.arange(len(pictures)), [len(p[k]) for p in pictures]) for k in (0, 1)]
    found, truth = (
        apart(np.concatenate([cloud(p[k]) for p in pictures]), number[k]) for k in (0, 1)
    )
    i, j = match(found, truth, tolerance)
    assert (number[0][i] == number[1][j]).all()
    distance = np.linalg.norm(found[i] - truth[j], axis=1)
    for n, (f, t) in enumerate(pictures):
        a, b = match(cloud(f), cloud(t), tolerance)
        own = distance[number[0][i] == n]
        assert len(own) == len(a)
        assert own.sum() == pytest.approx(np.linalg.norm(cloud(f)[a] - cloud(t)[b], axis=1).sum())


def test_the_nearest_is_in_the_same_image():
    points = apart(cloud([(0, 0), (3, 4), (0, 0)]), np.array([0, 0, 1]))
    assert nearest(points, points, rank=2)[0].tolist() == [5, 5, np.inf]
    assert nearest(points, points[:0])[0].tolist() == [np.inf] * 3


def test_a_tolerance_is_met_whatever_the_last_bit():
    rng = np.random.default_rng(0)
    for found, truth in rng.uniform(0, 1000, (2000, 2, 1, 2)):
        tolerance = float(np.linalg.norm(found - truth, axis=1)[0])
        assert len(match(found, truth, tolerance)[0]) == 1
        assert nearest(found, truth)[0][0] <= tolerance
