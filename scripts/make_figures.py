"""Draw the README's picture of plates with their tips, docs/overview.jpg, again.

python scripts/make_figures.py
"""

from __future__ import annotations

from pathlib import Path

import command_line
import cv2
import numpy as np

from roottip import pictures
from roottip.compare import compare
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.scorers import load

ROOT = Path(__file__).parents[1]

SHOWN = ("plate_0001.jpg", "plate_0002.jpg", "plate_0005.jpg", "plate_0007.jpg")


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="a folder")
    parser.add_argument("--detector", default="cnn", help="whose finds are drawn")
    arguments = parser.parse_args()
    sample = read_dataset(ROOT / "data" / "sample")
    evaluations, _ = compare(sample, {"shown": load(arguments.detector)}, tolerance=10)
    outcomes = evaluations["shown"].matches
    drawn = [
        pictures.overlay(read_image(sample.root / name), outcomes[outcomes["image"] == name])
        for name in SHOWN
    ]
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "overview.jpg"
    cv2.imwrite(str(path), np.hstack(drawn)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(path)


if __name__ == "__main__":
    command_line.run(main)
