from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, r2_score

from roottip import table
from roottip.errors import InputError
from roottip.evaluation import at_thresholds, evaluate
from roottip.matching import FALSE_ALARM, HIT, IGNORED, MISS


def tips(image: str, rows, **columns) -> pd.DataFrame:
    frame = pd.DataFrame([(0, *row) for row in rows], columns=["image", "x", "y", *columns])
    return frame.assign(image=table.texts([image] * len(frame)))


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


@pytest.mark.parametrize(
    ("image", "x", "outcome"), [("a", 8, IGNORED), ("a", 8.01, FALSE_ALARM), ("b", 0, FALSE_ALARM)]
)
def test_ignoring_reaches_as_far_as_the_tolerance_in_its_image(image, x, outcome):
    hidden = tips("a", [(0, 0, 1)], ignore=0)
    result = evaluate(tips(image, [(x, 6, 0.9)], score=0), hidden, ["a", "b"], 10)
    assert result.matches["outcome"].tolist() == [outcome]
    alarms = int(outcome == FALSE_ALARM)
    assert result.summary["false_alarms"] == alarms
    assert result.candidates["false_alarms"].tolist() == [alarms]
    precision = result.by_tolerance.set_index("tolerance")["precision"][10]
    assert precision == 0 if alarms else np.isnan(precision)


def test_a_visible_tip_is_a_hit_even_beside_an_ignored_one():
    truth = tips("a", [(10, 10, 0), (12, 10, 1)], ignore=0)
    s = evaluate(tips("a", [(12, 10, 0.9)], score=0), truth, ["a"], 10).summary
    assert (s["hits"], s["misses"], s["ignored"]) == (1, 0, 0)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
@pytest.mark.parametrize("sure", [[0.9, 0.8], [0.8, 0.9]])
def test_of_finds_equally_near_a_tip_the_one_beside_nothing_else_is_the_hit(order, sure):
    truth = tips("a", [(100, 100, 0), (114, 100, 1)], ignore=0)
    # either could be the hit; the one at 105 is excused if it is not
    found = tips("a", [(105, 100, sure[0]), (95, 100, sure[1])], score=0).iloc[order]
    result = evaluate(found, truth, ["a"], 10)
    s = result.summary
    assert (s["hits"], s["false_alarms"], s["ignored"]) == (1, 0, 1)
    assert result.curve["precision"].iloc[-1] == s["precision"] == 1
    at_ten = result.by_tolerance.set_index("tolerance").loc[10]
    assert at_ten["precision"] == 1


def test_a_table_of_images_is_checked_like_the_others():
    images = pd.DataFrame({"image": ["d\\a", "b"], "px_per_mm": [1.0, 100.0]})
    both = pd.concat([tips("d/a", [(1, 1)]), tips("b", [(5, 1)])])
    moved = both.assign(x=both["x"] + [1, 0])
    result = evaluate(moved, both, images, 10)
    assert result.summary["distance_mean_mm"] == pytest.approx(0.5)
    with pytest.raises(InputError, match="row 2, column image: 'b' is there twice"):
        evaluate(moved, both, pd.DataFrame({"image": ["b", "b"]}), 10)


def test_what_is_no_table_and_no_list_of_names_is_said():
    found = tips("plate.jpg", [(1, 1)])
    with pytest.raises(
        InputError, match=r"truth must be a DataFrame, not str; roottip\.table\.read"
    ):
        evaluate(found, "tips.csv", ["plate.jpg"], 10)
    with pytest.raises(InputError, match=r"images='plate\.jpg' is one name; give a list"):
        evaluate(found, found, "plate.jpg", 10)
    with pytest.raises(InputError, match="distractors has no column y, cause; it has image, x"):
        evaluate(found, found, ["plate.jpg"], 10, distractors=found[["image", "x"]])


