"""Between the torch net and the two files that detection uses, ONNX and its card."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from roottip.errors import InputError
from roottip.learning.net import MEAN, SPREAD, STRIDE, Net, ReviewNet, TipNet
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers import card as cards
from roottip.scorers.cnn import CARD_VERSION, CnnScorer

Floats = NDArray[np.float32]
Layer = tuple[Floats, Floats, dict[str, Any]]
"""Weight, bias and ONNX attributes of a convolution."""


def export(net: Net, path: Path, card: dict[str, Any]) -> None:
    """Write the net as ONNX and its card beside it.

    The graph takes ``image`` (N, H, W, 3) uint8 and gives ``score`` (N, rows, columns)
    float32 in [0, 1]; of a `TipNet` ``offset`` (N, rows, columns, 2) float32 too, ``x, y`` of the
    tip seen from the window's centre, px. That of a `ReviewNet` takes the squares around all finds,
    (N * S, WINDOW, WINDOW, 3), and gives ``evidence`` (N,). That is what the caller has and wants,
    so that no one normalises twice. Batch normalisation and the shift and scale of the grey levels
    are folded into the weights, exactly, because nothing is padded.

    Parameters
    ----------
    net : TipNet, GlanceNet or ReviewNet
    path : Path
        ``NAME.onnx``; the card becomes ``NAME.json``.
    card : dict
        ``threshold``, ``radius`` and what is to be known about the training; `export` adds
        what follows from the net.
    """
    model = helper.make_model(
        _review(net) if isinstance(net, ReviewNet) else _scan(net),
        producer_name="roottip",
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    parameters = sum(parameter.numel() for parameter in net.parameters())
    onnx.checker.check_model(model, full_check=True)
    full = {
        "card_version": CARD_VERSION,
        "window": net.window,
        "stride": STRIDE,
        "root_width": REFERENCE_WIDTH,
        "normalisation": f"(level - {MEAN}) / {SPREAD}, inside the net",
        **card,
        "parameters": parameters,
    }
    cards.write(path, model.SerializeToString(deterministic=True), full)


def layer_widths(weights: Path) -> dict[str, int]:
    """``kernels``, ``features`` and ``hidden`` of an exported net, as `TipNet` takes them.

    Raises
    ------
    InputError
        The files are missing or damaged.
    """
    CnnScorer(weights)  # says what is wrong with the files
    outputs = [
        tensor.dims[0]
        for tensor in onnx.load(str(weights)).graph.initializer
        if tensor.name.startswith("weight")
    ]
    return {"kernels": outputs[0], "features": outputs[2], "hidden": outputs[-2]}


@torch.no_grad()
def restore(net: TipNet, weights: Path, images: Tensor) -> None:
    """Put exported weights back into a net, which then can go on learning.

    Exporting folded the batch normalisation away. Here each one is given the statistics of
    what reaches it from `images` and the shift and scale that undo them, so that the net gives
    the exported net's scores, in training on such images too.

    Parameters
    ----------
    net : TipNet
        As large as the exported one. If that one only scores, offsets are 0 until they are learnt.
    weights : Path
        ``NAME.onnx``; its card lies beside it.
    images : (N, 3, H, W) uint8
        Typical ones, some hundred windows.

    Raises
    ------
    InputError
        The files are missing, damaged, or hold a net of another size.
    """
    card = CnnScorer(weights).card  # says what is wrong with the files
    stored = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(str(weights)).graph.initializer
    }
    convolutions = [layer for layer in net.layers if isinstance(layer, nn.Conv2d)]
    last = len(convolutions) - 1
    for name in {f"weight{last}", f"bias{last}"} & stored.keys():
        score = stored[name]
        if len(score) == 1:
            stored[name] = torch.cat([score, score.new_zeros(2, *score.shape[1:])])
    theirs = [stored[name].shape for name in stored if name.startswith("weight")]
    same = theirs == [layer.weight.shape for layer in convolutions]
    if not same or card["window"] != net.window:
        raise InputError(
            f"{weights} is a net of another make than this roottip's; train without start="
        )
    for name in (f"weight{last}", f"bias{last}"):
        stored[name][1:] /= STRIDE
    stored["bias0"] += MEAN * stored["weight0"].sum(dim=(1, 2, 3))
    stored["weight0"] *= SPREAD
    net.eval()
    level = (images.float() - MEAN) / SPREAD
    number = -1
    for layer in net.layers:
        if isinstance(layer, nn.Conv2d):
            number += 1
            layer.weight.copy_(stored[f"weight{number}"])
            if layer.bias is not None:
                layer.bias.copy_(stored[f"bias{number}"])
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            variance, mean = torch.var_mean(level, dim=(0, 2, 3), correction=0)
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
            layer.weight.copy_((variance + layer.eps).sqrt())
            layer.bias.copy_(stored[f"bias{number}"] + mean)
        level = layer(level)


def _folded(net: Net) -> list[Layer]:
    """Weight, bias and attributes of each convolution of the net in use."""
    # a copy: the caller may be in the middle of training it, on another device
    layers = list(copy.deepcopy(net).cpu().eval().layers)
    folded: list[Layer] = []
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
            if following is None:
                weight[1:], bias[1:] = STRIDE * weight[1:], STRIDE * bias[1:]
            sides = {
                "kernel_shape": list(layer.kernel_size),
                "strides": list(layer.stride),
                "dilations": list(layer.dilation),
            }
            folded.append((weight.astype(np.float32), bias.astype(np.float32), sides))
    return folded


Graph = tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]
"""Nodes, their constants, and the name of what comes out."""


def _chain(net: Net) -> Graph:
    """All convolutions of a net, with a Relu after each but a `_scan`'s last."""
    convolutions = _folded(net)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["level"], to=TensorProto.FLOAT),
    ]
    constants = []
    value = "level"
    for i, (weight, bias, sides) in enumerate(convolutions):
        constants += [
            numpy_helper.from_array(weight, f"weight{i}"),
            numpy_helper.from_array(bias, f"bias{i}"),
        ]
        nodes.append(
            helper.make_node(
                "Conv",
                [value, f"weight{i}", f"bias{i}"],
                [f"sum{i}"],
                **sides,
            )
        )
        value = f"sum{i}"
        if i < len(convolutions) - 1 or isinstance(net, ReviewNet):
            nodes.append(helper.make_node("Relu", [value], [f"feature{i}"]))
            value = f"feature{i}"
    return nodes, constants, value


