"""What huge scans promise, tried: little memory, and the very tips of an untiled scan.

python scripts/prove_scan.py [WIDTH [HEIGHT [FORMAT]]]

Draws plates with the repository's own `synth`, repeats and mirrors them into a file of 30,000 x
20,000 px (or WIDTH x HEIGHT; FORMAT tif, png or jpg) that is written strip by strip, runs ``roottip
detect`` on it in a process of its own, and prints the peak memory of that process and its worker,
each (on Linux) and together, and the seconds; its exit code is that of `detect`. Before that a part
of the same scan, small enough to be read whole, is searched both ways and the tips are compared.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import command_line
import numpy as np
import pyvips
from watching import watch

from roottip import bands, images, table
from roottip.scale import EIGHTH, REFERENCE_WIDTH, adjustment, in_eighths
from roottip.scans import Scan
from roottip.scorers import load
from roottip.synth.dataset import varied_plates, write_dataset

PLATES, SIDE = 4, 1200


def drawn(folder: Path) -> pyvips.Image:
    """Two rows of plates, each beside its mirror image."""
    write_dataset(varied_plates(PLATES, 1, SIDE, px_per_mm=7), 1, folder)
    plates = [
        pyvips.Image.new_from_file(str(path)) for path in sorted((folder / "images").iterdir())
    ]
    row = pyvips.Image.arrayjoin(plates, across=PLATES)
    return pyvips.Image.arrayjoin([row, row.rot180()], across=1)


def write(block: pyvips.Image, path: Path, width: int, height: int) -> None:
    """The block repeated over a scan; libvips writes it strip by strip."""
    across, down = -(-width // block.width), -(-height // block.height)
    scan = block.replicate(across, down).crop(0, 0, width, height)
    options = {"tif": {"compression": "lzw", "bigtiff": True}, "jpg": {"Q": 90}}
    scan.write_to_file(str(path), **options.get(path.suffix[1:], {}))


def compare(block: pyvips.Image, path: Path, width: int, height: int) -> None:
    """A part of the scan in pieces and whole, at the scale that pieces take."""
    write(block, path, width, height)
    eighths = in_eighths(adjustment(bands.crops(Scan(path))).scale)
    # whole blocks, so that the resizing of the whole is by the very same factor
    write(block, path, width // eighths * eighths, height // eighths * eighths)
    scan, image = Scan(path), images.read_image(path)
    assert image.shape[0] * image.shape[1] <= bands.WHOLE, "in pieces both times"
    found = load("cnn", root_width=REFERENCE_WIDTH * eighths / EIGHTH)
    points, scores = found.find(scan)
    expected, expected_scores = found.find(image)
    print(f"{image.shape[1]} x {image.shape[0]} px, resized by {EIGHTH}/{eighths}: "
          f"{len(points)} tips in pieces, {len(expected)} untiled", end="")  # fmt: skip
    if len(points) == len(expected):
        print(f"; largest difference {np.abs(points - expected).max():.2g} px, "
              f"of scores {np.abs(scores - expected_scores).max():.2g}", end="")  # fmt: skip
    print(flush=True)


def main() -> int:
    parser = command_line.parser(__doc__)
    positive = command_line.positive
    parser.add_argument("width", nargs="?", type=positive, default=30_000, help="px")
    parser.add_argument("height", nargs="?", type=positive, default=20_000, help="px")
    parser.add_argument("format", nargs="?", choices=["tif", "png", "jpg"], default="tif")
    arguments = parser.parse_args()
    width, height, form = arguments.width, arguments.height, arguments.format
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        block = drawn(folder / "plates")
        compare(block, folder / f"part.{form}", min(width, 4800), min(height, 3200))
        path = folder / "in" / f"scan.{form}"
        path.parent.mkdir()
        write(block, path, width, height)
        print(f"{width} x {height} px, {path.stat().st_size / 1e6:.0f} MB", flush=True)
        output = folder / "out"
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "roottip", "detect", f"input={path}", f"output={output}"]
        )
        each, together = watch(process)
        took = time.monotonic() - begun
        rows = table.read(output / "images.csv")
        print(rows.drop(columns=["brightness", "sharpness"]).to_string(index=False))
        print(f"exit code {process.returncode}, {took:.0f} s; peak memory "
              + ", ".join(f"{value:.0f}" for value in each.values())
              + f" MB of each process, {together:.0f} MB together")  # fmt: skip
        return int(process.returncode)


if __name__ == "__main__":
    command_line.run(main)
