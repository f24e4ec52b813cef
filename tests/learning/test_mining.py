"""Looking at plates: what a graphics card finds quickly, and the threshold that is best."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from roottip import windows
from roottip.learning.choice import THRESHOLDS, best
from roottip.learning.mining import (
    APART,
    LEAST,
    MOST,
    RADIUS,
    SIZES,
    detector_of,
    false_alarms,
    finder,
    peaks_of,
)
from roottip.learning.net import STRIDE, WINDOW, TipNet
from roottip.learning.plates import Plate


def test_peaks_are_the_highest_scores_of_all_windows() -> None:
    torch.manual_seed(0)
    net = TipNet(kernels=4, features=6, hidden=5).eval()
    net.layers[-1].weight.data *= 8  # scores far apart
    image = np.random.default_rng(0).integers(0, 256, (150, 131, 3), dtype=np.uint8)
    y, x = np.mgrid[0:150:STRIDE, 0:131:STRIDE]
    centres = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.int32)
    patches = windows.patches(image, centres, WINDOW).transpose(0, 3, 1, 2)
    with torch.no_grad():
        scores = net(torch.from_numpy(np.ascontiguousarray(patches))).sigmoid().numpy().ravel()
    peaks = {
        tuple(centre): score
        for centre, score in zip(centres.tolist(), scores, strict=True)
        if score >= LEAST and score == scores[np.abs(centres - centre).max(axis=1) <= RADIUS].max()
    }
    assert len(peaks) > 3
    found = [tuple(point) for point in peaks_of(net)(image).astype(int).tolist()]
    assert set(found) == peaks.keys()
    own = [peaks[point] for point in found]
    np.testing.assert_allclose(own, sorted(own, reverse=True), atol=1e-5)  # some are that close


def test_what_one_look_gets_wrong_is_mined_whatever_another_says() -> None:
    torch.manual_seed(0)
    net = TipNet(kernels=4, features=6, hidden=5).eval()
    net.layers[-1].weight.data *= 8
    image = np.random.default_rng(0).integers(0, 256, (150, 131, 3), dtype=np.uint8)
    once = detector_of(net, sizes=[1]).find(image)[0]
    assert len(once) > 3
    assert len(once) != len(detector_of(net).find(image)[0])
    np.testing.assert_array_equal(finder(net)(image), once)
    looking = detector_of(net)
    assert (looking.threshold, looking.radius, looking.sizes) == (LEAST, APART, SIZES)
    assert (looking.surest, looking.review) == (0, None)


def falling_from(**peaks: tuple[float, int]) -> dict[str, pd.DataFrame]:
    """Curves of datasets with so many tips whose F1 falls off on both sides of a threshold."""
    return {
        name: pd.DataFrame({"f1": 1 - np.abs(THRESHOLDS - peak), "tips": tips})
        for name, (peak, tips) in peaks.items()
    }


def test_the_threshold_is_the_best_for_tips_or_for_the_shares_asked_for() -> None:
    curves = falling_from(many=(0.7, 1000), few=(0.3, 10))
    assert best(curves)[0] == 0.7
    assert best(curves, {"many": 0.2, "few": 0.8, "tipless": 5.0})[0] == 0.3
    # at 0.3 the one has 1 and the other 0.6
    assert best(curves, {"many": 0.2, "few": 0.8})[1] == pytest.approx(0.8 + 0.2 * 0.6)


def test_of_thresholds_that_do_about_as_well_the_highest_is_best() -> None:
    # beside the peak at 0.3 F1 falls by a step of the grid, 0.01; here by a fifth of that
    curves = falling_from(plates=(0.3, 10))
    flat = {"plates": curves["plates"].assign(f1=lambda curve: 0.8 + curve["f1"] / 5)}
    assert best(flat) == (pytest.approx(0.31), pytest.approx(0.998))
    assert flat["plates"]["f1"].max() == pytest.approx(1)


def test_a_net_in_training_looks_as_it_would_ship_and_goes_on_training() -> None:
    torch.manual_seed(0)
    net = TipNet(kernels=4, features=6, hidden=5).train()
    net.layers[-1].weight.data *= 8
    image = np.random.default_rng(0).integers(0, 256, (150, 131, 3), dtype=np.uint8)
    found = peaks_of(net)(image)
    assert net.training
    assert len(found) > 3
    np.testing.assert_array_equal(found, peaks_of(net.eval())(image))


def test_the_worst_false_alarms_are_mined_on_some_plates_of_each_dataset() -> None:
    none, image = np.empty((0, 2)), np.zeros((9, 9, 3), np.uint8)
    plates = [Plate(name, "n", "g", image, none, none) for name in "aaabbbbb"]
    alarms = np.arange(2 * MOST + 20).reshape(-1, 2)
    looked = [len(points) > 0 for points in false_alarms(lambda _: alarms, plates, (0,), looks=2)]
    assert (sum(looked[:3]), sum(looked[3:])) == (2, 2)
    (mined,) = false_alarms(lambda _: alarms, plates[:1], (0,))
    assert mined.tolist() == alarms[:MOST].tolist()


def test_finds_near_tips_take_no_false_alarms_place_and_places_are_rounded() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    plate = Plate("d", "n", "g", image, np.array([[50.0, 50.0]]), np.empty((0, 2)))
    finds = np.concatenate([np.full((MOST, 2), 50.0), [[200.6, 199.7]]])
    (mined,) = false_alarms(lambda _: finds, [plate], (0,))
    assert mined.tolist() == [[201, 200]]
