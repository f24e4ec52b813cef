"""Measure what `windows.foreground` keeps and loses on annotated images.

python scripts/measure_foreground.py ../shared/data/osr ../shared/data/tillmore

For each value of `contrast` it prints the share of windows kept, and the marked, visible tips
of the split `train` at which a window would be dropped: the shipped value must lose none.
"""

from __future__ import annotations

import inspect

import command_line
import numpy as np
import pandas as pd
from tqdm import tqdm

from roottip import windows
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.scale import adjustment, rescaled

CONTRASTS = (1.5, 2.0, 2.25, 2.5, 3.0, 4.0, 6.0)


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "data", nargs="+", type=command_line.folder, metavar="FOLDER", help="of a dataset"
    )
    parser.add_argument("--split", default="train", help="of the images to measure on")
    arguments = parser.parse_args()
    rows = []
    for folder in arguments.data:
        dataset = read_dataset(folder, arguments.split)
        visible = dataset.truth[dataset.truth["ignore"] == 0]
        for name in tqdm(dataset.images["image"], desc=folder.name, disable=None):
            image = read_image(dataset.root / name)
            scaled = adjustment(image)(image)
            factor = np.array(scaled.shape[1::-1]) / image.shape[1::-1]
            tips = visible.loc[visible["image"] == name, ["x", "y"]].to_numpy()
            tips = np.round(rescaled(tips, factor)).astype(np.int32)
            tips = tips.clip(0, np.array(scaled.shape[1::-1]) - 1)
            centres = windows.grid(scaled.shape, 4)
            for contrast in CONTRASTS:
                kept = windows.foreground(scaled, centres, contrast=contrast)
                at_tips = windows.foreground(scaled, tips, contrast=contrast)
                rows.append((folder.name, contrast, kept.mean(), len(tips), (~at_tips).sum()))
    frame = pd.DataFrame(rows, columns=["data", "contrast", "windows kept", "tips", "tips lost"])
    result = frame.groupby(["data", "contrast"], sort=False).agg(
        {"windows kept": "mean", "tips": "sum", "tips lost": "sum"}
    )
    print(result.to_string(float_format="{:.3f}".format))
    default = inspect.signature(windows.foreground).parameters["contrast"].default
    print(f"shipped: contrast={default}")


if __name__ == "__main__":
    command_line.run(main)