def test_a_list_of_images_is_checked_like_a_table():
    both = pd.concat([tips(1, [(1, 1)]), tips("d/b", [(5, 1)])])
    result = evaluate(both, both, [1, "d\\b", 2], 10)
    assert result.per_image[["image", "group", "hits"]].to_numpy().tolist() == [
        ["1", "1", 1],
        ["d/b", "d/b", 1],
        ["2", "2", 0],
    ]
    assert evaluate(both, both, {1: "g", "d/b": "g"}, 10).summary["groups"] == 1
    for images in (["1", "d/b", "1"], [1, "d/b", "1"], {1: "g", "d/b": "g", "1": "h"}):
        with pytest.raises(InputError, match="images, row 3, column image: '1' is there twice"):
            evaluate(both, both, images, 10)


@pytest.mark.parametrize("kind", [list, dict.fromkeys, lambda n: pd.DataFrame({"image": n})])
def test_a_name_that_is_not_utf8_is_a_name(kind):
    names = pd.Series(["a", "w\udcff"], dtype=object)
    images = kind(names) if kind is not dict.fromkeys else dict(zip(names, names, strict=True))
    both = pd.concat([tips(name, [(1, 1), (50, 50)]) for name in names])
    result = evaluate(both.iloc[:3], both, images, 10)
    assert result.per_image[["hits", "misses"]].to_numpy().tolist() == [[2, 0], [1, 1]]
    assert result.matches["image"].tolist() == ["a", "a", "w\udcff", "w\udcff"]


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


@pytest.mark.parametrize("seed", range(3))
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


@settings(max_examples=20)
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
    with pytest.raises(InputError, match=r"found has points in 'b.png'"):
        evaluate(tips("b.png", [(1, 1)]), tips("a.jpg", [(1, 1)]), ["a.jpg"], 10)
    with pytest.raises(InputError, match="no image"):
        evaluate(tips("b", []), tips("a", []), [], 10)
    with pytest.raises(InputError, match="tolerance=0"):
        evaluate(tips("a", []), tips("a", []), ["a"], 0)
    with pytest.raises(InputError, match=r"tolerance=1000000000\.0 .* at most"):
        evaluate(tips("a", []), tips("a", []), ["a"], 1e9)


def test_a_truth_may_have_the_columns_of_a_table_of_matches():
    truth = tips("a", [(1, 1), (50, 50)]).assign(truth_x=7.0, truth_y=8.0, score=0.5)
    matches = evaluate(tips("a", [(2, 1)]), truth, ["a"], 10).matches
    assert matches["truth_x"].tolist() == [1.0, 50.0]
    assert matches["distance"].tolist()[0] == 1.0


