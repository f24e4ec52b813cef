"""A net in whole numbers of 8 bits: nearly its scores in half of its time or less.

Static quantisation after training (Jacob et al. 2018, https://arxiv.org/abs/1712.05877) by ONNX
Runtime. Weights have a scale for each kernel and, as the sums of two products must fit into 16
bits on processors of the last decade, 7 bits; `round_weights` rounds them as typical images want
it. The last convolution, whose sum is the answer, stays as it is. No processor is quick with the
three channels of the first, so it is written as one of stride 1 over blocks of 2 x 2 px, twelve
channels: the same sums. Its input, grey levels, are whole numbers of 8 bits already.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from roottip.learning.plates import Plate, by_dataset
from roottip.learning.rounding import LARGEST, round_weights
from roottip.scorers import card as cards
from roottip.scorers.card import read_weights
from roottip.scorers.cnn import card_of, int8_of
from roottip.scorers.runtime import OpenNet
from roottip.windows import BORDER, Image

EACH = 12
"""Plates of a dataset that say what numbers there are inside the net."""

SIDE = 320
"""px of what is cut from each of them: a tip, and more of what is no tip."""

MIDDLE = 128
"""The grey level that is 0 in the first convolution."""

ROOM = 1.25
"""How far numbers inside the net may reach, in means of the largest in each image. Larger ones are
cut off; for rarer and larger ones yet, all others would get coarser steps."""

PLACES = 2000
"""Where on each image a layer's inputs are looked at to round its weights."""


def write_int8(weights: Path, plates: Sequence[Plate], seed: int = 0) -> Path:
    """Write a net's quantised twin, ``NAME.int8.onnx``, its card beside it.

    Parameters
    ----------
    weights : Path
        ``NAME.onnx``, its card beside it.
    plates : sequence of Plate
        Such as the net was trained on.
    seed : int
    """
    card = card_of(weights)
    path = int8_of(weights)
    content = quantise(read_weights(weights, card), typical(plates, seed))
    cards.write(path, content, {**card, "int8_of": card["sha256"]})
    return path


def quantise_file(weights: Path, images: Sequence[Image]) -> None:
    """Quantise an exported net where it lies, as `quantise` does; its card stays."""
    card = cards.raw(weights)
    cards.write(weights, quantise(read_weights(weights, card), images), card)


def quantise(model: bytes, images: Sequence[Image]) -> bytes:
    """Quantise an exported net.

    Parameters
    ----------
    model : bytes
        ONNX, as `export` writes it.
    images : sequence of (N, H, W, 3) uint8
        Typical ones, at least a window wide and high, as the net takes them: how large the numbers
        become that they cause inside the net, and which go together, decides on the ranges and
        the rounding.

    Returns
    -------
    bytes
        ONNX with the same input and output.
    """
    graph = onnx.load_model_from_string(model)
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}{number}"
    layers = [node for node in graph.graph.node if node.op_type == "Conv"]
    largest, moments = _seen(graph, layers[:-1], images)
    # a Relu's numbers begin at 0
    ranges = {
        node.output[0]: [{"rmin": np.float32(0), "rmax": np.float32(ROOM * largest[node.input[0]])}]
        for node in graph.graph.node
        if node.op_type == "Relu" and node.input[0] in largest
    }
    exact_too = [
        node.name
        for node in graph.graph.node
        if node.op_type == "Relu" and node.output[0] not in ranges
    ]
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(graph, before)
        quant_pre_process(before, before, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            before,
            after,
            _Images(images[:1]),  # it wants to see one, though all ranges are given
            op_types_to_quantize=["Conv", "Relu"],
            nodes_to_exclude=[layers[0].name, layers[-1].name, *exact_too],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"TensorQuantOverrides": ranges},
        )
        quantised = onnx.load(after)
    stored = {value.name: value for value in quantised.graph.initializer}
    exact = {value.name: numpy_helper.to_array(value) for value in graph.graph.initializer}
    for node in layers[1:-1]:
        name = node.input[1]
        scale = numpy_helper.to_array(stored[f"{name}_scale"])
        whole = round_weights(exact[name].reshape(len(scale), -1), scale, moments[name])
        old = stored[f"{name}_quantized"]
        old.CopyFrom(numpy_helper.from_array(whole.reshape(exact[name].shape), old.name))
    _quantise_first(quantised.graph, moments["weight0"])
    onnx.checker.check_model(quantised, full_check=True)
    return bytes(quantised.SerializeToString(deterministic=True))


def _seen(
    model: onnx.ModelProto, layers: Sequence[onnx.NodeProto], images: Sequence[Image]
) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """The numbers that images cause inside a net.

    Returns
    -------
    largest : dict
        Of each layer's sums, the mean over the images of the largest in each.
    moments : dict
        For the weights of each layer, (N, N): sums of the products of any two of its inputs at
        `PLACES` of each image, as `round_weights` takes them.
    """
    open_ended = onnx.ModelProto()
    open_ended.CopyFrom(model)
    names = [name for layer in layers for name in (layer.input[0], layer.output[0])]
    open_ended.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    net = OpenNet(open_ended.SerializeToString(), "onnxruntime")
    rng = np.random.default_rng(0)
    largest: dict[str, float] = dict.fromkeys((layer.output[0] for layer in layers), 0.0)
    moments: dict[str, Any] = dict.fromkeys((layer.input[1] for layer in layers), 0.0)
    for image in images:
        values = net(image)[-len(names) :]
        for layer, value, result in zip(layers, values[::2], values[1::2], strict=True):
            largest[layer.output[0]] += max(0.0, float(result.max())) / len(images)
            # grey levels, which only the first layer sees, count from the middle one
            inputs = _inputs(layer, value - (MIDDLE if layer is layers[0] else 0), rng)
            moments[layer.input[1]] += inputs.T @ inputs
    return largest, moments


