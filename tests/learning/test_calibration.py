from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve

from roottip import table
from roottip.learning import calibration
from roottip.learning.calibration import calibrate, platt
from roottip.learning.net import WINDOW, TipNet
from roottip.learning.plates import Plate, read_plates


def scaled(scores: np.ndarray, slope: float, shift: float) -> np.ndarray:
    """After Platt's scaling."""
    return expit(slope * logit(np.clip(scores, 1e-6, 1 - 1e-6)) + shift)


def drawn_scores(slope: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose hits follow a known slope and shift."""
    rng = np.random.default_rng(0)
    scores = expit(rng.normal(1, 2, 20_000))
    return scores, rng.random(len(scores)) < scaled(scores, slope, shift)


def test_platt_finds_the_scaling_that_made_the_hits() -> None:
    assert platt(*drawn_scores(0.6, -1.5)) == pytest.approx((0.6, -1.5), abs=0.06)


def test_platt_is_the_maximum_of_the_likelihood() -> None:
    scores, hits = (part[:80] for part in drawn_scores(2, 0.5))
    target = np.where(hits, (hits.sum() + 1) / (hits.sum() + 2), 1 / ((~hits).sum() + 2))

    def loss(ab: np.ndarray) -> float:
        p = expit(ab[0] * logit(scores) + ab[1])
        return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).sum())

    assert platt(scores, hits) == pytest.approx(minimize(loss, [1.0, 0.0]).x, abs=0.01)


def test_platt_is_finite_where_a_score_parts_hits_from_the_rest() -> None:
    slope, shift = platt(np.array([0.1, 0.2, 0.8, 1.0]), np.array([False, False, True, True]))
    assert 0 < slope < 10
    assert abs(shift) < 10


def test_scaling_makes_scores_the_share_of_hits() -> None:
    scores, hits = drawn_scores(0.6, -1.5)

    def error(of: np.ndarray) -> float:
        share, mean = calibration_curve(hits, of, n_bins=10, strategy="quantile")
        return float(np.abs(share - mean).mean())

    assert error(scores) > 0.15
    assert error(scaled(scores, *platt(scores, hits))) < 0.02


def test_a_find_weighs_what_it_is_given() -> None:
    scores, hits = (part[:3000] for part in drawn_scores(2, 0.5))
    weight = np.where(hits, 3.0, 1.0)
    often = [np.repeat(part, weight.astype(int)) for part in (scores, hits)]
    assert platt(scores, hits, weight) == pytest.approx(platt(*often), abs=0.02)
    assert platt(scores, hits)[1] < platt(scores, hits, weight)[1] - 0.5


def test_a_nets_last_layer_takes_the_scaling(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = TipNet(kernels=4, features=4, hidden=4).eval()
    images = torch.randint(0, 256, (4, 3, WINDOW, WINDOW), dtype=torch.uint8)
    before = [part.detach() for part in net.look(images)]
    monkeypatch.setattr(calibration, "platt", lambda *_: (0.5, -2.0))
    monkeypatch.setattr(calibration, "FEWEST", 0)
    plates = read_plates([drawn])
    assert calibrate(net, plates)["slope"] == 0.5
    logits, offsets = net.look(images)
    torch.testing.assert_close(logits, 0.5 * before[0] - 2.0)
    torch.testing.assert_close(offsets, before[1])


def test_too_few_to_fit_leave_the_net(drawn: Path) -> None:
    net = TipNet(kernels=4, features=4, hidden=4)
    weight = net.layers[-1].weight.detach().clone()
    # 8 tips at most can be hit
    assert calibrate(net, read_plates([drawn])) is None
    assert torch.equal(net.layers[-1].weight, weight)


def test_datasets_weigh_their_shares_and_what_is_ignored_or_missed_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.zeros((90, 90, 3), np.uint8)
    tips, ignored = np.array([[10.0, 10.0], [40.0, 10.0]]), np.array([[70.0, 10.0]])
    first = Plate("a", "1", "g", image, tips, ignored)
    second = Plate("b", "2", "g", image, tips[:1], ignored[:0])
    # of the first a tip, a false alarm and what is to be ignored; of the second its tip
    found = {"1": np.array([[10.0, 10], [40, 60], [70, 10]]), "2": tips[:1]}
    given: list[tuple[np.ndarray, ...]] = []
    monkeypatch.setattr(
        calibration,
        "scan",
        lambda _, plates: [
            table.points(plate.name, found[plate.name], np.full(len(found[plate.name]), 0.5))
            for plate in plates
        ],
    )
    monkeypatch.setattr(calibration, "FEWEST", 0)
    monkeypatch.setattr(calibration, "platt", lambda *finds: given.append(finds) or (1.0, 0.0))
    net = TipNet(kernels=4, features=4, hidden=4)
    calibrate(net, [first, second])
    calibrate(net, [first, second], {"a": 3.0, "b": 0.5})
    (_, hits, alike), (_, _, asked) = given
    assert sorted(zip(hits.tolist(), alike.tolist(), asked.tolist(), strict=True)) == [
        (False, 0.5, 1.5),
        (True, 0.5, 1.5),
        (True, 1.0, 0.5),
    ]


def test_scores_that_make_a_tip_no_likelier_leave_the_net(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = TipNet(kernels=4, features=4, hidden=4)
    weight = net.layers[-1].weight.detach().clone()
    monkeypatch.setattr(calibration, "platt", lambda *_: (-0.5, 1.0))
    monkeypatch.setattr(calibration, "FEWEST", 0)
    plates = read_plates([drawn])
    assert calibrate(net, plates) is None
    # nor does a net that is never wrong say anything
    monkeypatch.setattr(calibration, "platt", lambda *_: (0.5, 1.0))
    monkeypatch.setattr(calibration, "FEWEST", 8)
    monkeypatch.setattr(
        calibration,
        "scan",
        lambda *_: [table.points(plate.name, plate.tips, np.full(2, 0.5)) for plate in plates],
    )
    assert calibrate(net, plates) is None
    assert torch.equal(net.layers[-1].weight, weight)
