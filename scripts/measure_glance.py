"""Measure what the shipped net's glance and its 8 bits cost in tips and save in time.

python scripts/measure_glance.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px. Every image is searched twice, as shipped
and with every window scored in float32. Prints, for each set and split, F1 of both, how many points
each search alone found and how many of those lost are tips, how far the others moved, and how many
times as fast the search is. With --changed the images are searched grey, inverted, at half the size
and so on too (measure_robustness.py), which glance and 8 bits have to bear as well.
"""

from __future__ import annotations

import time
from pathlib import Path

import command_line
import numpy as np
import pandas as pd
from measure_robustness import CHANGES, changed
from scipy.spatial import cKDTree
from tqdm import tqdm

from roottip import table
from roottip.evaluation import evaluate
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.scorers.cnn import detector

SAME = 4.0
"""px: two points closer than this are one, found twice."""


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    parser.add_argument(
        "--splits", default="train,val", help="none: images of all splits, or of a set without"
    )
    parser.add_argument("--changed", action="store_true", help="changed images too, see above")
    arguments = parser.parse_args()
    rows = []
    for folder, tolerance in arguments.data:
        for split in arguments.splits.split(","):
            for change in list(CHANGES) if arguments.changed else list(CHANGES)[:1]:
                rows.append(
                    {"dataset": folder.name, "split": split, "images": change}
                    | measure(folder, None if split == "none" else split, tolerance, change)
                )
                print(pd.DataFrame(rows[-1:]).to_string(index=False, float_format="%.4g"))
    print()
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.4g"))


def measure(folder: Path, split: str | None, tolerance: float, change: str) -> dict[str, float]:
    dataset = read_dataset(folder, split)
    ways = {"every window": detector(glance=False, int8=False), "as shipped": detector()}
    found: dict[str, list[pd.DataFrame]] = {way: [] for way in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for name in tqdm(
        dataset.images["image"], desc=f"{folder.name} {split}", leave=False, disable=None
    ):
        for part in changed(read_image(dataset.root / name), change):
            for way, looking in ways.items():
                begun = time.perf_counter()
                tips = looking.detect(part.image, name)
                seconds[way] += time.perf_counter() - begun
                found[way].append(part.as_before(tips))
    points = {way: table.concat(rows) for way, rows in found.items()}
    whole, hasty = points.values()
    least = ways["as shipped"].threshold
    scores = {
        f"f1 {way}": evaluate(rows, dataset.truth, dataset.groups, tolerance, least).summary["f1"]
        for way, rows in points.items()
    }
    lost, moved = unmatched(whole, hasty)
    gained, _ = unmatched(hasty, whole)
    marked = dataset.truth[dataset.truth["ignore"] == 0]
    return {
        **scores,
        "found": len(whole),
        "lost": len(lost),
        "of them tips": len(lost) - len(unmatched(lost, marked, tolerance)[0]),
        "gained": len(gained),
        "moved at most, px": max(moved, default=0.0),
        "times as fast": seconds["every window"] / seconds["as shipped"],
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


if __name__ == "__main__":
    command_line.run(main)
