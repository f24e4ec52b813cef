"""A net in whole numbers of 8 bits: nearly its scores in half of its time or less.

Static quantisation after training (Jacob et al. 2018, https://arxiv.org/abs/1712.05877) by ONNX
Runtime. Weights have a scale for each kernel and, as the sums of two products must fit into 16
bits on processors of the last decade, 7 bits. The last convolution, whose sum is the answer, stays
as it is. No processor is quick with the three channels of the first, so it is written as one of
stride 1 over blocks of 2 x 2 px, twelve channels: the same sums. Its input, grey levels, are whole
numbers of 8 bits already.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from roottip.learning.plates import Plate
from roottip.scorers import card as cards
from roottip.scorers.card import read_weights
from roottip.scorers.cnn import CnnScorer, int8_of
from roottip.windows import BORDER, Image

EACH = 12
"""Plates of a dataset that say how large the numbers inside the net become. More of them know
larger ones, rarer and rarer, for which all others get coarser steps: with 200 the scores on
data/sample are off by a quarter more."""

SIDE = 320
"""px of what is cut from each of them: a tip, and more of what is no tip."""

MIDDLE = 128
"""The grey level that is 0 in the first convolution."""

LARGEST = 64
"""The largest weight in 7 bits."""


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
    card = CnnScorer(weights).card
    path = int8_of(weights)
    content = quantise(read_weights(weights, card), typical(plates, seed))
    cards.write(path, content, {**card, "int8_of": card["sha256"]})
    return path


def quantise(model: bytes, images: Sequence[Image]) -> bytes:
    """Quantise an exported net.

    Parameters
    ----------
    model : bytes
        ONNX, as `export` writes it.
    images : sequence of (H, W, 3) uint8
        Typical ones, at least a window wide and high: the largest numbers that they cause inside
        the net are the largest that the quantised one knows.

    Returns
    -------
    bytes
        ONNX with the same input and output.
    """
    graph = onnx.load_model_from_string(model)
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}{number}"
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(graph, before)
        quant_pre_process(before, before, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            before,
            after,
            _Images(images),
            op_types_to_quantize=["Conv", "Relu"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        quantised = onnx.load(after)
    _quantise_first(quantised.graph)
    onnx.checker.check_model(quantised, full_check=True)
    return bytes(quantised.SerializeToString(deterministic=True))


def _quantise_first(graph: onnx.GraphProto) -> None:
    """Replace the first convolution, 6 x 6 with stride 2 in float32, by one of whole numbers."""
    stored = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    weight, bias = stored["weight0"], stored["bias0"]
    scale = np.abs(weight).max(axis=(1, 2, 3)) / LARGEST
    whole = np.round(weight / scale[:, None, None, None]).astype(np.int8)
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
    """A piece around a tip, or around the middle, of some plates of each dataset."""
    rng = np.random.default_rng(seed)
    pieces = []
    for dataset in dict.fromkeys(plate.dataset for plate in plates):
        own = [plate for plate in plates if plate.dataset == dataset]
        for number in rng.permutation(len(own))[:EACH]:
            plate = own[number]
            size = np.array(plate.image.shape[1::-1])
            centre = rng.choice(plate.tips) if len(plate.tips) else size / 2
            left, top = np.clip(centre - SIDE / 2, 0, np.maximum(size - SIDE, 0)).astype(int)
            piece = plate.image[top : top + SIDE, left : left + SIDE]
            # a small plate may be smaller than a window
            missing = [SIDE - side for side in piece.shape[:2]]
            pieces.append(cv2.copyMakeBorder(piece, 0, missing[0], 0, missing[1], BORDER))
    return pieces


class _Images(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    def __init__(self, images: Sequence[Image]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Image] | None:
        """The next input of the net; None after the last."""
        image = next(self._left, None)
        return None if image is None else {"image": image[None]}
