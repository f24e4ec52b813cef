"""Time everything that finds tips, side by side in one run.

python scripts/bench.py ../shared/data/osr/images/*.jpg

On the first image, every window of stride 4: the net window by window (a row of windows a batch,
every eighth row, times eight), as one convolution in torch and in ONNX Runtime, and as it ships, in
8 bits where its glance sees anything, in ONNX Runtime, without either, and, where it is installed,
in OpenVINO. On all images, an image at a time: decoding alone; the detectors from pixels to
points; the usual alternative, the ends of a skeleton (scikit-image); `roottip detect`'s own work
from file to table; and the command itself, which works with all processors (COPIES times as many
images, for its start is counted). Prints the table, ratios to what ships, the largest difference
between two scores of the same window, and the share of this machine's matrix-product peak that one
convolution reaches; writes OUTPUT as JSON. The fastest of several repeats counts, taken in turns,
so that a busy machine spoils no one alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import command_line
import cv2
import numpy as np
import onnxruntime
import pandas as pd
import torch
from bench_scan import both_ways
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skimage.filters import threshold_local
from skimage.morphology import remove_small_objects, skeletonize

from roottip import batch, engine, windows
from roottip.detector import Detector
from roottip.engine import Engine
from roottip.images import read_image
from roottip.learning.export import layer_widths, restore
from roottip.learning.net import TipNet
from roottip.meter import Meter
from roottip.scale import adjustment
from roottip.scorers import cnn, load
from roottip.scorers.cnn import SHIPPED, CnnScorer
from roottip.windows import Image

ROWS = 8


def main() -> None:
    parser = asking(__doc__, repeats=5, copies=4)
    parser.add_argument(
        "--output", type=Path, default=Path("out/bench.json"), help="the figures, as JSON"
    )
    arguments = parser.parse_args()
    first = read_image(arguments.images[0])
    first = adjustment(first)(first)

    scans, difference, flop = of_one_image(first, arguments.repeats)
    works = of_all_images(arguments.images, arguments.repeats, arguments.copies)
    peak = matrix_peak()
    whole = scans.loc["one convolution, ONNX Runtime", "seconds"]
    scans["times the shipped"] = scans["seconds"] / scans.loc["as shipped, ONNX Runtime", "seconds"]
    shipped = works.loc["cnn, pixels to points", "seconds"]
    works["times the shipped"] = works["seconds"] / shipped
    height, width = first.shape[:2]
    print(f"\nAll windows of stride 4 on {width} x {height} px, seconds")
    print(scans.to_string(float_format="%.3g"))
    print(f"largest difference of a score {difference:.1e}")
    print(f"{flop / 1e9:.0f} GFLOP a scan, {flop / whole / 1e9:.0f} a second: ", end="")
    print(f"{flop / whole / peak:.0%} of the {peak / 1e9:.0f} of a matrix product here")
    print(f"\n{len(arguments.images)} images, seconds an image")
    print(works.to_string(float_format="%.3g"))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "machine": platform.processor() or platform.machine(),
        "threads": cv2.getNumThreads(),
        "scan": scans["seconds"].to_dict(),
        "largest_difference": difference,
        "gflop": flop / 1e9,
        "share_of_peak": flop / whole / peak,
        "image": works.to_dict("index"),
    }
    arguments.output.write_text(json.dumps(record, indent=2) + "\n")


def asking(description: str | None, repeats: int, copies: int) -> argparse.ArgumentParser:
    """A parser for images, and how often they are worked on where it is not told."""
    parser = command_line.parser(description)
    positive = command_line.positive
    parser.add_argument("images", nargs="+", type=command_line.file, help="files")
    parser.add_argument(
        "--repeats", type=positive, default=repeats, help="of everything; the fastest counts"
    )
    parser.add_argument(
        "--copies", type=positive, default=copies, help="of the images, from file to table"
    )
    return parser


def of_one_image(image: Image, repeats: int) -> tuple[pd.DataFrame, float, int]:
    """Seconds of each way to score all windows, how much two differ, floating-point operations."""
    scorer = CnnScorer(SHIPPED)
    centres = windows.grid(image.shape, scorer.card["stride"])
    whole, one_by_one, difference = both_ways(scorer, image, repeats, every=ROWS)
    net = torch_net(scorer, image)
    padded = windows.pad(image, scorer.card["window"])
    tensor = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)))[None]
    tensor = tensor.to(memory_format=torch.channels_last)

    def in_torch() -> torch.Tensor:
        with torch.inference_mode():
            return net(tensor)

    ways: dict[str, Callable[[], object]] = {"one convolution, torch": in_torch}
    kinds = {
        "as shipped, ONNX Runtime": {},
        "as shipped but in float32, ONNX Runtime": {"int8": False},
        "as shipped but all windows, ONNX Runtime": {"glance": False},
    }
    if find_spec("openvino") is not None:
        kinds["as shipped, OpenVINO"] = {"runtime": "openvino"}
    for name, settings in kinds.items():
        shipped = cnn.scorer(**settings)
        ways[name] = lambda shipped=shipped: shipped(image, centres)
    seconds = {
        **fastest(ways, repeats),
        "one convolution, ONNX Runtime": whole,
        "window by window": one_by_one,
    }
    frame = pd.Series(seconds, name="seconds").to_frame()
    return frame, difference, operations(net, tensor)


def of_all_images(paths: list[Path], repeats: int, copies: int) -> pd.DataFrame:
    """Seconds an image, and MiB at the peak besides the image, of each detector."""
    pictures = [read_image(path) for path in paths]
    detectors = {
        "baseline": load("baseline"),
        "features": load("features"),
        "cnn": load("cnn"),
    }
    if find_spec("openvino") is not None:
        detectors["cnn in OpenVINO"] = load("cnn", runtime="openvino")

    def on_all(work: Callable[[Image], object]) -> Callable[[], object]:
        return lambda: [work(picture) for picture in pictures]

    ways: dict[str, Callable[[], object]] = {
        "decoding alone": lambda: [read_image(path) for path in paths],
        "skeleton ends (scikit-image)": on_all(skeleton_ends),
        **{f"{name}, pixels to points": on_all(d.find) for name, d in detectors.items()},
    }
    commands = []
    for name in list(detectors)[2:]:
        ways[f"{name}, file to table"] = partial(file_to_table, paths, detectors[name])
        commands.append(f"{name}, roottip detect")
        runtime = detectors[name].scorer.runtime
        ways[commands[-1]] = partial(command, paths, copies, runtime)
    memory = {}
    for name, work in ways.items():
        meter = Meter()
        with meter:
            work()
        memory[name] = meter.memory
    seconds = {name: value / len(paths) for name, value in fastest(ways, repeats).items()}
    seconds |= {name: seconds[name] / copies for name in commands}
    memory |= dict.fromkeys(commands, np.nan)  # of this process only, which does not look
    return pd.DataFrame({"seconds": seconds, "MiB": memory})


def file_to_table(
    paths: list[Path], detector: Detector, copies: int = 1, work: Engine = engine.here
) -> None:
    """What `roottip detect` does with images after its own start; in this process if not told."""
    with TemporaryDirectory() as folder:
        source = linked(paths, copies, Path(folder))
        batch.run(source, Path(folder) / "out", detector, {"name": "cnn"}, False, work=work)


def command(paths: list[Path], copies: int, runtime: str) -> None:
    """`roottip detect`, without overlays."""
    with TemporaryDirectory() as folder:
        source, output = linked(paths, copies, Path(folder)), Path(folder) / "out"
        settings = (f"input={source}", f"output={output}", f"detector.runtime={runtime}")
        words = [sys.executable, "-m", "roottip", "detect", *settings, "overlays=false"]
        subprocess.run(words, check=True, capture_output=True)


def linked(paths: list[Path], copies: int, folder: Path) -> Path:
    """A folder of links to the images, each so many times."""
    source = folder / "in"
    source.mkdir()
    for copy in range(copies):
        for number, path in enumerate(paths):  # of several folders two may have the same name
            (source / f"{copy}_{number}_{path.name}").symlink_to(path.resolve())
    return source


def skeleton_ends(image: Image) -> NDArray[np.intp]:
    """The usual pipeline: local threshold, clean, skeleton, pixels with one neighbour."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    mask = remove_small_objects(grey > threshold_local(grey, 51, offset=-8), max_size=200)
    thin = skeletonize(mask).astype(np.uint8)
    around = cv2.filter2D(thin, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    return np.argwhere((thin == 1) & (around == 2))


def torch_net(scorer: CnnScorer, image: Image) -> TipNet:
    net = TipNet(**layer_widths(SHIPPED))
    some = windows.grid(image.shape, 64)[:256]
    planes = windows.patches(image, some, scorer.card["window"]).transpose(0, 3, 1, 2)
    restore(net, SHIPPED, torch.from_numpy(np.ascontiguousarray(planes)))
    return net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub


def operations(net: TipNet, image: torch.Tensor) -> int:
    """Floating-point operations of all convolutions of a net on an image, by their sizes.

    Counted by the layers: torch's `FlopCounterMode` counted each twice on a graphics card.
    """
    count = 0

    def add(layer: torch.nn.Conv2d, _: object, answer: torch.Tensor) -> None:
        nonlocal count
        count += 2 * answer.numel() * layer.weight[0].numel()

    convolutions = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(add) for layer in convolutions]
    try:
        # a net in half precision wants what it is given in half precision too
        with torch.inference_mode(), torch.autocast("cuda", enabled=image.is_cuda):
            net(image)
    finally:
        for hook in hooks:
            hook.remove()
    return count


def fastest(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The least seconds of each, taken in turns."""
    seconds = dict.fromkeys(ways, np.inf)
    for _ in range(repeats):
        for name, work in ways.items():
            begun = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - begun)
    return seconds


def matrix_peak() -> float:
    """Floating-point operations a second of a matrix product, by the fastest library and size."""
    best = 0.0
    for side in (512, 1024, 2048):
        a = np.random.default_rng(0).random((side, side), dtype=np.float32)
        tensor, session = torch.from_numpy(a), product(side)
        ways = {
            "torch": lambda tensor=tensor: tensor @ tensor,
            "numpy": lambda a=a: a @ a,
            "onnxruntime": lambda a=a, session=session: session.run(None, {"a": a}),
        }
        best = max(best, 2 * side**3 / min(fastest(ways, 20).values()))
    return best


def product(side: int) -> onnxruntime.InferenceSession:
    """ONNX Runtime's product of a square matrix with itself."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "a"], ["b"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, (side, side))],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, (side, side))],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString())


if __name__ == "__main__":
    command_line.run(main)
