from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from roottip import table
from roottip.learning.choice import THRESHOLDS, best, curves
from roottip.learning.plates import Plate


def test_curves_count_what_scores_the_threshold_and_nothing_above_all():
    plate = Plate(
        "d",
        "a",
        "a",
        np.zeros((40, 60, 3), np.uint8),
        np.array([[10.0, 10.0], [50.0, 30.0]]),
        np.empty((0, 2)),
    )
    found = table.points("a", plate.tips, np.array([0.5, 0.25], np.float32))
    (curve,) = curves([found], [plate]).values()
    at = curve.set_index("threshold")
    assert at.loc[[0.25, 0.26, 0.5, 0.51], "recall"].tolist() == [1, 0.5, 0.5, 0]
    assert at.loc[[0.25, 0.5, 0.51], "f1"].tolist() == pytest.approx([1, 2 / 3, 0])
    assert np.isnan(at.loc[0.51, "precision"])
    assert at["tips"].unique().tolist() == [2]


@pytest.mark.parametrize(
    ("known", "tips", "expected"),
    [
        (None, 5, 0.7),  # the highest that does as well
        (0.6, 5, 0.6),  # as well as any
        (0.9, 10**6, 0.7),  # the nearest that does
        (0.1, 10**6, 0.4),
        (0.9, 50, 0.85),  # 0.775 and 0.8 of 50 tips are hardly told apart, 0.5 and 0.8 are
        (0.9, 1, 0.85),
        (0.9, 200, 0.7),
    ],
)
def test_few_tips_hardly_move_a_threshold_that_is_known(known, tips, expected):
    f1 = np.select([THRESHOLDS < 0.395, THRESHOLDS < 0.705, THRESHOLDS < 0.855], [0.5, 0.8, 0.775])
    curve = pd.DataFrame({"f1": f1, "tips": tips})
    threshold, value = best({"d": curve}, {"d": 1.0}, known)
    assert (threshold, value) == (expected, 0.775 if expected > 0.7 else 0.8)


def test_f1_that_nothing_defines_is_none():
    f1 = np.where(THRESHOLDS < 0.4, 0.5, np.nan)
    threshold, value = best({"d": pd.DataFrame({"f1": f1, "tips": 3})})
    assert (threshold, value) == (0.39, 0.5)
