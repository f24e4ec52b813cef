"""What computes a net: ONNX Runtime, or, where asked for, OpenVINO or torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip.errors import InputError
from roottip.windows import Image

Compute = Callable[[Image], list[NDArray[np.float32]]]
"""From images to the model's outputs, in its order."""

RUNTIMES = ("onnxruntime", "openvino", "torch")
"""The first has torch's scores to within 1e-5 on every machine. The second computes in bfloat16
where the processor multiplies such numbers: faster, with scores up to some hundredths off. The
third computes on the graphics card, in half precision, with scores up to some thousandths off;
without one, on the processor, it has ONNX Runtime's scores but takes longer. Neither is ever chosen
by itself, so that what is found does not depend on what is installed."""

_AROUND = {"Cast", "Sigmoid", "Split", "Squeeze", "Transpose"}
"""Before and after a net's layers; where torch computes, this file does as much."""


def check_runtime(runtime: str) -> str:
    """The runtime asked for, if it can be had.

    Raises
    ------
    InputError
        There is no such runtime, or it is not installed.
    """
    if runtime not in RUNTIMES:
        raise InputError(f"runtime={runtime} must be one of {', '.join(RUNTIMES)}")
    if find_spec(runtime) is None:
        package = "'roottip[train]'" if runtime == "torch" else runtime
        raise InputError(f"runtime={runtime} is not installed; pip install {package}")
    return runtime


class OpenNet:
    """An ONNX model with one input, ``image``, ready to compute.

    It computes with as many threads as OpenCV: who shares a machine sets one number for all.
    Another process or machine that it is sent to opens the model there.

    Parameters
    ----------
    model : bytes
    runtime : str
        One of `RUNTIMES`.
    """

    def __init__(self, model: bytes, runtime: str = "onnxruntime") -> None:
        self._made_of = model, runtime
        opened = {"onnxruntime": _onnxruntime, "openvino": _openvino, "torch": _torch}
        self._compute: Compute = opened[runtime](model)

    def __call__(self, images: Image) -> list[NDArray[np.float32]]:
        """From (N, H, W, 3) uint8 to the model's outputs, in its order."""
        return self._compute(images)

    def __reduce__(self) -> tuple[type[OpenNet], tuple[bytes, str]]:
        """What has been opened cannot travel."""
        return OpenNet, self._made_of


def _onnxruntime(model: bytes) -> Compute:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # failures are reported by the caller, in one sentence
    options.intra_op_num_threads = cv2.getNumThreads()
    # a net's threads wait for its next image in a loop, and so keep those of another, and the
    # rest of the detector, from the processor
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: [
        np.asarray(output, dtype=np.float32) for output in session.run(None, {"image": images})
    ]


def _openvino(model: bytes) -> Compute:
    import openvino

    core = openvino.Core()
    bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": cv2.getNumThreads(),
        # two processes would pin their threads to the same processor
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
    }
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
    # the result is the request's own memory, which the next image overwrites
    return lambda images: [
        np.array(output, dtype=np.float32) for output in request.infer({"image": images}).values()
    ]


def torch_layers(model: bytes) -> Any:
    """The net in torch, as ``nn.Sequential``: convolutions, and a ReLU after each but the last.

    Parameters
    ----------
    model : bytes
        ONNX, as `roottip.learning.export` writes it; not its twin of whole numbers.

    Raises
    ------
    InputError
        It is built otherwise.
    """
    import onnx
    import torch
    from onnx import numpy_helper
    from torch import nn

    graph = onnx.load_model_from_string(model).graph
    stored = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    layers: list[nn.Module] = []
    for node in graph.node:
        if node.op_type == "Relu":
            layers.append(nn.ReLU())
        elif node.op_type == "Conv" and {*node.input[1:]} <= stored.keys():
            own = dict(
                zip(("weight", "bias"), (stored[name] for name in node.input[1:]), strict=False)
            )
            given = {attribute.name: tuple(attribute.ints) for attribute in node.attribute}
            layer = nn.Conv2d(
                own["weight"].shape[1],
                own["weight"].shape[0],
                own["weight"].shape[2:],
                stride=given.get("strides", 1),
                dilation=given.get("dilations", 1),
                bias="bias" in own,
            )
            layer.load_state_dict({key: torch.tensor(value) for key, value in own.items()})
            layers.append(layer)
        elif node.op_type not in _AROUND:
            raise InputError(f"the net has a layer, {node.op_type}, that roottip's nets have not")
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _torch(model: bytes) -> Compute:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    number = torch.float16 if device == "cuda" else torch.float32
    net = torch_layers(model).to(device, number, memory_format=torch.channels_last)

    def compute(images: Image) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            # a view: in memory the channels are innermost already
            planes = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
            answer = net(planes.to(number)).float().cpu()
            score, offset = answer[:, 0].sigmoid(), answer[:, 1:].permute(0, 2, 3, 1)
        return [output.numpy() for output in ((score, offset) if offset.shape[3] else (score,))]

    return compute