def _inputs(
    layer: onnx.NodeProto, value: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(PLACES, N): what the kernels of a layer are multiplied with at places drawn at random."""
    given = {attribute.name: attribute.ints for attribute in layer.attribute}
    side, gap, step = (given[key][0] for key in ("kernel_shape", "dilations", "strides"))
    taps = gap * np.arange(side)
    free = np.array(value.shape[2:]) - gap * (side - 1)
    y, x = (step * rng.integers(-(-count // step), size=(PLACES, 1, 1)) for count in free)
    number = rng.integers(len(value), size=(PLACES, 1, 1))
    seen = value[number, :, y + taps[:, None], x + taps]
    return seen.transpose(0, 3, 1, 2).reshape(PLACES, -1).astype(np.float64)


def _quantise_first(graph: onnx.GraphProto, moments: NDArray[np.float64]) -> None:
    """Replace the first convolution, 6 x 6 with stride 2 in float32, by one of whole numbers."""
    stored = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    weight, bias = stored["weight0"], stored["bias0"]
    scale = np.abs(weight).max(axis=(1, 2, 3)) / LARGEST
    whole = round_weights(weight.reshape(len(scale), -1), scale, moments)
    # the channels of a block are its rows, columns and colours
    blocks = whole.reshape(-1, 3, 3, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4)
    # nothing is padded, so the middle grey adds the same to every sum
    bias = bias + MIDDLE * weight.sum(axis=(1, 2, 3))
    constants = {
        "blocks": blocks.reshape(-1, 12, 3, 3),
        "blocks_scale": scale.astype(np.float32),
        "blocks_zero": np.zeros(len(scale), np.int8),
        "shift": np.round(bias / scale).astype(np.int32),
        "level_scale": np.float32(1),
        "level_zero": np.uint8(MIDDLE),
        "pairs": np.array([0, 0, -1, 6]),
        "rows": np.array([1]),
        "first": np.array([0]),
        "second": np.array([1]),
        "last": np.array([-1]),
        "end": np.array([np.iinfo(np.int64).max]),
        "step": np.array([2]),
    }
    make = helper.make_node
    nodes = [
        # the last of an odd number of rows is left out: no sum has it
        make("Slice", ["image", "first", "last", "rows", "step"], ["upper"]),
        make("Slice", ["image", "second", "end", "rows", "step"], ["lower"]),
        make("Reshape", ["upper", "pairs"], ["upper_pairs"]),
        make("Reshape", ["lower", "pairs"], ["lower_pairs"]),
        make("Concat", ["upper_pairs", "lower_pairs"], ["levels"], axis=3),
        make("Transpose", ["levels"], ["planes"], perm=[0, 3, 1, 2]),
        make("DequantizeLinear", ["planes", "level_scale", "level_zero"], ["level"]),
        make("DequantizeLinear", ["blocks", "blocks_scale", "blocks_zero"], ["weight0"], axis=0),
        make("DequantizeLinear", ["shift", "blocks_scale"], ["bias0"], axis=0),
        # what follows has no numbers below 0, so this needs no Relu
        make("Conv", ["level", "weight0", "bias0"], ["feature0"], kernel_shape=[3, 3]),
    ]
    old = {"planes", "level", "sum0", "feature0"}
    nodes += [node for node in graph.node if node.output[0] not in old]
    values = [value for value in graph.initializer if value.name not in ("weight0", "bias0")]
    values += [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(values)


def typical(plates: Sequence[Plate], seed: int) -> list[Image]:
    """A piece around a tip, or the middle, of some plates of each dataset, as `quantise` takes."""
    rng = np.random.default_rng(seed)
    pieces = []
    for own in by_dataset(plates).values():
        for number in rng.permutation(len(own))[:EACH]:
            plate = own[number]
            size = np.array(plate.image.shape[1::-1])
            centre = rng.choice(plate.tips) if len(plate.tips) else size / 2
            left, top = np.clip(centre - SIDE / 2, 0, np.maximum(size - SIDE, 0)).astype(int)
            piece = plate.image[top : top + SIDE, left : left + SIDE]
            # a small plate may be smaller than a window
            missing = [SIDE - side for side in piece.shape[:2]]
            pieces.append(cv2.copyMakeBorder(piece, 0, missing[0], 0, missing[1], BORDER)[None])
    return pieces


class _Images(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    def __init__(self, images: Sequence[Image]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Image] | None:
        """The next input of the net; None after the last."""
        image = next(self._left, None)
        return None if image is None else {"image": image}
