"""Measure a trained net on annotated images that it was not trained on.

python scripts/measure_cnn.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px. Prints, for the split `val`,
precision, recall and F1 at the card's threshold, the median distance of the hits, the recall
of tips that have a neighbour within 30 px and of those that have none, and how many single
windows (half of them tips) are told right, the others drawn near something and anywhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from roottip import table
from roottip.evaluation import HIT, MISS, evaluate
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.learning.patches import window_patches
from roottip.learning.plates import read_plates
from roottip.scorers.cnn import SHIPPED, CnnScorer, detector

NEIGHBOUR = 30.0

EVEN = 0.03
"""Threshold for single windows of which half are tips; in a scan one in a thousand is, so the
card's is far higher. The best on the groups held out in the first stage of the release."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", help="FOLDER:TOLERANCE")
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    rows = []
    for argument in arguments.data:
        folder, tolerance = argument.rsplit(":", 1)
        measured = whole_images(Path(folder), arguments.split, float(tolerance), arguments.weights)
        patches = single_windows(Path(folder), arguments.split, arguments.weights)
        rows.append({"dataset": Path(folder).name, **measured, **patches})
    print(pd.DataFrame(rows).set_index("dataset").T.to_string(float_format="%.4g"))


def whole_images(folder: Path, split: str, tolerance: float, weights: Path) -> dict[str, float]:
    dataset = read_dataset(folder, split)
    looking = detector(weights)
    names = dataset.images["image"]
    found = table.concat(
        [
            looking.detect(read_image(dataset.root / name), name, threshold=0.05)
            for name in tqdm(names, desc=folder.name, disable=None)
        ]
    )
    result = evaluate(found, dataset.truth, dataset.groups, tolerance, looking.threshold)
    wanted = ("threshold", "tolerance", "images", "truth", "precision", "recall", "f1")
    crowded = with_neighbour(dataset.truth)
    visible = result.matches[result.matches["outcome"].isin([HIT, MISS])]
    keys = pd.MultiIndex.from_frame(visible[["image", "truth_x", "truth_y"]])
    close = keys.isin(crowded)
    hit = (visible["outcome"] == HIT).to_numpy()
    best = result.curve.loc[result.curve["f1"].idxmax()]
    return {
        **{name: result.summary[name] for name in wanted},
        "f1_low": result.summary["f1_low"],
        "f1_high": result.summary["f1_high"],
        "average_precision": result.summary["average_precision"],
        "median_distance": result.summary["distance_median"],
        "highest_f1_of_curve": best["f1"],
        "tips_with_neighbour": int(close.sum()),
        "recall_with_neighbour": hit[close].mean(),
        "recall_without": hit[~close].mean(),
    }


def with_neighbour(truth: pd.DataFrame) -> pd.MultiIndex:
    """The visible tips that have another visible one within `NEIGHBOUR` px."""
    rows = []
    for image, tips in truth[truth["ignore"] == 0].groupby("image"):
        xy = tips[["x", "y"]].to_numpy()
        apart = np.linalg.norm(xy[:, None] - xy[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        rows += [(image, x, y) for x, y in xy[(apart <= NEIGHBOUR).any(axis=1)]]
    return pd.MultiIndex.from_tuples(rows, names=["image", "truth_x", "truth_y"])


def single_windows(folder: Path, split: str, weights: Path) -> dict[str, float]:
    plates = read_plates([folder], split)
    scorer = CnnScorer(weights)
    result = {}
    for kind in ("near", "anywhere"):
        images, label = window_patches(plates, 0, kind).tensors
        patches = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))
        scores = scorer.score_patches(patches)
        wanted = label.numpy().ravel() == 1
        for threshold in (EVEN, 0.5):
            right = (scores >= threshold) == wanted
            result[f"patch_accuracy_{kind}_at_{threshold}"] = right.mean()
    return {"windows": len(wanted), **result}


if __name__ == "__main__":
    main()
