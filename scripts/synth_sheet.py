"""Twelve drawn plates beside twelve photographs, to see what gives the drawn ones away.

python scripts/synth_sheet.py ../shared/data --output out/sheet.png

The plates are drawn by the extra synth; the photographs are of the split `train` of each dataset
folder in the given one. Each is shown by 400 x 400 px around one of its tips.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import command_line
import cv2
import numpy as np

from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.synth.dataset import plate_seed, varied_plates
from roottip.synth.render import draw

SIDE, COLUMNS, GAP = 400, 3, 16


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "data", type=command_line.folder, help="folder of dataset folders of photographs"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the plates")
    parser.add_argument("--output", type=Path, default=Path("out/sheet.png"), help="a picture")
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.data.glob("*/images.csv"))
    if not folders:
        parser.error(
            f"{arguments.data} holds no folder with an images.csv; give that around datasets"
        )
    plates = varied_plates(12, arguments.seed)
    drawn = [draw(p, plate_seed(arguments.seed, n)) for n, p in enumerate(plates)]
    left = [cut(made.image, made.tips[made.tips["ignore"] == 0]) for made in drawn]
    right = []
    for n in range(12):
        dataset = read_dataset(folders[n % len(folders)], "train")
        name = dataset.images["image"].iloc[7 * n % len(dataset.images)]
        truth = dataset.truth[(dataset.truth["image"] == name) & (dataset.truth["ignore"] == 0)]
        right.append(cut(read_image(dataset.root / name), truth))
    gap = np.full((sheet(left).shape[0], GAP, 3), 255, np.uint8)
    both = np.hstack([sheet(left), gap, sheet(right)])
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.output), both[..., ::-1])
    print(arguments.output)


def cut(image: Any, tips: Any) -> Any:
    """A square around the tip in the middle of the list, inside the image."""
    at = np.array(image.shape[1::-1]) / 2
    if len(tips):
        at = tips[["x", "y"]].to_numpy()[len(tips) // 2]
    x, y = np.clip((at - SIDE / 2).astype(int), 0, np.array(image.shape[1::-1]) - SIDE)
    return image[y : y + SIDE, x : x + SIDE]


def sheet(cells: list[Any]) -> Any:
    rows = [np.hstack(cells[n : n + COLUMNS]) for n in range(0, len(cells), COLUMNS)]
    return np.vstack(rows)


if __name__ == "__main__":
    command_line.run(main)
