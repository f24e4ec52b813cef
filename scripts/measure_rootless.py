"""Count the tips that a detector sees where there are no roots.

python scripts/measure_rootless.py

Runs detectors with their own settings over the pictures that come with scikit-image (bricks,
coins, a cat, text, tissue …), over pages of print, rulers and grids, and over drawn plates without
plants (dirt, fibres, scratches, writing; they need the extra synth), and prints how many tips each
sees in them, and in all photographs together; every one is a false alarm.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import command_line
import numpy as np
import pandas as pd
import skimage.data
from draw_pages import page
from skimage.util import img_as_ubyte
from tqdm import tqdm

from roottip.scorers import DETECTORS, load
from roottip.synth.plate import varied
from roottip.synth.render import draw
from roottip.windows import Image

PICTURES = [
    "astronaut",
    "brick",
    "camera",
    "cat",
    "cell",
    "checkerboard",
    "coffee",
    "coins",
    "colorwheel",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "logo",
    "moon",
    "page",
    "retina",
    "rocket",
    "text",
]
"""Those that are in scikit-image's wheel; the others would be downloaded."""

PAGES, PLATES, SEED = 30, 40, 5000
"""How many are drawn; the release learns from other seeds."""


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--weights", help="another net's model.onnx in place of the shipped one")
    parser.add_argument("--seed", type=int, default=SEED, help="of pages and plates")
    parser.add_argument(
        "--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS), help="which"
    )
    arguments = parser.parse_args()
    detectors = {
        name: load(name, weights=arguments.weights) if name == "cnn" else load(name)
        for name in arguments.detectors
    }
    kinds = {name: [photograph(name)] for name in PICTURES}
    seed: int = arguments.seed
    kinds[f"{PAGES} pages"] = [page(np.random.default_rng((seed, n))) for n in range(PAGES)]
    empty = [replace(varied(seed + n), plants=0) for n in range(PLATES)]
    kinds[f"{PLATES} empty plates"] = [draw(plate, seed + n).image for n, plate in enumerate(empty)]
    rows = [
        {
            key: sum(len(detector.find(image)[0]) for image in images)
            for key, detector in detectors.items()
        }
        for images in tqdm(kinds.values(), unit="kind", disable=None)
    ]
    table = pd.DataFrame(rows, index=list(kinds))
    table.loc["all photographs"] = table.loc[PICTURES].sum()
    print(table.to_string())


def photograph(name: str) -> Image:
    """One of scikit-image's pictures, (H, W) or (H, W, 3) uint8."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logo's transparency
        picture = getattr(skimage.data, name)()
    return np.ascontiguousarray(img_as_ubyte(picture)[..., :3] if picture.ndim == 3 else picture)


if __name__ == "__main__":
    command_line.run(main)
