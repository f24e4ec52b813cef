"""Measure what the shipped net's glance costs in tips and saves in time.

python scripts/measure_glance.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px. Every image is searched twice, with the
glance and with every window scored. Prints, for each set and split, F1 of both, how many points
only one of the two found and how many of those are tips, how far the others moved, and the seconds
of the scans alone. With --changed the images are searched grey, inverted, at half the size and
with a quarter of the contrast too, which the glance has to bear as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from tqdm import tqdm

from roottip import table
from roottip.evaluation import evaluate
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.scorers.cnn import detector
from roottip.windows import Image

SAME = 4.0
"""px: two points closer than this are one, found twice."""

CHANGES: dict[str, tuple[float, Callable[[Image], Image]]] = {
    "grey": (1.0, lambda image: np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)),
    "inverted": (1.0, lambda image: 255 - image),
    "half size": (0.5, lambda image: half(image)),
    "quarter of the contrast": (1.0, lambda image: (image // 4 + 96).astype(np.uint8)),
}
"""How a photograph may differ: the factor of its size, and what is done."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", help="FOLDER:TOLERANCE")
    parser.add_argument("--splits", default="train,val", help="none for sets without a split")
    parser.add_argument("--changed", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for argument in arguments.data:
        folder, tolerance = argument.rsplit(":", 1)
        for split in arguments.splits.split(","):
            for change in ["as is", *(CHANGES if arguments.changed else ())]:
                rows.append(
                    {"dataset": Path(folder).name, "split": split, "images": change}
                    | measure(
                        Path(folder), None if split == "none" else split, float(tolerance), change
                    )
                )
                print(pd.DataFrame(rows[-1:]).to_string(index=False, float_format="%.4g"))
    print()
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.4g"))


def measure(folder: Path, split: str | None, tolerance: float, change: str) -> dict[str, float]:
    dataset = read_dataset(folder, split)
    size, changed = CHANGES.get(change, (1.0, lambda image: image))
    truth = dataset.truth.assign(
        x=(dataset.truth["x"] + 0.5) * size - 0.5, y=(dataset.truth["y"] + 0.5) * size - 0.5
    )
    ways = {"every window": detector(glance=False), "glance": detector()}
    found: dict[str, list[pd.DataFrame]] = {way: [] for way in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for name in tqdm(dataset.images["image"], desc=f"{folder.name} {split}", leave=False):
        image = changed(read_image(dataset.root / name))
        for way, looking in ways.items():
            begun = time.perf_counter()
            found[way].append(looking.detect(image, name))
            seconds[way] += time.perf_counter() - begun
    whole, hasty = (table.concat(found[way]) for way in ways)
    least = ways["glance"].threshold
    scores = {
        f"f1 {way}": evaluate(
            table.concat(found[way]), truth, dataset.groups, tolerance * size, least
        ).summary["f1"]
        for way in ways
    }
    lost, moved = unmatched(whole, hasty)
    gained, _ = unmatched(hasty, whole)
    tips = truth[truth["ignore"] == 0]
    return {
        **scores,
        "found": len(whole),
        "lost": len(lost),
        "of them tips": len(lost) - len(unmatched(lost, tips, tolerance * size)[0]),
        "gained": len(gained),
        "moved at most, px": max(moved, default=0.0),
        "times as fast": seconds["every window"] / seconds["glance"],
    }


def unmatched(
    ones: pd.DataFrame, others: pd.DataFrame, radius: float = SAME
) -> tuple[pd.DataFrame, list[float]]:
    """Those points that have no other one of their image near, and how far the near ones are."""
    alone, apart = [], []
    at = {image: cKDTree(rows[["x", "y"]]) for image, rows in others.groupby("image")}
    for number, (image, x, y) in enumerate(ones[["image", "x", "y"]].itertuples(index=False)):
        gap = at[image].query([x, y])[0] if image in at else np.inf
        if gap > radius:
            alone.append(number)
        else:
            apart.append(float(gap))
    return ones.iloc[alone], apart


def half(image: Image) -> Image:
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