def _scan(net: Net) -> onnx.GraphProto:
    nodes, constants, value = _chain(net)
    size: list[str | int] = ["N", "rows", "columns"]
    answers = [helper.make_tensor_value_info("score", TensorProto.FLOAT, size)]
    if constants[-1].dims[0] > 1:
        constants.append(numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "parts"))
        nodes += [
            helper.make_node("Split", [value, "parts"], ["evidence", "away"], axis=1),
            helper.make_node("Transpose", ["away"], ["offset"], perm=[0, 2, 3, 1]),
        ]
        answers.append(helper.make_tensor_value_info("offset", TensorProto.FLOAT, [*size, 2]))
        value = "evidence"
    constants.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "channel"))
    nodes += [
        helper.make_node("Sigmoid", [value], ["belief"]),
        helper.make_node("Squeeze", ["belief", "channel"], ["score"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    return helper.make_graph(nodes, "roottip", [image], answers, initializer=constants)


def _review(net: ReviewNet) -> onnx.GraphProto:
    nodes, constants, value = _chain(net)
    linear = [layer for layer in net.head if isinstance(layer, nn.Linear)]
    shapes = {"together": [-1, linear[0].in_features], "flat": [-1]}
    constants += [numpy_helper.from_array(np.array(v), name) for name, v in shapes.items()]
    nodes.append(helper.make_node("Reshape", [value, "together"], ["seen"]))
    value = "seen"
    for i, layer in enumerate(linear):
        own = {f"units{i}": layer.weight.T, f"shift{i}": layer.bias}
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(v.detach().cpu().numpy()), name)
            for name, v in own.items()
        ]
        if i > 0:
            nodes.append(helper.make_node("Relu", [value], [f"hidden{i}"]))
            value = f"hidden{i}"
        nodes.append(helper.make_node("Gemm", [value, *own], [f"weighed{i}"]))
        value = f"weighed{i}"
    nodes.append(helper.make_node("Reshape", [value, "flat"], ["evidence"]))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["NS", "H", "W", 3])
    answer = helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["N"])
    return helper.make_graph(nodes, "roottip", [image], [answer], initializer=constants)
