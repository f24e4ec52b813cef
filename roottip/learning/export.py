"""From the trained torch net to the two files that detection uses: ONNX and its card."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from roottip.learning.net import MEAN, SPREAD, STRIDE, WINDOW, TipNet
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers.cnn import CARD_VERSION

Floats = NDArray[np.float32]


def export(net: TipNet, path: Path, card: dict[str, Any]) -> None:
    """Write the net as ONNX and its card beside it.

    The graph takes ``image`` (N, H, W, 3) uint8 and gives ``score`` (N, rows, columns)
    float32 in [0, 1]: what the caller has and wants, so that no one normalises twice. Batch
    normalisation and the shift and scale of the grey levels are folded into the weights,
    exactly, because nothing is padded.

    Parameters
    ----------
    net : TipNet
    path : Path
        ``NAME.onnx``; the card becomes ``NAME.json``.
    card : dict
        ``threshold``, ``radius`` and what is to be known about the training; `export` adds
        what follows from the net.
    """
    model = helper.make_model(
        _graph(_folded(net)),
        producer_name="roottip",
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    full = {
        "card_version": CARD_VERSION,
        "window": WINDOW,
        "stride": STRIDE,
        "root_width": REFERENCE_WIDTH,
        "normalisation": f"(level - {MEAN}) / {SPREAD}, inside the net",
        **card,
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(full, indent=2) + "\n")


def _folded(net: TipNet) -> list[tuple[Floats, Floats, int]]:
    """Weight, bias and stride of each convolution of the net in use."""
    # a copy: the caller may be in the middle of training it, on another device
    layers = list(copy.deepcopy(net).cpu().eval().layers)
    folded: list[tuple[Floats, Floats, int]] = []
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, nn.Conv2d):
            if isinstance(following, nn.BatchNorm2d):
                layer = fuse_conv_bn_eval(layer, following)
            assert layer.bias is not None  # fused, or the last one, which has its own
            weight = layer.weight.detach().double().numpy()
            bias = layer.bias.detach().double().numpy()
            if not folded:
                weight = weight / SPREAD
                bias = bias - MEAN * weight.sum(axis=(1, 2, 3))
            folded.append((weight.astype(np.float32), bias.astype(np.float32), layer.stride[0]))
    return folded


def _graph(convolutions: list[tuple[Floats, Floats, int]]) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["level"], to=TensorProto.FLOAT),
    ]
    constants = []
    value = "level"
    for i, (weight, bias, stride) in enumerate(convolutions):
        constants += [
            numpy_helper.from_array(weight, f"weight{i}"),
            numpy_helper.from_array(bias, f"bias{i}"),
        ]
        nodes.append(
            helper.make_node(
                "Conv",
                [value, f"weight{i}", f"bias{i}"],
                [f"sum{i}"],
                kernel_shape=weight.shape[2:],
                strides=[stride, stride],
            )
        )
        value = f"sum{i}"
        if i < len(convolutions) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"feature{i}"]))
            value = f"feature{i}"
    nodes.append(helper.make_node("Sigmoid", [value], ["belief"]))
    constants.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "channel"))
    nodes.append(helper.make_node("Squeeze", ["belief", "channel"], ["score"]))
    return helper.make_graph(
        nodes,
        "roottip",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", "rows", "columns"])],
        initializer=constants,
    )
