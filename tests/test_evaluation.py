from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from sklearn.metrics import average_precision_score

from roottip import table
from roottip.errors import InputError
from roottip.evaluation import (
    FALSE_ALARM,
    HIT,
    IGNORED,
    MISS,
    evaluate,
)
from roottip.matching import match

clouds = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=25)


def cloud(points) -> np.ndarray:
    return np.array(points, dtype=float).reshape(-1, 2)


def tips(image: str, rows, **columns) -> pd.DataFrame:
    return pd.DataFrame([(image, *row) for row in rows], columns=["image", "x", "y", *columns])


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


def test_more_pairs_go_before_shorter_distances():
    # pairing the two nearest points (2 px) would leave the others 11 px apart, unpaired
    found, truth = cloud([(0, 0), (9, 0)]), cloud([(7, 0), (18, 0)])
    i, j = match(found, truth, 10)
    assert dict(zip(i.tolist(), j.tolist(), strict=True)) == {0: 0, 1: 1}


def test_of_as_many_pairs_the_nearest_count():
    i, j = match(cloud([(0, 0), (3, 0)]), cloud([(4, 0)]), 10)
    assert (i.tolist(), j.tolist()) == ([1], [0])


def test_the_tolerance_itself_still_counts():
    assert len(match(cloud([(0, 0)]), cloud([(6, 8)]), 10)[0]) == 1
    assert len(match(cloud([(0, 0)]), cloud([(6, 8.001)]), 10)[0]) == 0


def test_a_case_worked_by_hand():
    truth = tips("a", [(10, 10, 0), (50, 50, 0), (90, 90, 1)], ignore=0)
    found = tips(
        "a",
        [
            (12, 10, 0.9),  # hit, 2 px off
            (11, 14, 0.8),  # false alarm: the tip is taken
            (91, 91, 0.7),  # ignored
            (88, 90, 0.6),  # ignored too: nobody could see what is there
            (200, 10, 0.5),  # false alarm
        ],
        score=0,
    )
    result = evaluate(found, truth, ["a", "b"], tolerance=10)
    s = result.summary
    assert (s["hits"], s["misses"], s["false_alarms"], s["ignored"]) == (1, 1, 2, 2)
    assert (s["truth"], s["found"], s["images"]) == (2, 5, 2)
    assert s["precision"] == pytest.approx(1 / 3)
    assert s["recall"] == pytest.approx(1 / 2)
    assert s["f1"] == pytest.approx(2 / 5)
    assert s["average_precision"] == pytest.approx(1 / 2)  # recall 1/2 at precision 1
    assert s["distance_median"] == 2
    assert s["count_bias"] == pytest.approx((1 + 0) / 2)
    outcomes = result.matches["outcome"].tolist()
    assert outcomes == [HIT, FALSE_ALARM, IGNORED, IGNORED, FALSE_ALARM, MISS]
    missed = result.matches.iloc[5]
    assert (missed["truth_x"], missed["truth_y"]) == (50, 50)
    b = result.per_image.set_index("image").loc["b"]
    assert (b["truth"], b["found"]) == (0, 0)
    assert np.isnan(b["precision"])


def test_a_visible_tip_is_a_hit_even_beside_an_ignored_one():
    truth = tips("a", [(10, 10, 0), (12, 10, 1)], ignore=0)
    s = evaluate(tips("a", [(12, 10, 0.9)], score=0), truth, ["a"], 10).summary
    assert (s["hits"], s["misses"], s["ignored"]) == (1, 0, 0)


def test_nothing_found_has_no_precision_and_no_recall_without_truth():
    none, one = tips("a", [], score=0), tips("a", [(1, 1)])
    nothing_found = evaluate(none, one, ["a"], 10).summary
    assert np.isnan(nothing_found["precision"])
    assert (nothing_found["recall"], nothing_found["f1"], nothing_found["misses"]) == (0, 0, 1)
    no_truth = evaluate(one, none, ["a"], 10).summary
    assert np.isnan(no_truth["recall"])
    assert np.isnan(no_truth["average_precision"])
    assert (no_truth["precision"], no_truth["false_alarms"]) == (0, 1)
    neither = evaluate(none, none, ["a"], 10).summary
    assert np.isnan(neither["f1"])


