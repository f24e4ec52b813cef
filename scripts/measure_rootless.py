"""Count the tips that a detector sees where there are no roots.

python scripts/measure_rootless.py

Runs detectors with their own settings over the pictures that come with scikit-image (bricks,
coins, a cat, text, tissue …) and prints how many tips each sees; every one is a false alarm.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
import skimage.data
from skimage.util import img_as_ubyte

from roottip.detector import DETECTORS, load

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", help="another net's model.onnx in place of the shipped one")
    arguments = parser.parse_args()
    detectors = {
        name: load(name, weights=arguments.weights) if name == "cnn" else load(name)
        for name in DETECTORS
    }
    rows = []
    for name in PICTURES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # logo's transparency
            picture = getattr(skimage.data, name)()
        image = np.ascontiguousarray(
            img_as_ubyte(picture)[..., :3] if picture.ndim == 3 else picture
        )
        counts = {key: len(detector.find(image)[0]) for key, detector in detectors.items()}
        rows.append({"picture": name, **counts})
    table = pd.DataFrame(rows).set_index("picture")
    table.loc["all"] = table.sum()
    print(table.to_string())


if __name__ == "__main__":
    main()
