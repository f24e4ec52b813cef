"""Time and memory against the pixels of an image: a line for the time, memory flat.

python scripts/bench_sizes.py ../shared/data/osr/images/A_osr_0049.jpg

Images of 1 to 200 megapixels are made of one photograph and its mirror images, so that each has
about as many roots a megapixel, written as TIFF and searched by the default detector, file to
points, each in a process of its own, those of more than 16 megapixels strip by strip as `roottip
detect` does; the fastest of REPEATS counts. Prints and writes the seconds, the MiB that the
process grew by and those of the image, and the power of the pixels that the time grows by, 1 for
a line; OUTPUT.csv and OUTPUT.png.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import command_line
import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from roottip.images import read_image
from roottip.meter import Meter
from roottip.scans import scan_of
from roottip.scorers import load

SIDES = [1000, 2000, 4000, 6000, 7000, 10_000, 12_000, 14_000]
"""px"""


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("photograph", type=command_line.file, help="a file")
    parser.add_argument(
        "--repeats", type=command_line.positive, default=3, help="of each size; the fastest counts"
    )
    parser.add_argument("--output", type=Path, default=Path("out/sizes"), help="without its ending")
    arguments = parser.parse_args()
    photograph = read_image(arguments.photograph)
    rows = []
    with TemporaryDirectory() as folder:
        for side in tqdm(SIDES, disable=None):
            path = Path(folder) / "image.tif"
            cv2.imwrite(str(path), enlarged(photograph, side)[..., ::-1])
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


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """A square of `side` px: the photograph beside its mirror images, again and again, or a part.

    Mirrored, it goes on without a seam, which would be taken for a wide root.
    """
    more = [(0, max(0, side - length)) for length in image.shape[:2]]
    return np.pad(image, [*more, (0, 0)], mode="symmetric")[:side, :side]


def measure(path: Path, repeats: int) -> dict[str, float]:
    detector = load("cnn")
    detector.find(np.zeros((1000, 1000, 3), np.uint8))  # the program and the net, not the image
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
    command_line.run(main)
