"""Measure a net, and the estimated width of roots, on drawn plates that it did not learn from.

python scripts/measure_drawn.py --output out/drawn

Draws plates of all kinds, rows of young plants with fine roots and thick shoots, as on plates of
agar, and the first of the plates of all kinds on ground as rough as soil, all as
scripts/train_release.py does but with another seed (the extra synth). They stay in OUTPUT and are
not drawn again. Prints, for finds within 8 px, what scripts/measure_cnn.py prints of whole images,
and how the estimated width of roots compares with that of the thickest ones: the median of the
ratio, and how many images are off by a factor of 1.7 or more, in whose scale no detector sees much.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import command_line
import numpy as np
import pandas as pd
from making import whole
from measure_cnn import whole_images
from train_release import ignore_faint, on_soil, some_rows

from roottip import table
from roottip.images import read_image
from roottip.scale import REFERENCE_WIDTH, adjustment
from roottip.scorers.cnn import SHIPPED, detector
from roottip.synth.dataset import write_dataset
from roottip.synth.plate import Plate

GROWTH = 7
"""Seed of how the plants grow; one for all seeds of plates, so that figures stay comparable."""

PLATES, ROWS, SOIL, SEED = 60, 30, 30, 99

SIDE = 1400
"""px, of the pictures of rows of young plants."""

TOLERANCE = 8.0

OFF = 1.7
"""Factor by which an estimated width of roots is far off."""


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("out/drawn"), help="a folder")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="model.onnx of a net")
    parser.add_argument("--seed", type=int, default=SEED, help="of the plates")
    arguments = parser.parse_args()
    output = arguments.output / f"seed_{arguments.seed}"
    sets = {
        output / "kinds": some_rows(PLATES, arguments.seed),
        output / "rows": some_rows(ROWS, arguments.seed, SIDE, every=1),
        output / "soil": on_soil(some_rows(SOIL, arguments.seed), arguments.seed),
    }
    for folder, plates in sets.items():
        whole(folder, draw, plates)
    looking = detector(arguments.weights)
    measured = [
        {
            "dataset": folder.name,
            **whole_images(folder, "train", TOLERANCE, looking),
            **widths(folder),
        }
        for folder in sets
    ]
    print(pd.DataFrame(measured).set_index("dataset").T.to_string(float_format="%.4g"))


def draw(folder: Path, plates: Sequence[Plate]) -> None:
    write_dataset(plates, GROWTH, folder, "train", workers=2)
    ignore_faint(folder)


def widths(folder: Path) -> dict[str, float]:
    """How wide roots are taken to be, over how wide the thickest are drawn."""
    images = table.read(folder / "images.csv")
    planted = images[images["plants"] > 0]
    scales = [adjustment(read_image(folder / "images" / n)).scale for n in planted["image"]]
    ratio = REFERENCE_WIDTH / np.array(scales) / planted["root_width"].to_numpy()
    wrong = np.abs(np.log(ratio)) >= np.log(OFF)
    return {"width_ratio": float(np.median(ratio)), "widths_off": int(wrong.sum())}


if __name__ == "__main__":
    command_line.run(main)
