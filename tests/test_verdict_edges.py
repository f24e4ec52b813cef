"""What must not be claimed, and references that share no code with the package."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from roottip.certainty import difference
from roottip.evaluation import evaluate
from roottip.verdict import verdict

TRUTH = pd.DataFrame({"image": ["a", "a", "b"], "x": [10.0, 90, 10], "y": [10.0, 90, 10]})


def of(found: pd.DataFrame, groups: dict[str, str]):
    return evaluate(found, TRUTH, groups, 10)


ALL, ONE = TRUTH, TRUTH.iloc[:1]


@pytest.mark.parametrize("second", ["a", "b"])
def test_without_an_interval_no_difference_is_claimed(second):
    # second = a: one group; second = b: all finds of `few` in one of two groups, so that its
    # precision without that group is undefined
    groups = {"a": "a", "b": second}
    few = pd.concat([ONE, ONE.assign(x=50.0)])
    said = verdict({"all": of(ALL, groups), "few": of(few, groups)})
    assert "Of 100 finds 50 more are tips with all than with few; these groups" in said
    assert "too few to say whether that is chance" in said
    assert "points more" not in said


def test_equal_detectors_in_one_group():
    groups = {"a": "g", "b": "g"}
    said = verdict({"one": of(ALL, groups), "two": of(ALL, groups)})
    assert "Of 100 tips as many are found with one as with two" in said
    assert "0.0 points more" not in said


def test_blanks_around_tags_make_no_tag_of_their_own():
    truth = TRUTH.assign(cause=["hair; dirt", " dirt;hair ;", ";"])
    table = evaluate(ALL, truth, ["a", "b"], 10).by_cause
    counted = table[table["by"] == "cause"].set_index("value")["of"]
    assert counted.to_dict() == {"free": 1, "dirt": 2, "hair": 2}


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
