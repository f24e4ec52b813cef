"""Time a scan of one image against the same net window by window.

python scripts/bench_scan.py

Both score every window of an image, 1916 x 2500 px of noise or a given one, stride 4, with ONNX
Runtime and the same weights: one slides the net over the image, the other cuts a row of windows at
a time and scores the cuts as a batch. Prints both times, their ratio and the largest difference
between two scores of the same window. Takes some minutes, nearly all of them the second way.
"""

from __future__ import annotations

import time
from pathlib import Path

import command_line
import numpy as np
from tqdm import tqdm

from roottip import windows
from roottip.images import read_image
from roottip.scorers.cnn import SHIPPED, CnnScorer


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="model.onnx of a net")
    parser.add_argument("--image", type=command_line.file, help="noise where not given")
    parser.add_argument(
        "--repeats",
        type=command_line.positive,
        default=5,
        help="scans before and after; the fastest counts",
    )
    arguments = parser.parse_args()
    scorer = CnnScorer(arguments.weights)
    image = read_image(arguments.image) if arguments.image else noise()
    scan, one_by_one, apart = both_ways(scorer, image, arguments.repeats)
    count = len(windows.grid(image.shape, scorer.card["stride"]))
    size = f"{image.shape[1]} x {image.shape[0]}"
    print(f"{count} windows of {scorer.card['window']} px on {size} px")
    print(f"one scan          {scan:8.2f} s (the fastest of {2 * arguments.repeats})")
    print(f"window by window  {one_by_one:8.2f} s")
    print(f"ratio             {one_by_one / scan:8.0f}")
    print(f"largest difference of a score {apart:.1e}")


def both_ways(
    scorer: CnnScorer, image: windows.Image, repeats: int, every: int = 1
) -> tuple[float, float, float]:
    """Seconds of one scan, seconds window by window, and the largest difference of a score.

    Window by window only every so many rows are scored, and their time is scaled up.
    """
    window, stride = scorer.card["window"], scorer.card["stride"]
    centres = windows.grid(image.shape, stride)

    def scans() -> list[float]:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            scorer(image, centres)
            times.append(time.perf_counter() - start)
        return times

    before = scans()
    rows = np.split(centres, np.flatnonzero(np.diff(centres[:, 1])) + 1)[::every]
    start = time.perf_counter()
    cut = np.concatenate(
        [
            scorer.score_patches(windows.patches(image, row, window))
            for row in tqdm(rows, desc="window by window", disable=None)
        ]
    )
    one_by_one = (time.perf_counter() - start) * len(centres) / len(cut)
    scan = min(before + scans())  # before and after: a busy machine must not spoil one side only
    scanned = scorer(image, np.concatenate(rows))
    return scan, one_by_one, float(np.abs(scanned - cut).max())


def noise() -> windows.Image:
    return np.random.default_rng(0).integers(0, 256, (2500, 1916, 3), dtype=np.uint8)


if __name__ == "__main__":
    command_line.run(main)
