"""A net in whole numbers of 8 bits: nearly its scores in half of its time or less.

Static quantisation after training (Jacob et al. 2018, https://arxiv.org/abs/1712.05877) by ONNX
Runtime. Weights have a scale for each kernel and, as the sums of two products must fit into 16
bits on processors of the last decade, 7 bits. The first convolution, whose three channels no
processor is quick with, and the last, whose sum is the answer, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from roottip.learning.plates import Plate
from roottip.scorers import card as cards
from roottip.scorers.card import read_weights
from roottip.scorers.cnn import CnnScorer, int8_of
from roottip.windows import Image

EACH = 40
"""Plates of a dataset that are enough to know how large the numbers inside the net become."""

SIDE = 320
"""px of what is cut from each of them: a tip, and more of what is no tip."""


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
        return after.read_bytes()


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
            pieces.append(plate.image[top : top + SIDE, left : left + SIDE])
    return pieces


class _Images(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    def __init__(self, images: Sequence[Image]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Image] | None:
        """The next input of the net; None after the last."""
        image = next(self._left, None)
        return None if image is None else {"image": image[None]}
