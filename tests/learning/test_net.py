from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning
import torch

from roottip import windows
from roottip.learning.export import export, layer_widths, restore
from roottip.learning.module import TipModule, cross_entropy, offset_error
from roottip.learning.net import GAPS, STRIDE, WINDOW, TipNet
from roottip.scorers.cnn import CnnScorer


def small_net(seed: int = 0) -> TipNet:
    """With batch statistics as after training: the export must fold them."""
    torch.manual_seed(seed)
    net = TipNet(kernels=4, features=6, hidden=5)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
            torch.nn.init.uniform_(layer.weight, 0.5, 2.0)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
    with torch.no_grad():
        net.train()(torch.randint(0, 256, (2, 3, WINDOW + 40, WINDOW + 40)))
    return net.eval()


def write(net: TipNet, path: Path) -> Path:
    export(net, path, {"threshold": 0.5, "radius": 8.0})
    return path


def test_receptive_field_is_the_window() -> None:
    net = small_net()
    for layer in net.modules():  # positive weights and no ReLU: no gradient can vanish
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.constant_(layer.weight, 0.01)
    layers = [layer for layer in net.layers if not isinstance(layer, torch.nn.ReLU)]
    image = torch.zeros(1, 3, WINDOW + 2 * STRIDE, WINDOW + 2 * STRIDE, requires_grad=True)
    logits = torch.nn.Sequential(*layers)(image)
    assert logits.shape == (1, 3, 3, 3)
    logits[0, 0, 1, 1].backward()
    assert image.grad is not None
    rows, columns = (image.grad[0, 0] != 0).nonzero(as_tuple=True)
    inside = (STRIDE, STRIDE + WINDOW - 1)
    assert (rows.min(), rows.max()) == inside
    assert (columns.min(), columns.max()) == inside


def test_every_pixel_of_the_window_counts() -> None:
    """A dilation without neighbours in between would leave holes."""
    net = TipNet(kernels=2, features=2, hidden=2).eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.constant_(layer.weight, 1.0)
    layers = [layer for layer in net.layers if not isinstance(layer, torch.nn.ReLU)]
    image = torch.zeros(1, 3, WINDOW, WINDOW, requires_grad=True)
    torch.nn.Sequential(*layers)(image).sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).all()


