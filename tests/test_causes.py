from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roottip.causes import by_cause
from roottip.evaluation import evaluate
from roottip.matching import FALSE_ALARM, HIT, MISS

SIZE = {"width": 400, "height": 300}


def points(rows, *columns) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image", "x", "y", *columns])


def test_causes_without_tags_worked_by_hand():
    truth = points(
        [
            ("a", 100, 100),  # close pair with the next, 20 px
            ("a", 120, 100),
            ("a", 396, 150),  # 3 px from the right edge
            ("b", 100, 100),  # where a has one: another image
        ]
    )
    images = pd.DataFrame({"image": ["a", "b"], **SIZE})
    result = evaluate(truth.iloc[[0, 2]], truth, images, 10)
    rows = result.by_cause.set_index(["by", "value"])
    assert [*rows.loc["cause"].index] == ["free", "border", "close pair"]
    assert rows.loc[("cause", "close pair"), ["count", "of", "rate"]].tolist() == [1, 2, 0.5]
    assert rows.loc[("cause", "border"), ["count", "of"]].tolist() == [1, 1]
    assert rows.loc[("cause", "free"), ["count", "of"]].tolist() == [0, 1]
    neighbour = rows.loc["nearest tip"]
    assert neighbour.loc["20 to 30 px", "of"] == 2
    assert neighbour.loc["60 px or more", "of"] == 2  # one of them alone in its image
    assert neighbour["of"].sum() == 4


def test_tags_and_orders_of_truth_count():
    rows = [
        ("a", 100, 100, "hair;small", 0),
        ("a", 110, 200, "", 1),
        ("a", 200, 100, "small", 1),
    ]
    truth = points(rows, "cause", "root_order")
    rows = evaluate(truth.iloc[:2, :3], truth, ["a"], 10).by_cause.set_index(["by", "value"])
    assert {*rows.loc["cause"].index} == {"free", "hair", "small"}
    assert rows.loc[("cause", "small"), ["count", "of", "rate"]].tolist() == [1, 2, 0.5]
    assert rows.loc[("root order", "1"), ["count", "of", "rate"]].tolist() == [1, 2, 0.5]
    assert rows.loc[("root order", "0"), ["count", "of", "rate"]].tolist() == [1, 1, 1]


def test_causes_of_false_alarms_worked_by_hand():
    truth = points([("a", 100, 100)])
    distractors = points(
        [("a", 104, 100, "hair"), ("a", 200, 200, "dirt"), ("b", 2, 2, "seed")], "cause"
    )
    found = points(
        [
            ("a", 100, 100),  # the hit
            ("a", 108, 100),  # nearest what lies there: a hair, though the tip is near too
            ("a", 93, 100),  # 11 px from the hair, 7 from the tip that is hit already
            ("a", 203, 200),  # dirt
            ("a", 3, 150),  # border; the seed is in another image
            ("a", 300, 150),  # nothing known
        ]
    )
    images = pd.DataFrame({"image": ["a", "b"], **SIZE})
    result = evaluate(found, truth, images, 10, distractors=distractors)
    assert result.matches["cause"].tolist() == [
        "free",
        "hair",
        "duplicate",
        "dirt",
        "border",
        "other",
    ]
    rows = result.by_cause.set_index(["by", "value"]).loc["cause of false alarm"]
    assert (rows["count"] == 1).all()
    assert (rows["of"] == 5).all()
    # the tip not hit: what lies beside it is no duplicate of anything
    alone = evaluate(found.iloc[[4]], truth, images, 10, distractors=distractors)
    assert alone.matches["cause"].tolist() == ["border", "free"]


