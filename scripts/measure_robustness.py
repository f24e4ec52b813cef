"""Measure detectors on photographs that were changed: to grey, to half the size, cut up and so on.

python scripts/measure_robustness.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px of the image as it was. Prints, for the
split `val` and the settings that come with each detector, precision, recall and F1 of each change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import command_line
import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip import table
from roottip.evaluation import evaluate
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.scorers import load
from roottip.windows import Image

GROUND = (12, 12, 14)
"""Colour of what a framed photograph lies on."""

LIGHTER = 90
"""Grey levels."""

SQUARES, FINE, TURNED = 12, 700, 0.7
"""A grid's squares along the longer side, its lines in that side, and by how many degrees it is off
the photograph's sides."""


@dataclass(frozen=True)
class Part:
    """An image and where it is in another one: px of that one, whose pixels it has `factor` of."""

    image: Image
    left: int = 0
    top: int = 0
    factor: float = 1.0

    def as_before(self, tips: pd.DataFrame) -> pd.DataFrame:
        """Points of the part in px of the image as it was."""
        # the centre of the top-left pixel is (0, 0) in both
        return tips.assign(
            x=(tips["x"] + 0.5) / self.factor - 0.5 + self.left,
            y=(tips["y"] + 0.5) / self.factor - 0.5 + self.top,
        )


def grey(image: Image) -> Image:
    return as_image(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def resized(image: Image, factor: float) -> Image:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return as_image(cv2.resize(image, None, fx=factor, fy=factor, interpolation=method))


def noisy(image: Image, deviation: float) -> Image:
    return as_image(image + np.random.default_rng(0).normal(0, deviation, image.shape))


def ruled(image: Image, level: float) -> Image:
    """Below the grid of a dish, whose lines are lighter by so many grey levels."""
    height, width = image.shape[:2]
    side = max(height, width)
    grid = np.zeros((height, width), np.float32)
    for at in range(side // SQUARES // 2, side, side // SQUARES):
        cv2.line(grid, (at, 0), (at, height), 1.0, round(side / FINE))
        cv2.line(grid, (0, at), (width, at), 1.0, round(side / FINE))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), TURNED, 1)
    turned = cv2.warpAffine(grid, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return as_image(image + level * turned[..., None])


def half_lighter(image: Image) -> Image:
    """Its right half lighter, as where a plate lies half on something else."""
    lighter = image.astype(np.int16)
    lighter[:, image.shape[1] // 2 :] += LIGHTER
    return as_image(lighter)


def framed(image: Image) -> list[Part]:
    """On a nearly black ground, as sheets and plates lie on a scanner."""
    down, right = (side // 6 for side in image.shape[:2])
    wide = cv2.copyMakeBorder(image, down, down, right, right, cv2.BORDER_CONSTANT, value=GROUND)
    return [Part(as_image(wide + np.random.default_rng(0).normal(0, 2, wide.shape)), -right, -down)]


def cut(image: Image, count: int) -> list[Part]:
    """Into so many rows and columns."""
    rows, columns = (np.linspace(0, side, count + 1).astype(int) for side in image.shape[:2])
    return [
        Part(np.ascontiguousarray(image[top:bottom, left:right]), left, top)
        for top, bottom in pairwise(rows.tolist())
        for left, right in pairwise(columns.tolist())
    ]


def as_image(levels: NDArray[Any]) -> Image:
    return np.clip(levels, 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Image], Image | list[Part]]] = {
    "as it is": lambda image: image,
    "red and blue exchanged": lambda image: np.ascontiguousarray(image[..., ::-1]),
    "grey": grey,
    "inverted": lambda image: 255 - image,
    "grey, inverted": lambda image: 255 - grey(image),
    "half the size": lambda image: resized(image, 0.5),
    "a quarter of the size": lambda image: resized(image, 0.25),
    "an eighth of the size": lambda image: resized(image, 0.125),
    "twice the size": lambda image: resized(image, 2),
    "four times the size": lambda image: resized(image, 4),
    "0.4 of the contrast": lambda image: as_image(image * 0.4 + 90),
    "0.15 of the contrast": lambda image: as_image(image * 0.15 + 100),
    "and half of it 90 lighter": lambda image: half_lighter(as_image(image * 0.15 + 40)),
    "a quarter of the light": lambda image: as_image(image * 0.25),
    "noise of 12 grey levels": lambda image: noisy(image, 12),
    "noise of 25 grey levels": lambda image: noisy(image, 25),
    "on a dark ground": framed,
    "below a dark grid": lambda image: ruled(image, -40),
    "below a pale grid": lambda image: ruled(image, 40),
    "cut into 9": lambda image: cut(image, 3),
    "cut into 25": lambda image: cut(image, 5),
}


def changed(image: Image, change: str) -> list[Part]:
    """What `CHANGES` makes of an image, and where each part of that is in it."""
    after = CHANGES[change](image)
    if isinstance(after, list):
        return after
    return [Part(after, factor=after.shape[0] / image.shape[0])]


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    parser.add_argument("--detectors", default="cnn,baseline", help="their names")
    arguments = parser.parse_args()
    detectors = {name: load(name) for name in arguments.detectors.split(",")}
    rows = []
    for folder, tolerance in arguments.data:
        dataset = read_dataset(folder, "val")
        for change in CHANGES:
            for name, detector in detectors.items():
                found = []
                for image in dataset.images["image"]:
                    parts = changed(read_image(dataset.root / image), change)
                    found += [part.as_before(detector.detect(part.image, image)) for part in parts]
                summary = evaluate(
                    table.concat(found), dataset.truth, dataset.groups, tolerance
                ).summary
                rates = {rate: summary[rate] for rate in ("precision", "recall", "f1")}
                rows.append({"dataset": folder.name, "photograph": change, name: rates})
    frame = pd.json_normalize(rows).groupby(["dataset", "photograph"], sort=False).first()
    print(frame.to_string(float_format="%.3f"))


if __name__ == "__main__":
    command_line.run(main)