def test_an_image_gives_what_its_windows_give() -> None:
    net = small_net()
    image = torch.randint(0, 256, (1, 3, WINDOW + 13, WINDOW + 22), dtype=torch.uint8)
    with torch.no_grad():
        logits, offsets = net.look(image)
        assert torch.equal(net(image), logits)
        assert logits.shape == (1, 13 // STRIDE + 1, 22 // STRIDE + 1)
        for row in range(logits.shape[1]):
            for column in range(logits.shape[2]):
                top, left = STRIDE * row, STRIDE * column
                window = image[..., top : top + WINDOW, left : left + WINDOW]
                logit, offset = (part[..., 0, 0] for part in net.look(window))
                here = logits[..., row, column], offsets[..., row, column]
                torch.testing.assert_close((logit, offset), here, atol=1e-5, rtol=0)


def test_onnx_equals_torch(tmp_path: Path) -> None:
    net = small_net()
    image = np.random.default_rng(0).integers(0, 256, (90, 77, 3), dtype=np.uint8)
    export(net, tmp_path / "net.onnx", {"threshold": 0.5, "radius": 8.0})
    scorer = CnnScorer(tmp_path / "net.onnx")
    centres = windows.grid(image.shape, STRIDE)
    patches = windows.patches(image, centres, WINDOW).transpose(0, 3, 1, 2)
    with torch.no_grad():
        logits, offsets = net.look(torch.from_numpy(patches.copy()))
    expected, away = logits.sigmoid().numpy()[:, 0, 0], offsets.numpy()[..., 0, 0]
    assert expected.std() > 1e-3
    assert away.std() > 1e-2
    scores, places = scorer.look(image, centres)
    assert np.array_equal(scorer(image, centres), scores)
    np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(places - centres, away, atol=1e-4, rtol=0)
    # a graphics card computes with half the digits
    exact = 1e-2 if torch.cuda.is_available() else 1e-4
    for ours, theirs in zip(
        CnnScorer(tmp_path / "net.onnx", "torch").look(image, centres),
        (scores, places),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=exact, rtol=0)
    apart = np.array([[3, 5], [4, 40], [76, 89]], np.int32)  # of no grid: cut one by one
    one_by_one = [windows.patches(image, centre[None], WINDOW) for centre in apart]
    with torch.no_grad():
        away = [
            net.look(torch.from_numpy(one.transpose(0, 3, 1, 2).copy()))[1][0, :, 0, 0].numpy()
            for one in one_by_one
        ]
    np.testing.assert_allclose(scorer.look(image, apart)[1] - apart, away, atol=1e-4, rtol=0)


def test_export_is_reproducible_and_leaves_the_net_alone(tmp_path: Path) -> None:
    net = small_net().train()
    for name in ("a", "b"):
        export(net, tmp_path / f"{name}.onnx", {"threshold": 0.5, "radius": 8.0})
    assert net.training
    for ending in ("onnx", "json"):
        first, second = (tmp_path / f"{name}.{ending}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_checkpoints_load_with_weights_only() -> None:
    module = TipModule(kernels=4, features=6, hidden=5)
    file = io.BytesIO()
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert loaded["hyper_parameters"]["features"] == 6
    assert all(isinstance(value, int | float) for value in module.hparams.values())
    again = TipModule(**loaded["hyper_parameters"])
    again.load_state_dict(loaded["state_dict"])
    assert isinstance(again, pytorch_lightning.LightningModule)


def test_a_restored_net_is_the_exported_one_and_can_learn(tmp_path: Path) -> None:
    net = small_net()
    export(net, tmp_path / "net.onnx", {"threshold": 0.5, "radius": 8.0})
    images = torch.randint(0, 256, (8, 3, WINDOW + 8, WINDOW + 8), dtype=torch.uint8)
    again = TipNet(kernels=4, features=6, hidden=5)
    restore(again, tmp_path / "net.onnx", images)
    with torch.no_grad():
        expected = net.look(images)
        assert expected[0].std() > 1e-3
        torch.testing.assert_close(again.look(images), expected, atol=1e-4, rtol=1e-4)
        # with the statistics of the batch, as in training, on the images they were taken from
        torch.testing.assert_close(again.train().look(images), expected, atol=1e-3, rtol=1e-3)


def test_a_net_that_only_scored_learns_offsets_from_0(tmp_path: Path) -> None:
    net = small_net()
    last = net.layers[-1]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    widths = layer_widths(write(net, tmp_path / "all.onnx"))
    assert widths == {"kernels": 4, "features": 6, "hidden": 5}
    images = torch.randint(0, 256, (8, 3, WINDOW + 8, WINDOW + 8), dtype=torch.uint8)
    expected = net(images).detach()
    net.layers[-1] = torch.nn.Conv2d(5, 1, 1)
    net.layers[-1].weight, net.layers[-1].bias = (
        torch.nn.Parameter(part[:1]) for part in (last.weight, last.bias)
    )
    path = write(net, tmp_path / "scores.onnx")
    assert CnnScorer(path).look(images[0].permute(1, 2, 0).numpy(), np.array([[40, 40]]))[
        1
    ].tolist() == [[40, 40]]
    again = TipNet(kernels=4, features=6, hidden=5)
    restore(again, path, images)
    logits, offsets = again.look(images)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    assert not offsets.any()


@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_a_px_of_offset_weighs_in_the_loss_as_told(weight: float) -> None:
    module = TipModule(kernels=4, features=6, hidden=5, tip_weight=3.0, offset_weight=weight)
    image = torch.randint(0, 256, (2, 3, WINDOW, WINDOW), dtype=torch.uint8)
    label, offset = torch.tensor([1.0, 0.0])[:, None, None], torch.full((2, 2, 1, 1), 2.5)
    with torch.no_grad():
        logits, offsets = module.eval().net.look(image)
        expected = cross_entropy(logits, label, 3.0) + weight * offset_error(offsets, offset)
        loss = module._loss((image, label, offset))
    torch.testing.assert_close(loss, expected)


def test_the_loss_asks_for_offsets_only_where_they_are_known() -> None:
    offsets = torch.tensor([[[[1.0, 5.0, -3.0]], [[0.5, 7.0, 2.0]]]], requires_grad=True)
    target = torch.tensor([[[[1.0, float("nan"), -3.0]], [[0.0, float("nan"), 6.0]]]])
    # half of the square below 1 px, the length less a half from there on
    error = offset_error(offsets, target)
    assert error.item() == pytest.approx((0 + 0 + 0.125 + 3.5) / 4)
    error.backward()
    assert offsets.grad is not None
    assert offsets.grad[0, :, 0, 1].tolist() == [0, 0]
    assert offset_error(offsets, torch.full_like(target, float("nan"))) == 0


def test_inner_layers_begin_by_passing_on_what_they_get() -> None:
    torch.manual_seed(0)
    convolutions = [layer for layer in TipNet().layers if isinstance(layer, torch.nn.Conv2d)]
    inner = [layer for layer in convolutions if layer.in_channels == layer.out_channels]
    assert len(inner) == 1 + len(GAPS)
    for layer in inner:
        given = torch.randn(1, layer.in_channels, 40, 40)
        edge = layer.dilation[0]
        kept = given[..., edge:-edge, edge:-edge]
        both = torch.stack([layer(given).flatten(), kept.flatten()])
        # the middle, and noise of as much variance
        assert torch.corrcoef(both)[0, 1].item() == pytest.approx(2**-0.5, abs=0.03)


def test_the_loss_weighs_a_tip_as_several_others_and_unknown_windows_nothing() -> None:
    logits = torch.tensor([[0.0, 2.0, -1.0]])
    target = torch.tensor([[1.0, 0.0, float("nan")]])
    expected = (3 * np.log(2) + np.log(1 + np.exp(2))) / (3 + 1)
    assert cross_entropy(logits, target, tip_weight=3.0).item() == pytest.approx(expected)
