"""How fast the net is on a graphics card, and how near to the card's limit.

python scripts/bench_gpu.py ../shared/data/osr/images/*.jpg

On the first image, all windows of stride 4: the net alone, its pixels on the card already, and
the whole way from pixels to scores; the floating-point operations that takes, and their share of
what the card's half-precision matrix product does a second. On all images: pixels to points in
this process, and `roottip detect`'s own work from file to table with a process for each processor
(`--copies` times as many images), which read and measure images while the card computes others'.
Says how far scores are from ONNX Runtime's on the processor.
"""

from __future__ import annotations

import time

import command_line
import numpy as np
import torch
from bench import asking, fastest, file_to_table, operations, torch_net

from roottip import engine, windows
from roottip.images import read_image
from roottip.scale import adjustment
from roottip.scorers import load
from roottip.scorers.cnn import SHIPPED, CnnScorer


def main() -> None:
    parser = asking(__doc__, repeats=10, copies=16)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no graphics card here that torch can compute on")
    pictures = [read_image(path) for path in arguments.images]
    first = adjustment(pictures[0])(pictures[0])
    scorer = CnnScorer(SHIPPED, "torch")
    centres = windows.grid(first.shape, scorer.card["stride"])
    net = torch_net(scorer, first).cuda().half()
    padded = windows.pad(first, scorer.card["window"])
    planes = torch.from_numpy(padded).cuda().permute(2, 0, 1)[None]
    flop = operations(net, planes)

    def alone() -> None:
        with torch.inference_mode(), torch.autocast("cuda"):
            net(planes)
        torch.cuda.synchronize()

    side = 8192
    square = torch.rand(side, side, device="cuda", dtype=torch.float16)

    def product() -> None:
        square @ square
        torch.cuda.synchronize()

    ways = {"net": alone, "scores": lambda: scorer(first, centres), "product": product}
    seconds = fastest(ways, arguments.repeats)
    peak = 2 * side**3 / seconds["product"]
    rate = flop / seconds["net"]
    off = np.abs(scorer(first, centres) - CnnScorer(SHIPPED)(first, centres)).max()
    print(f"{torch.cuda.get_device_name()}, {first.shape[1]} x {first.shape[0]} px")
    print(
        f"net alone {seconds['net']:.4f} s, {flop / 1e9:.0f} GFLOP, {rate / 1e12:.0f} TFLOP/s: ",
        end="",
    )
    print(f"{rate / peak:.0%} of a matrix product's {peak / 1e12:.0f}")
    print(f"pixels to scores {seconds['scores']:.4f} s, scores at most {off:.4f} off")
    detector = load("cnn", runtime="torch")
    ways = {"points": lambda: [detector.find(picture) for picture in pictures]}
    each = fastest(ways, 3)["points"] / len(pictures)
    print(f"pixels to points {each:.3f} s an image, one process")
    begun = time.perf_counter()
    file_to_table(arguments.images, detector, arguments.copies, engine.local())
    count = arguments.copies * len(pictures)
    print(f"file to table {count / (time.perf_counter() - begun):.1f} images a second, ", end="")
    print(f"{count} images, a process for each processor, their start included")


if __name__ == "__main__":
    command_line.run(main)
