from __future__ import annotations

import pandas as pd
import pytest

from roottip.compare import tables
from roottip.errors import InputError
from roottip.evaluation import Evaluation, evaluate
from roottip.verdict import _sentences, differences, judge

IMAGES = [f"{n}" for n in range(12)]
TRUTH = pd.DataFrame(
    [(name, 40 * k, 9) for name in IMAGES for k in range(10)], columns=["image", "x", "y"]
)


def finding(*hits: int, alarms: int = 0, images=None) -> Evaluation:
    """Finds so many of the ten tips in each image, in turn."""
    found = [(name, 40 * k, 9) for n, name in enumerate(IMAGES) for k in range(hits[n % len(hits)])]
    found += [(name, 40 * k + 20, 9) for name in IMAGES for k in range(alarms)]
    found = pd.DataFrame(found, columns=["image", "x", "y"])
    return evaluate(found, TRUTH, IMAGES if images is None else images, 5)


def said_of(evaluations: dict[str, Evaluation]) -> str:
    return " ".join(judge(evaluations).sentences)


def test_who_finds_more_is_said_of_100():
    made = {"baseline": finding(7, 6, alarms=2), "cnn": finding(9, 8, 9)}
    said = said_of(made)
    assert said.startswith("cnn finds 86.7% of the marked tips (95 % interval ")
    row = differences(made).set_index("rate").loc["recall"]
    assert row["difference"] == pytest.approx(26 / 30 - 13 / 20)
    low, high = 100 * row["low"], 100 * row["high"]
    more = f"22 more of 100 tips than baseline (95 % interval {low:.0f} to {high:.0f})."
    assert f"cnn finds {more}" in said
    assert "are tips than with baseline (95 % interval " in said
    f1 = differences(made).set_index("rate").loc["f1"]
    apart = f"by {f1['difference']:.3f} (95 % interval {f1['low']:.3f} to {f1['high']:.3f})."
    assert f"(F1): cnn is ahead of baseline, {apart}" in said


def test_a_lower_recall_of_the_best_is_said_too():
    said = said_of({"eager": finding(9, 10, alarms=9), "sure": finding(8, 9)})
    assert "sure finds 10 fewer of 100 tips than eager" in said or (
        "sure finds 10.0 fewer of 100 tips than eager" in said
    )


def test_what_may_be_chance_is_no_difference():
    said = said_of({"a": finding(9, 7), "b": finding(7, 9, 8, 8)})
    assert "No difference shown between a and b in how many tips they find: " in said
    assert "(F1): a is not shown to be ahead of b, by " in said
    assert "-0.0 " not in said
    same = said_of({"a": finding(9, 7), "b": finding(9, 7)})
    assert "No difference shown between a and b in how many tips they find: 0.0 points" in same


def test_one_detector_one_group_no_tips_no_finds():
    assert said_of({"a": finding(9, 8)}).count(". ") == 0  # one sentence, nothing to compare
    one_group = dict.fromkeys(IMAGES, "plate")
    said = said_of({"a": finding(9, images=one_group), "b": finding(5, images=one_group)})
    assert "Of 100 tips 40 more are found with a than with b; these groups" in said
    assert "interval" not in said
    alone = said_of({"a": finding(9, images=one_group)})
    assert alone.endswith("With one group of images nothing can be said of chance.")
    assert said_of({"a": finding(0), "b": finding(0)}) == "None of the 120 marked tips is found."
    assert "b finds nothing, so what share" in said_of({"a": finding(9), "b": finding(0)})
    none = evaluate(TRUTH, TRUTH.iloc[:0], IMAGES, 5)
    assert said_of({"a": none}).startswith("No tip is marked in these images")
    assert differences({"a": none}).empty


def test_finds_that_do_not_count_are_no_nothing():
    hidden = pd.concat([TRUTH.assign(ignore=0), TRUTH.assign(y=300, ignore=1)])
    a, b = (evaluate(TRUTH.assign(y=y), hidden, IMAGES, 5) for y in (9, 300))
    assert "b finds only what is to be ignored, so what share" in said_of({"a": a, "b": b})


def test_a_small_difference_is_not_none():
    many = pd.DataFrame({"image": "a", "x": range(0, 24000, 40), "y": 9})
    a, b = (evaluate(found, many, ["a"], 5) for found in (many, many.iloc[1:]))
    assert "Of 100 tips 0.2 more are found with a than with b" in said_of({"a": a, "b": b})


def test_tips_in_one_of_many_groups_say_nothing_of_chance():
    said = said_of({"a": evaluate(TRUTH.iloc[:9], TRUTH.iloc[:10], IMAGES, 5)})
    assert said.endswith("With marked tips in one group of images nothing can be said of chance.")


