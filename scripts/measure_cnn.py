"""Measure a trained net on annotated images that it was not trained on.

python scripts/measure_cnn.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px. Prints, for the split `val`,
precision, recall and F1 at the card's threshold, how far scores are from the share of tips, the
median distance of the hits, the recall of tips that have a neighbour within 30 px and of those
that have none, and how many single windows (half of them tips) are told right, the others drawn
near something and anywhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.calibration import calibration_curve
from tqdm import tqdm

from roottip import table
from roottip.compare import FLOOR
from roottip.detector import WindowDetector
from roottip.evaluation import FALSE_ALARM, HIT, MISS, evaluate
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.learning.patches import window_patches
from roottip.learning.plates import Plate, read_plates
from roottip.scorers.cnn import SHIPPED, CnnScorer, detector

NEIGHBOUR = 30.0

DRAWS = 5
"""How often windows are drawn anew, to be measured on."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", help="FOLDER:TOLERANCE")
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--sizes", help="to look at images in, such as 1,0.71; else the card's")
    arguments = parser.parse_args()
    scorer = CnnScorer(arguments.weights)
    sizes = [*map(float, arguments.sizes.split(","))] if arguments.sizes else None
    looking = detector(arguments.weights, sizes=sizes)
    sets = [argument.rsplit(":", 1) for argument in arguments.data]
    known = [single_windows(Path(folder), "train", scorer, "near") for folder, _ in sets]
    threshold = most_right(*map(np.concatenate, zip(*known, strict=True)))
    rows, drawn = [], {"near": [], "anywhere": []}
    for folder, tolerance in sets:
        measured = whole_images(Path(folder), arguments.split, float(tolerance), looking)
        row = {"dataset": Path(folder).name, **measured}
        for kind, all_sets in drawn.items():
            scores, tip = single_windows(Path(folder), arguments.split, scorer, kind)
            all_sets.append((scores >= threshold) == tip)
            row[f"patch_accuracy_{kind}"] = all_sets[-1].mean()
        rows.append({**row, "windows": len(tip) // DRAWS, "patch_threshold": threshold})
    together = {f"patch_accuracy_{k}": np.concatenate(v).mean() for k, v in drawn.items()}
    rows.append({"dataset": "all windows", **together})
    print(pd.DataFrame(rows).set_index("dataset").T.to_string(float_format="%.4g", na_rep=""))


def whole_images(
    folder: Path, split: str, tolerance: float, looking: WindowDetector
) -> dict[str, float]:
    dataset = read_dataset(folder, split)
    names = dataset.images["image"]
    found = table.concat(
        [
            looking.detect(read_image(dataset.root / name), name, threshold=FLOOR)
            for name in tqdm(names, desc=folder.name, disable=None)
        ]
    )
    result = evaluate(found, dataset.truth, dataset.groups, tolerance, looking.threshold)
    everything = evaluate(found, dataset.truth, dataset.groups, tolerance)
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
        "calibration_error": calibration_error(everything.matches),
        "median_distance": result.summary["distance_median"],
        "highest_f1_of_curve": best["f1"],
        "tips_with_neighbour": int(close.sum()),
        "recall_with_neighbour": hit[close].mean(),
        "recall_without": hit[~close].mean(),
    }


def calibration_error(matches: pd.DataFrame) -> float:
    """How far a find's score is from the share of tips among finds of such scores, on average.

    Ten bins of as many finds each (Nixon et al. 2019, https://arxiv.org/abs/1904.01685).
    """
    finds = matches[matches["outcome"].isin([HIT, FALSE_ALARM])]
    hits = (finds["outcome"] == HIT).to_numpy()
    scores = finds["score"].to_numpy(dtype=float)
    share, score = calibration_curve(hits, scores, n_bins=10, strategy="quantile")
    return float(np.abs(share - score).mean())


def with_neighbour(truth: pd.DataFrame) -> pd.MultiIndex:
    """The visible tips that have another visible one within `NEIGHBOUR` px."""
    rows = []
    for image, tips in truth[truth["ignore"] == 0].groupby("image"):
        xy = tips[["x", "y"]].to_numpy()
        apart = np.linalg.norm(xy[:, None] - xy[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        rows += [(image, x, y) for x, y in xy[(apart <= NEIGHBOUR).any(axis=1)]]
    return pd.MultiIndex.from_tuples(rows, names=["image", "truth_x", "truth_y"])


def single_windows(
    folder: Path, split: str, scorer: CnnScorer, kind: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores of single windows, half of them of tips, and which these are."""
    plates = read_plates([folder], split)
    scores, tips = zip(*(one_draw(plates, scorer, kind, n) for n in range(DRAWS)), strict=True)
    return np.concatenate(scores), np.concatenate(tips)


def one_draw(
    plates: list[Plate], scorer: CnnScorer, kind: str, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    images, label = window_patches(plates, seed, kind).tensors
    patches = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))
    return scorer.score_patches(patches), label.numpy().ravel() == 1


def most_right(scores: NDArray[np.float32], tip: NDArray[np.bool_]) -> float:
    """The threshold by which most windows are told right."""
    # scores of windows anywhere are far from sure: few of those windows are tips
    thresholds = expit(np.linspace(-8, 8, 161))
    right = [((scores >= threshold) == tip).mean() for threshold in thresholds]
    return float(thresholds[int(np.argmax(right))])


if __name__ == "__main__":
    main()