def test_localisation_and_count_agreement_against_scipy_and_scikit_learn():
    found, truth, images = crowd(3, images=12)
    result = evaluate(found, truth, images, 10)
    s, distance = result.summary, result.matches["distance"].dropna().to_numpy()
    assert s["distance_median"] == pytest.approx(np.median(distance))
    assert s["distance_mean"] == pytest.approx(np.mean(distance))
    assert s["distance_q90"] == pytest.approx(np.quantile(distance, 0.9))
    counted = (result.per_image["found"] - result.per_image["ignored"]).to_numpy()
    true = result.per_image["truth"].to_numpy()
    assert s["count_r2"] == pytest.approx(r2_score(true, counted))
    assert s["count_correlation2"] == pytest.approx(stats.pearsonr(true, counted).statistic ** 2)
    low, high = stats.norm.interval(0.95, np.mean(counted - true), np.std(counted - true, ddof=1))
    assert (s["count_low"], s["count_high"]) == pytest.approx((low, high), rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_each_tolerance_is_what_evaluating_at_it_gives(seed):
    found, truth, images = crowd(seed)
    rows = evaluate(found, truth, images, 7, threshold=0.3).by_tolerance
    assert list(rows["tolerance"]) == [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30]
    for row in rows.iloc[::4].itertuples():
        s = evaluate(found, truth, images, row.tolerance, threshold=0.3).summary
        for name in ("precision", "recall", "f1"):
            assert getattr(row, name) == pytest.approx(s[name], nan_ok=True)


def test_tolerances_in_mm_follow_each_images_scale():
    # 5 px off in both images: 0.5 mm in one, 2.5 mm in the other
    truth = pd.concat([tips("a", [(20, 20)]), tips("b", [(20, 20)])])
    found = pd.concat([tips("a", [(25, 20)]), tips("b", [(25, 20)])])
    images = pd.DataFrame({"image": ["a", "b"], "px_per_mm": [10.0, 2.0]})
    result = evaluate(found, truth, images, 10)
    rows = result.by_tolerance
    mm = rows[rows["unit"] == "mm"].set_index("tolerance")["recall"]
    assert (mm[0.25], mm[0.5], mm[2], mm[3]) == (0, 0.5, 0.5, 1)
    assert result.summary["distance_mean_mm"] == pytest.approx(1.5)
    images.loc[1, "px_per_mm"] = np.nan  # one image's scale unknown: no figures in mm
    without = evaluate(found, truth, images, 10)
    assert set(without.by_tolerance["unit"]) == {"px"}
    assert "distance_mean_mm" not in without.summary


@pytest.mark.parametrize("seed", range(4))
def test_candidates_count_each_image_at_any_threshold(seed):
    found, truth, images = crowd(seed)
    candidates = evaluate(found, truth, images, 10).candidates
    for threshold in (0.2, 0.5, 0.8):
        per_image = evaluate(found, truth, images, 10, threshold).per_image.set_index("image")
        kept = candidates[candidates["score"] >= threshold]
        summed = kept.groupby("image")[["hits", "false_alarms"]].sum().reindex(images, fill_value=0)
        assert (summed == per_image[["hits", "false_alarms"]]).all(axis=None)


def test_an_ignored_find_above_all_others_leaves_an_average_precision():
    truth = tips("a", [(10, 10, 0), (90, 90, 1)], ignore=0)
    found = tips("a", [(90, 90, 0.9), (10, 10, 0.8)], score=0)
    assert evaluate(found, truth, ["a"], 10).summary["average_precision"] == 1


def test_mm_hold_downwards_and_for_ignored_tips():
    truth = tips("a", [(20, 20, 0), (80, 20, 1)], ignore=0)
    found = tips("a", [(20, 25), (80, 25)])  # 5 px, 0.5 mm
    images = pd.DataFrame({"image": ["a"], "px_per_mm": [10.0]})
    rows = evaluate(found, truth, images, 10).by_tolerance
    mm = rows[rows["unit"] == "mm"].set_index("tolerance")[["precision", "recall"]]
    assert mm.loc[0.25].tolist() == [0, 0]
    assert mm.loc[0.5].tolist() == [1, 1]
    far = evaluate(tips("a", [(6, 0), (107, 0)]), tips("a", [(11, 0), (112, 0)]), images, 10)
    assert far.by_tolerance.query("unit == 'mm' and tolerance == 0.5")["recall"].item() == 1
    images["px_per_mm"] = 0.0
    assert set(evaluate(found, truth, images, 10).by_tolerance["unit"]) == {"px"}


def test_rates_at_thresholds():
    curve = pd.DataFrame(
        {"threshold": [0.8, 0.5], "precision": [1.0, 0.5], "recall": [0.5, 1.0], "f1": [2 / 3] * 2}
    )
    at = at_thresholds(curve, [0.4, 0.5, 0.6, 0.8, 0.9])
    assert at["threshold"].tolist() == [0.4, 0.5, 0.6, 0.8, 0.9]
    assert at["precision"].tolist()[:4] == [0.5, 0.5, 1, 1]
    assert np.isnan(at["precision"].iloc[4])
    assert at["recall"].tolist() == [1, 1, 0.5, 0.5, 0]
    assert at_thresholds(curve.iloc[:0], [0.4, 0.5])["f1"].tolist() == [0, 0]
    some = pd.Series([0.4, 0.9], index=[7, 8])
    pd.testing.assert_frame_equal(
        at_thresholds(curve, some), at.iloc[[0, 4]].reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(at_thresholds(curve, 0.4), at.iloc[:1])
