"""The quantised twin: near the net, and as much a window by window scorer as that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import pytest
from onnx.reference import ReferenceEvaluator

from roottip import windows
from roottip.images import read_image
from roottip.learning.net import STRIDE, WINDOW
from roottip.learning.plates import Plate
from roottip.learning.quantise import EACH, SIDE, quantise, typical, write_int8
from roottip.scorers.cnn import SHIPPED, CnnScorer, int8_of
from roottip.scorers.runtime import OpenNet

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "images"


def plate(name: str, tips: list[tuple[float, float]], dataset: str = "a") -> Plate:
    xy = np.array(tips, dtype=np.float64).reshape(-1, 2)
    return Plate(dataset, name, name, read_image(SAMPLE / name), xy, np.empty((0, 2)))


@pytest.fixture
def weights(shipped_alone: Callable[[], Path]) -> Path:
    """A trained net: in one of chance nothing is large enough to matter."""
    return shipped_alone()


def test_twin_is_near_the_net_and_scans_as_it_cuts(weights: Path) -> None:
    path = write_int8(weights, [plate("plate_0001.jpg", [(200.0, 200.0)])])
    assert path == int8_of(weights)
    net, twin = CnnScorer(weights), CnnScorer(path)
    assert twin.card["int8_of"] == net.card["sha256"]
    image = read_image(SAMPLE / "plate_0001.jpg")
    centres = windows.grid(image.shape, STRIDE)
    exact, scores = net(image, centres), twin(image, centres)
    assert exact.max() > 0.9
    assert np.abs(scores - exact).max() < 0.2
    assert np.corrcoef(scores, exact)[0, 1] > 0.99
    some = np.argsort(exact)[:: -len(exact) // 200]  # likely and unlikely ones
    patches = windows.patches(image, centres[some], WINDOW)
    np.testing.assert_allclose(twin.score_patches(patches), scores[some], atol=1e-5, rtol=0)


def test_computes_what_the_reference_computes(weights: Path) -> None:
    image = read_image(SAMPLE / "plate_0001.jpg")
    half, size = WINDOW // 2 + 8, image.shape[1::-1]
    centres = windows.grid(image.shape, STRIDE)
    centres = centres[(np.minimum(centres, size - centres) >= half).all(axis=1)]
    x, y = centres[np.argmax(CnnScorer(weights)(image, centres))]
    image = image[y - half : y + half, x - half : x + half]  # a tip in the middle
    model = quantise(weights.read_bytes(), [image[None]])
    # the reference knows these operators from version 19 on
    newer = onnx.version_converter.convert_version(onnx.load_from_string(model), 19)
    expected = ReferenceEvaluator(newer).run(None, {"image": image[None]})[0]
    scores, *_ = OpenNet(model, "onnxruntime")(image[None])
    # numbers half way between two levels may be rounded either way
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(scores, expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("side", [WINDOW, WINDOW + STRIDE + 1])
def test_the_first_convolution_is_the_nets(weights: Path, side: int) -> None:
    """Over blocks of 2 x 2 px it gives the sums of 6 x 6 px, of an odd number of rows too."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, size=(side, WINDOW, 3), dtype=np.uint8)
    model = onnx.load_from_string(quantise(weights.read_bytes(), [image[None]]))
    kernel = next(node for node in model.graph.node if node.op_type == "Conv")
    follow = next(node for node in model.graph.node if node.input[:1] == kernel.output[:1])
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    scale, zero = (stored[name] for name in follow.input[1:])
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(follow.output[0]))
    first = OpenNet(model.SerializeToString(), "onnxruntime")(image[None])[-1][0]
    net = {
        t.name: onnx.numpy_helper.to_array(t).astype(np.float64)
        for t in onnx.load(str(weights)).graph.initializer
    }
    views = np.lib.stride_tricks.sliding_window_view(image, (6, 6), axis=(0, 1))[::2, ::2]
    exact = np.einsum("yxcij,kcij->kyx", views, net["weight0"]) + net["bias0"][:, None, None]
    level = np.clip(np.round(exact / scale) + float(zero), 0, 255)
    assert len(np.unique(first)) > 100
    assert np.abs(first - level).mean() < 1


def test_whole_numbers_but_in_the_last_convolution(weights: Path) -> None:
    image = read_image(SAMPLE / "plate_0001.jpg")
    graph = onnx.load_from_string(quantise(weights.read_bytes(), [image[None]])).graph
    eight = [
        t for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1
    ]
    assert len(eight) == sum(n.op_type == "Conv" for n in graph.node) - 1
    for tensor in eight:  # 7 bits: pairs of products must fit into 16
        assert np.abs(onnx.numpy_helper.to_array(tensor)).max() <= 64


def test_typical_pieces_hold_a_tip_and_all_datasets() -> None:
    image = np.zeros((900, 1000, 3), np.uint8)
    image[700, 950] = 255  # a tip near a corner
    image[10, 500] = 200
    nothing = np.empty((0, 2))
    one = Plate("a", "one", "one", image, np.array([(950.0, 700.0)]), nothing)
    two = Plate("b", "two", "two", image[:200], np.array([(500.0, 10.0)]), nothing)
    bare = Plate("b", "bare", "bare", image, nothing, nothing)
    pieces = typical([one, two, bare], seed=0)
    assert [piece.shape for piece in pieces] == [(1, SIDE, SIDE, 3)] * 3
    assert sorted(int(piece.max()) for piece in pieces) == [0, 200, 255]


def test_the_shipped_twin_is_the_shipped_nets() -> None:
    net, twin = CnnScorer(SHIPPED), CnnScorer(int8_of(SHIPPED))
    assert twin.card["int8_of"] == net.card["sha256"]
    image = read_image(SAMPLE / "plate_0001.jpg")
    centres = windows.grid(image.shape, STRIDE)
    exact, scores = net(image, centres), twin(image, centres)
    assert exact.max() > 0.9
    assert np.abs(scores - exact).mean() < 1e-3
    assert np.abs(scores - exact).max() < 0.1


def level(dataset: str, grey: int) -> Plate:
    image = np.full((40, 60, 3), grey, np.uint8)
    return Plate(dataset, f"{grey}", f"{grey}", image, np.empty((0, 2)), np.empty((0, 2)))


def test_so_many_plates_of_a_dataset_are_typical():
    many = [level("many", n) for n in range(EACH + 3)]
    pieces = typical([*many, level("few", 99)], seed=1)
    levels = [int(piece.max()) for piece in pieces]
    assert len(levels) == EACH + 1
    assert levels[-1] == 99
    assert len(set(levels)) == EACH + 1
    assert levels[:-1] != sorted(levels[:-1])  # drawn, not the first
