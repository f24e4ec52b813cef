from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("captum")

from roottip import windows
from roottip.errors import InputError
from roottip.learning import attribution
from roottip.learning.export import export
from roottip.learning.net import STRIDE, WINDOW, TipNet
from roottip.scorers.cnn import SHIPPED, CnnScorer, int8_of

CARD = {"threshold": 0.5, "radius": 10.0}


@pytest.fixture(scope="module")
def trained() -> TipNet:
    """With batch statistics as after training."""
    torch.manual_seed(3)  # its evidence differs well between the windows below
    net = TipNet(kernels=4, features=6, hidden=5)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
            torch.nn.init.uniform_(layer.bias, 0.0, 0.5)
    with torch.no_grad():
        net.train()(torch.randint(0, 256, (2, 3, WINDOW + 40, WINDOW + 40)))
    return net.eval()


@pytest.fixture(scope="module")
def weights(trained: TipNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "small.onnx"
    export(trained, path, CARD)
    return path


@pytest.fixture(scope="module")
def net(weights: Path) -> torch.nn.Sequential:
    return attribution.read_net(weights)


@pytest.fixture
def patch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (WINDOW, WINDOW, 3), dtype=np.uint8)


@pytest.fixture
def blank() -> np.ndarray:
    return np.full((WINDOW, WINDOW, 3), (30, 60, 90), np.uint8)


def test_feature_maps_are_those_of_the_net_that_was_trained(trained, net, weights, patch):
    """Forward hooks on the net with its batch normalisation; at the end, the scorer's score."""
    seen: list[np.ndarray] = []
    hooks = [
        layer.register_forward_hook(lambda *of: seen.append(of[2][0].detach().numpy().copy()))
        for layer in trained.layers
        if isinstance(layer, torch.nn.ReLU)
    ]
    planes = torch.from_numpy(patch.transpose(2, 0, 1).copy())[None]
    logit = trained(planes)
    for hook in hooks:
        hook.remove()
    maps = attribution.feature_maps(net, patch)
    assert len(maps) == len(seen) + 1
    for ours, theirs in zip(maps, seen, strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert maps[-1].item() == pytest.approx(logit.item(), abs=1e-4)
    score = CnnScorer(weights).score_patches(patch[None])[0]
    assert 1 / (1 + np.exp(-maps[-1].item())) == pytest.approx(score, abs=1e-5)
    assert attribution.evidence(net, patch[None])[0] == pytest.approx(maps[-1].item(), abs=1e-5)


def test_the_shipped_net_is_read_whatever_its_size():
    net, card = attribution.read_net(SHIPPED), CnnScorer(SHIPPED).card
    assert attribution.shapes(net)[-1][2] == card["window"]
    maps = attribution.feature_maps(net, np.zeros((card["window"], card["window"], 3), np.uint8))
    one = attribution.one_pixel(net, card["window"]) // 2
    assert maps[one - 1].shape[1:] == (1, 1)
    assert maps[one - 2].shape[1:] != (1, 1)


def test_features_of_an_image_are_those_of_its_windows(net):
    image = np.random.default_rng(1).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    centres = windows.grid(image.shape, STRIDE)[::7]
    layers = attribution.one_pixel(net, WINDOW)
    found = attribution.features(net, layers, image, centres, WINDOW, STRIDE)
    for centre, value in zip(centres[::20], found[::20], strict=True):
        cut = windows.patches(image, centre[None], WINDOW)[0]
        np.testing.assert_allclose(
            value, attribution.feature_maps(net, cut)[layers // 2 - 1][:, 0, 0], atol=1e-4
        )


def test_integrated_gradients_add_up_to_the_evidence(net, patch, blank):
    given, gap = attribution.integrated_gradients(net, patch, blank)
    here, empty = attribution.evidence(net, np.stack([patch, blank]))
    assert abs(here - empty) > 0.1
    assert given.sum() == pytest.approx(here - empty + gap, abs=1e-3)
    assert abs(gap) <= attribution.GAP * abs(here - empty) * 1.01


def test_integrated_gradients_of_a_linear_net_are_its_terms(patch, blank):
    torch.manual_seed(1)
    linear = torch.nn.Conv2d(3, 1, WINDOW)
    given, gap = attribution.integrated_gradients(linear, patch, blank)
    weight = linear.weight.detach().numpy()[0].transpose(1, 2, 0)
    terms = (weight * (patch.astype(np.float64) - blank)).sum(axis=2)
    np.testing.assert_allclose(given, terms, atol=1e-3)
    assert abs(gap) < 1e-2


def test_covering_what_is_empty_already_changes_nothing(net, patch, blank):
    patch[20:40, 40:70] = blank[20:40, 40:70]
    falls = attribution.occlusion(net, patch, blank, 5)
    assert falls.shape == (WINDOW, WINDOW)
    np.testing.assert_allclose(falls[20:40, 40:70], 0, atol=1e-5)
    covered = patch.copy()
    covered[:5, 10:15] = blank[:5, 10:15]
    here, less = attribution.evidence(net, np.stack([patch, covered]))
    np.testing.assert_allclose(falls[:5, 10:15], here - less, atol=1e-4)
    assert np.abs(falls).max() > 0


def test_effects_are_what_is_lost_when_a_feature_sees_empty_ground(trained, net, patch, blank):
    layers = attribution.one_pixel(net, WINDOW)
    effects = attribution.effects(net, layers, patch[None], blank[None])
    seen, empty = (attribution.feature_maps(net, part)[layers // 2 - 1] for part in (patch, blank))
    for k, effect in enumerate(effects[0]):
        changed = seen.copy()
        changed[k] = empty[k]
        with torch.no_grad():
            parts = (torch.from_numpy(part)[None] for part in (seen, changed))
            ends = [trained.layers[-4:](part)[:, 0] for part in parts]
        assert effect == pytest.approx((ends[0] - ends[1]).item(), abs=1e-4)
    assert np.abs(effects).max() > 0
    nothing = attribution.effects(net, 2, blank[None], blank[None])
    np.testing.assert_allclose(nothing, 0, atol=1e-6)


def test_weights_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        attribution.read_net(tmp_path / "none.onnx")
    with pytest.raises(InputError, match="is no chain of convolutions"):
        attribution.read_net(int8_of(SHIPPED))
