"""Time and memory against the pixels of an image: a line for the time, memory flat.

python scripts/bench_sizes.py ../shared/data/osr/images/*.jpg

Images of 1 to 200 megapixels are put together of the photographs' pieces of 1000 x 1000 px, so
that each has about as many roots a megapixel, written as TIFF and searched by the default
detector, file to points, each in a process of its own, those of more than 40 megapixels strip by
strip as `roottip detect` does; the fastest of REPEATS counts. Prints and writes the seconds, the
MiB that the process grew by and those of the image, and the power of the pixels that the time
grows by, 1 for a line; OUTPUT.csv and OUTPUT.png.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from roottip.detector import load
from roottip.images import read_image
from roottip.meter import Meter
from roottip.scans import scan_of

SIDE = 1000
SHAPES = [(1, 1), (2, 2), (4, 4), (7, 7), (10, 10), (12, 12), (14, 14)]
"""Rows and columns of pieces: megapixels."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("out/sizes"))
    arguments = parser.parse_args()
    pieces = [piece for path in arguments.images for piece in cut(path)]
    np.random.default_rng(0).shuffle(pieces)
    rows = []
    with TemporaryDirectory() as folder:
        for shape in tqdm(SHAPES, disable=None):
            path = Path(folder) / "image.tif"
            cv2.imwrite(str(path), mosaic(pieces, shape))
            # a fresh process: what an earlier image took from the system would count for this one
            with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
                rows.append(fresh.submit(measure, path, arguments.repeats).result())
    table = pd.DataFrame(rows)
    big = table["megapixels"] >= 4
    power = np.polyfit(*np.log(table.loc[big, ["megapixels", "seconds"]].to_numpy().T), 1)[0]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.output.with_suffix(".csv"), index=False)
    print(table.to_string(index=False, float_format="%.3g"))
    print(f"from 4 megapixels on the time grows by the power {power:.2f} of the pixels")
    draw(table, arguments.output.with_suffix(".png"))


def cut(path: Path) -> list[np.ndarray]:
    """An image's whole pieces, RGB."""
    image = read_image(path)
    rows, columns = (length // SIDE for length in image.shape[:2])
    starts = [(y * SIDE, x * SIDE) for y in range(rows) for x in range(columns)]
    return [image[y : y + SIDE, x : x + SIDE] for y, x in starts]


def mosaic(pieces: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pieces side by side, again and again, BGR."""
    rows, columns = shape
    own = [pieces[i % len(pieces)] for i in range(rows * columns)]
    whole = np.vstack([np.hstack(own[i * columns : (i + 1) * columns]) for i in range(rows)])
    return np.ascontiguousarray(whole[:, :, ::-1])


def measure(path: Path, repeats: int) -> dict[str, float]:
    detector = load("cnn")
    detector.find(np.zeros((SIDE, SIDE, 3), np.uint8))  # the program and the net, not the image
    memory, seconds = 0.0, np.inf
    for _ in range(repeats):
        with Meter() as meter:
            scan = scan_of(path, detector.most_pixels)
            image = read_image(path) if scan is None else scan
            points, _ = detector.find(image)
        memory, seconds = max(memory, meter.memory), min(seconds, meter.seconds)
    size = 3 * image.shape[0] * image.shape[1] / 2**20
    return {
        "megapixels": image.shape[0] * image.shape[1] / 1e6,
        "seconds": seconds,
        "tips": len(points),
        "MiB": memory,
        "image MiB": size,
    }


def draw(table: pd.DataFrame, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.loglog(table["megapixels"], table["seconds"], "o-", label="measured")
    line = table["megapixels"] * table["seconds"].iloc[-1] / table["megapixels"].iloc[-1]
    left.loglog(table["megapixels"], line, "--", color="grey", label="a line through the last")
    left.set(xlabel="megapixels", ylabel="seconds, file to points")
    right.plot(table["megapixels"], table["MiB"], "o-", label="the process grew by")
    right.plot(
        table["megapixels"], table["image MiB"], "--", color="grey", label="the image itself"
    )
    right.set(xlabel="megapixels", ylabel="MiB", ylim=(0, None))
    for axis in (left, right):
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