def test_every_two_are_compared_the_better_first():
    made = {"a": finding(5), "b": finding(9, 8), "c": finding(7)}
    pairs = differences(made)[["detector", "other"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["b", "c"], ["b", "a"], ["c", "a"]]
    other = evaluate(TRUTH, TRUTH, [*IMAGES, "z"], 5)
    with pytest.raises(InputError, match="the same images only"):
        differences({"a": made["a"], "z": other})


def test_tables_hold_every_detectors_rows():
    made = {"a": finding(5), "b": finding(9, 8)}
    frames = tables(made, judge(made))
    assert list(frames["comparison"])[:5] == ["detector", "tolerance", "precision", "recall", "f1"]
    assert list(frames["by_tolerance"])[:5] == [
        "detector",
        "tolerance",
        "precision",
        "recall",
        "f1",
    ]
    for name, frame in frames.items():
        assert next(iter(frame)) == "detector"
        if name != "differences":
            assert list(frame["detector"].unique()) == ["a", "b"]


THREE = pd.DataFrame({"image": ["a", "a", "b"], "x": [10.0, 90, 10], "y": [10.0, 90, 10]})


def of(found: pd.DataFrame, groups: dict[str, str]) -> Evaluation:
    return evaluate(found, THREE, groups, 10)


ALL, ONE = THREE, THREE.iloc[:1]


@pytest.mark.parametrize("second", ["a", "b"])
def test_without_an_interval_no_difference_is_claimed(second):
    # second = a: one group; second = b: all finds of `few` in one of two groups, so that its
    # precision without that group is undefined
    groups = {"a": "a", "b": second}
    few = pd.concat([ONE, ONE.assign(x=50.0)])
    said = said_of({"all": of(ALL, groups), "few": of(few, groups)})
    assert "Of 100 finds 50 more are tips with all than with few; these groups" in said
    assert "too few to say whether that is chance" in said
    assert "more of 100 tips" not in said
    assert "more are tips than" not in said


def test_equal_detectors_in_one_group():
    groups = {"a": "g", "b": "g"}
    said = said_of({"one": of(ALL, groups), "two": of(ALL, groups)})
    assert "Of 100 tips as many are found with one as with two" in said
    assert "0.0 more" not in said
    assert "more of 100 tips" not in said


def test_the_interval_of_fewer_is_turned_round():
    told = judge({"eager": finding(10, 9, 9, alarms=9), "sure": finding(7, 9, 8)})
    row = told.differences.set_index("rate").loc["recall"]
    low, high = -100 * row["high"], -100 * row["low"]
    assert low < 13 < high
    said = f"finds 13 fewer of 100 tips than eager (95 % interval {low:.0f} to {high:.0f})."
    assert said in str(told)


def test_bounds_of_some_points_have_no_digits():
    told = judge({"a": finding(9, 9, 8), "b": finding(8, 8, 8)})
    assert "a finds 7 more of 100 tips than b (95 % interval 4 to 10)." in str(told)


def test_fewer_in_one_group_are_fewer():
    one = dict.fromkeys(IMAGES, "plate")
    told = judge({"a": finding(5, images=one), "b": finding(6, alarms=9, images=one)})
    assert "Of 100 tips 10 fewer are found with a than with b; these groups" in str(told)


def test_a_bound_near_0_has_a_digit_that_says_on_which_side_it_is():
    one, two = finding(9, 9, 8), finding(8, 8, 8)
    told = judge({"a": one, "b": two}).differences
    told.loc[told["rate"] == "recall", ["difference", "low", "high"]] = 0.03, 0.004, 0.06
    said = " ".join(_sentences({"a": one, "b": two}, told))
    assert "a finds 3.0 more of 100 tips than b (95 % interval 0.4 to 6.0)." in said


def test_that_one_group_is_too_few_is_said_once():
    groups = {"a": "g", "b": "g"}
    few = pd.concat([ONE, ONE.assign(x=50.0)])
    assert "nothing can be said of chance" in said_of({"all": of(ALL, groups)})
    assert "can be said of chance" not in said_of({"all": of(ALL, groups), "few": of(few, groups)})


def test_finds_that_are_all_false_alarms_are_no_nothing():
    said = said_of({"a": finding(9, 8), "b": finding(0, alarms=1)})
    assert "Of 100 finds 100 more are tips than with b" in said
    assert "b finds nothing" not in said


def test_as_many_other_images_are_not_the_same():
    one, other = (evaluate(TRUTH, TRUTH, [*IMAGES, name], 5) for name in ("y", "z"))
    with pytest.raises(InputError, match="on the same images only"):
        judge({"a": one, "b": other})
