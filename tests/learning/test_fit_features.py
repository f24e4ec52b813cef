from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.learning import features as learning
from roottip.learning.choice import best, curves, scan
from roottip.learning.features import detector_of, fit, net_of, train, windows_of
from roottip.learning.patches import MIDDLES, Samples
from roottip.learning.plates import Plate, read_plates
from roottip.scorers.descriptors import COUNT, GROUPS, describe
from roottip.scorers.features import Net, load

SMALL = {"rounds": 2, "length": 120, "epochs": 15, "hidden": (16,)}
TINY = {"rounds": 1, "length": 60, "epochs": 2, "hidden": (4,)}


@pytest.fixture(scope="module")
def plates(drawn: Path) -> list[Plate]:
    return read_plates([drawn])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("hidden", [(5,), (7, 3)])
def test_the_net_is_scikit_learns(hidden: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(rng.normal(0, 5, 12), rng.uniform(0.1, 9, 12), (300, 12))
    x[:, 4] = 3  # a feature that never changes
    y = (x[:, 0] - x[:, 0].mean() + x[:, 1] - x[:, 1].mean() > 0).astype(int)
    scaler = StandardScaler().fit(x)
    model = MLPClassifier(hidden, max_iter=150, random_state=0).fit(scaler.transform(x), y)
    expected = model.predict_proba(scaler.transform(x))[:, 1]
    assert expected.std() > 0.1
    net = net_of(scaler, model)
    value = x
    for i, (weight, bias) in enumerate(net.layers):
        value = (np.maximum(value, 0) if i else value) @ weight.astype(float) + bias
    np.testing.assert_allclose(1 / (1 + np.exp(-value[:, 0])), expected, atol=1e-6)
    np.testing.assert_allclose(net(x.astype(np.float32)), expected, atol=1e-5)


def test_windows_of_samples_are_described_as_if_alone(plates: list[Plate]) -> None:
    samples = Samples(plates, 30, seed=1)
    features, labels = windows_of(samples, (1, 0))
    assert features.shape == (len(labels), COUNT)
    assert set(labels) == {0, 1}
    image, label, *_ = samples[29]  # the last of its sheet
    flat = label.numpy().ravel()
    chosen = np.flatnonzero(~np.isnan(flat))
    alone = describe(
        np.ascontiguousarray(image.numpy().transpose(1, 2, 0)), MIDDLES[chosen].astype(np.int32)
    )
    apart = np.abs(features[-1] - alone).max(axis=1)
    assert apart.min() < 1e-3
    assert flat[chosen][apart.argmin()] == labels[-1]


def test_it_learns_tips_and_is_seeded(plates: list[Plate]) -> None:
    net = fit(plates, **SMALL)
    assert best(curves(scan(detector_of(net), plates), plates))[1] > 0.8
    again = fit(plates, **SMALL)
    for (ours, bias), (theirs, other) in zip(net.layers, again.layers, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(bias, other)


def test_without_a_group_the_net_does_not_see_it(plates: list[Plate]) -> None:
    net = fit(plates, **TINY, without=["hog", "lbp"])
    used = np.split(net.layers[0][0], np.cumsum([*GROUPS.values()])[:-1])
    unused = [name for name, part in zip(GROUPS, used, strict=True) if not part.any()]
    assert unused == ["hog", "lbp"]


def test_training_writes_weights_with_their_card(drawn: Path, tmp_path: Path) -> None:
    path = train([drawn], tmp_path / "out" / "mine.npz", dev=0.5, **SMALL)
    _, what = load(path)
    assert 0 < what["threshold"] < 1
    assert what["training"]["data"][0]["images"] == 4
    assert what["training"]["dev"]["plates"] == 2
    assert what["training"]["rounds"] == 2
    assert what["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(path.with_suffix(".json").read_text()) == what


def test_a_threshold_needs_held_out_groups(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds out no group with a tip"):
        train([drawn], tmp_path / "mine.npz", dev=0.0)


def test_each_round_has_samples_of_its_own(
    plates: list[Plate], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = []

    def described(samples: Samples, seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        first.append(samples[0][0].numpy().tobytes())
        return windows_of(samples, seed)

    monkeypatch.setattr(learning, "windows_of", described)
    fit(plates, **{**TINY, "rounds": 3})
    assert len({*first}) == 3


def test_the_threshold_is_chosen_on_groups_not_trained_with_which_the_net_then_sees_too(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, scanned = [], []

    def fits(plates: Sequence[Plate], **settings: Any) -> Net:
        fitted.append({plate.group for plate in plates})
        return fit(plates, **settings)

    def scans(detector: WindowDetector, plates: Sequence[Plate]) -> list[pd.DataFrame]:
        scanned.append({plate.group for plate in plates})
        return scan(detector, plates)

    monkeypatch.setattr(learning, "fit", fits)
    monkeypatch.setattr(learning, "scan", scans)
    train([drawn], tmp_path / "mine.npz", dev=0.5, **TINY)
    (judges,), (first, last) = scanned, fitted
    assert len(judges) == len(first) == 1
    assert not judges & first
    assert last == judges | first