@given(st.integers(0, 10_000))
def test_counts_by_cause_sum_to_the_totals(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    outcome = rng.choice([HIT, MISS, FALSE_ALARM], n)
    matches = pd.DataFrame(
        {
            "image": rng.choice(["a", "b", "c"], n),
            "outcome": outcome,
            "cause": rng.choice(["free", "hair", "dirt"], n),
            "root_order": rng.choice([0.0, 1.0, np.nan], n),
            "neighbour": np.where(
                outcome == FALSE_ALARM, np.nan, rng.choice([3, 10, 70, np.inf], n)
            ),
        }
    )
    rows = by_cause(matches, {"a": "1", "b": "1", "c": "2"})
    for _, part in rows[rows["outcome"] == HIT].groupby("by"):
        assert part["count"].sum() == (outcome == HIT).sum()
        assert part["of"].sum() == (outcome != FALSE_ALARM).sum()
    alarms = rows[rows["outcome"] == FALSE_ALARM]
    assert alarms["count"].sum() == (outcome == FALSE_ALARM).sum()
    counted = rows[rows["of"] > 0]
    assert counted["rate"].tolist() == pytest.approx((counted["count"] / counted["of"]).tolist())
    known = rows.dropna(subset=["low"])
    assert (known["low"] <= known["rate"] + 1e-12).all()
    assert (known["rate"] <= known["high"] + 1e-12).all()


def test_blanks_around_tags_make_no_tag_of_their_own():
    marked = pd.DataFrame({"image": ["a", "a", "b"], "x": [10.0, 90, 10], "y": [10.0, 90, 10]})
    truth = marked.assign(cause=["hair; dirt", " dirt;hair ;", ";"])
    table = evaluate(marked, truth, ["a", "b"], 10).by_cause
    counted = table[table["by"] == "cause"].set_index("value")["of"]
    assert counted.to_dict() == {"free": 1, "dirt": 2, "hair": 2}


def test_what_lies_on_a_bound_is_within_it():
    rows = [(100, 100), (130, 100), (10, 200), (389.5, 250), (389, 180), (200, 289), (12, 12)]
    truth = pd.DataFrame([("a", *xy) for xy in rows], columns=["image", "x", "y"])
    images = pd.DataFrame({"image": ["a"], "width": [400], "height": [300]})
    others = [("a", 210.0, 200.0, "dirt")]
    distractors = pd.DataFrame(others, columns=["image", "x", "y", "cause"])
    extra = [("a", 110, 100), ("a", 220, 200), ("a", 5, 12)]
    found = pd.concat([truth, pd.DataFrame(extra, columns=["image", "x", "y"])])
    made = evaluate(found, truth, images, 10, distractors=distractors).matches
    of = {(row.x, row.y): (row.outcome, row.cause) for row in made.itertuples()}
    causes = ["close pair", "close pair", "free", "border", "free", "free", "free"]
    assert [of[xy] for xy in rows] == [("hit", cause) for cause in causes]
    # both are 10 px off; the last is a duplicate although it is at the border too
    alarms = [of[xy][1] for xy in ((110, 100), (220, 200), (5, 12))]
    assert alarms == ["duplicate", "dirt", "duplicate"]


def test_tips_just_over_30_px_apart_are_no_close_pair():
    truth = points([("a", 100, 100), ("a", 130.01, 100)])
    assert evaluate(truth, truth, ["a"], 10).matches["cause"].tolist() == ["free", "free"]


def test_what_looks_like_a_tip_misleads_in_its_own_image_only():
    distractors = points([("b", 50, 50, "dirt")], "cause")
    found, truth = points([("a", 50, 50)]), points([("a", 10, 10)])
    made = evaluate(found, truth, ["a", "b"], 5, distractors=distractors).matches
    assert made["cause"].tolist() == ["other", "free"]


def test_a_root_order_that_nobody_gave_is_unknown():
    truth = points([("a", 10, 10, 0.0), ("a", 90, 10, np.nan)], "root_order")
    rows = evaluate(truth, truth, ["a"], 5).by_cause
    of = rows[rows["by"] == "root order"].set_index("value")["of"]
    assert of.to_dict() == {"unknown": 1, "0": 1}