def crowd(seed: int, images: int = 6) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Truth, and found points some of which are near it, in several images."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for n in range(images):
        xy = rng.uniform(0, 200, (rng.integers(0, 15), 2))
        near = xy[rng.random(len(xy)) < 0.8]
        finds = np.concatenate([near + rng.normal(0, 5, near.shape), rng.uniform(0, 200, (5, 2))])
        t = table.points(f"{n}", xy)
        t["ignore"] = (rng.random(len(xy)) < 0.2).astype(int)
        truth.append(t)
        scores = np.round(rng.random(len(finds)), 1).astype(np.float32)
        found.append(table.points(f"{n}", finds, scores))
    return table.concat(found), pd.concat(truth), [f"{n}" for n in range(images)]


@pytest.mark.parametrize("seed", range(8))
def test_the_curve_is_what_each_threshold_gives(seed):
    found, truth, images = crowd(seed)
    curve = evaluate(found, truth, images, 10).curve
    assert list(curve["threshold"]) == sorted(found["score"].unique(), reverse=True)
    for row in curve.itertuples():
        s = evaluate(found, truth, images, 10, threshold=row.threshold).summary
        for name in ("precision", "recall", "f1"):
            assert getattr(row, name) == pytest.approx(s[name], nan_ok=True)


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_scikit_learns(seed):
    # tips far apart and no ties, so that each find is right or wrong whatever the others are;
    # scikit-learn knows no misses: they are rows that score below all others
    rng = np.random.default_rng(seed)
    grid = np.array([(x, y) for x in range(0, 500, 50) for y in range(0, 500, 50)], float)
    is_tip, is_found = rng.random(100) < 0.5, rng.random(100) < 0.7
    score = rng.permutation(100) / 100 + 0.1
    found = table.points("a", grid[is_found], score[is_found])
    ours = evaluate(found, table.points("a", grid[is_tip]), ["a"], 10).summary
    # all tips not found get the lowest score; the area that sklearn adds there is taken off
    counted = is_tip | is_found
    ranked = np.where(is_found, score, 0)[counted]
    reference = average_precision_score(is_tip[counted], ranked)
    recall_step, precision = (is_tip & ~is_found).sum() / is_tip.sum(), is_tip.sum() / counted.sum()
    last = recall_step * precision
    assert ours["average_precision"] == pytest.approx(reference - last)


@given(st.integers(0, 10_000))
def test_counts_add_up(seed):
    found, truth, images = crowd(seed, images=3)
    result = evaluate(found, truth, images, 10)
    s, per_image = result.summary, result.per_image
    assert s["hits"] + s["misses"] == s["truth"] == (truth["ignore"] == 0).sum()
    assert s["hits"] + s["false_alarms"] + s["ignored"] == s["found"] == len(found)
    for name in ("truth", "found", "hits", "misses", "false_alarms", "ignored"):
        assert per_image[name].sum() == s[name]


def test_intervals_resample_groups_not_images():
    # two images a group that err together: intervals as wide as for one image a group
    rng = np.random.default_rng(0)
    hits = rng.random(40) < 0.6
    truth = pd.concat([tips(f"{n}", [(0, 0)]) for n in range(40)])
    found = pd.concat([tips(f"{n}", [(0, 0)]) for n in range(40) if hits[n]])
    doubled = {f"{n}": f"{n}" for n in range(40)} | {f"{n}R": f"{n}" for n in range(40)}
    both = [frame.assign(image=frame["image"] + "R") for frame in (truth, found)]
    one = evaluate(found, truth, [f"{n}" for n in range(40)], 5).summary
    two = evaluate(pd.concat([found, both[1]]), pd.concat([truth, both[0]]), doubled, 5).summary
    assert two["groups"] == 40
    assert one["recall_low"] < one["recall"] < one["recall_high"]
    for name in ("recall_low", "recall_high"):
        assert two[name] == pytest.approx(one[name])
    # the width of the normal approximation, 2 * 1.96 * sqrt(p (1 - p) / 40)
    width = 3.92 * np.sqrt(one["recall"] * (1 - one["recall"]) / 40)
    assert one["recall_high"] - one["recall_low"] == pytest.approx(width, rel=0.15)


def test_one_group_has_no_interval():
    s = evaluate(tips("a", [(1, 1)]), tips("a", [(1, 1)]), ["a"], 10).summary
    assert s["precision"] == 1
    assert np.isnan(s["precision_low"])


def test_an_image_nobody_listed_is_an_error():
    with pytest.raises(InputError, match=r"found has tips in 'b.png'"):
        evaluate(tips("b.png", [(1, 1)]), tips("a.jpg", [(1, 1)]), ["a.jpg"], 10)
    with pytest.raises(InputError, match="no image"):
        evaluate(tips("b", []), tips("a", []), [], 10)
    with pytest.raises(InputError, match="tolerance=0"):
        evaluate(tips("a", []), tips("a", []), ["a"], 0)
