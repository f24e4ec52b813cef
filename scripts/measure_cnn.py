"""Measure a trained net on annotated images that it was not trained on.

python scripts/measure_cnn.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px. Prints, for the split `val`,
precision, recall and F1 at the card's threshold, average precision and the highest F1 of the
curve, how far scores are from the share of tips, the median distance of the hits, the recall of
tips that have a neighbour within 30 px and of those that have none, and what share of single
windows (half of them tips) is told right, the others drawn near something and anywhere, by the
threshold that does best on windows of the split `train`. What cannot be known is left empty.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import command_line
import numpy as np
import pandas as pd
from measuring import all_finds
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.calibration import calibration_curve

from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.evaluation import evaluate
from roottip.interchange import read_dataset
from roottip.learning.patches import window_patches
from roottip.learning.plates import Plate, read_plates
from roottip.matching import FALSE_ALARM, HIT, MISS
from roottip.scorers.cnn import SHIPPED, CnnScorer, detector

NEIGHBOUR = 30.0

DRAWS = 5
"""How often windows are drawn anew, to be measured on."""


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    parser.add_argument("--split", default="val", help="of the images to measure on")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="model.onnx of a net")
    parser.add_argument(
        "--sizes",
        type=command_line.factors,
        help="to look at images in, such as 1,0.71; else the card's",
    )
    arguments = parser.parse_args()
    scorer = CnnScorer(arguments.weights)
    looking = detector(arguments.weights, sizes=arguments.sizes)
    for folder, _ in arguments.data:
        refuse_tipless(folder, {"train", arguments.split})
    known = [single_windows(folder, "train", scorer, "near") for folder, _ in arguments.data]
    threshold = most_right(*map(np.concatenate, zip(*known, strict=True)))
    rows, drawn = [], {"near": [], "anywhere": []}
    for folder, tolerance in arguments.data:
        measured = whole_images(folder, arguments.split, tolerance, looking)
        row = {"dataset": folder.name, **measured}
        for kind, all_sets in drawn.items():
            scores, tip = single_windows(folder, arguments.split, scorer, kind)
            all_sets.append((scores >= threshold) == tip)
            row[f"patch_accuracy_{kind}"] = share(all_sets[-1])
        rows.append({**row, "windows": len(tip) // DRAWS, "patch_threshold": threshold})
    together = {f"patch_accuracy_{k}": share(np.concatenate(v)) for k, v in drawn.items()}
    rows.append({"dataset": "all windows", **together})
    print(pd.DataFrame(rows).set_index("dataset").T.to_string(float_format="%.4g", na_rep=""))


def refuse_tipless(folder: Path, splits: Collection[str]) -> None:
    """Say so where a split has no visible tip, before anything is measured.

    Raises
    ------
    InputError
        Names the folder and the split.
    """
    for split in sorted(splits):
        if (read_dataset(folder, split).truth["ignore"] == 1).all():
            raise InputError(
                f"{folder} marks no visible tip in images of the split {split!r}, so nothing can "
                "be measured there; give a dataset with some"
            )


def share(right: NDArray[np.bool_]) -> float:
    """How many are right; NaN of none."""
    return float(right.mean()) if len(right) else float("nan")


def whole_images(
    folder: Path, split: str, tolerance: float, looking: WindowDetector
) -> dict[str, float]:
    """Figures of all finds on the images of a split; NaN where there is nothing to tell from."""
    dataset = read_dataset(folder, split)
    found = all_finds(looking, dataset, folder.name)
    result = evaluate(found, dataset.truth, dataset.groups, tolerance, looking.threshold)
    everything = evaluate(found, dataset.truth, dataset.groups, tolerance)
    wanted = ("threshold", "tolerance", "images", "truth", "precision", "recall", "f1")
    crowded = with_neighbour(dataset.truth)
    visible = result.matches[result.matches["outcome"].isin([HIT, MISS])]
    keys = pd.MultiIndex.from_frame(visible[["image", "truth_x", "truth_y"]])
    close = keys.isin(crowded)
    hit = (visible["outcome"] == HIT).to_numpy()
    return {
        **{name: result.summary[name] for name in wanted},
        "f1_low": result.summary["f1_low"],
        "f1_high": result.summary["f1_high"],
        "average_precision": result.summary["average_precision"],
        "calibration_error": calibration_error(everything.matches),
        "median_distance": result.summary["distance_median"],
        "highest_f1_of_curve": float(result.curve["f1"].max()),
        "tips_with_neighbour": int(close.sum()),
        "recall_with_neighbour": share(hit[close]),
        "recall_without": share(hit[~close]),
    }


def calibration_error(matches: pd.DataFrame) -> float:
    """How far a find's score is from the share of tips among finds of such scores, on average.

    Ten bins of as many finds each (Nixon et al. 2019, https://arxiv.org/abs/1904.01685); NaN
    without finds.
    """
    finds = matches[matches["outcome"].isin([HIT, FALSE_ALARM])]
    hits = (finds["outcome"] == HIT).to_numpy()
    scores = finds["score"].to_numpy(dtype=float)
    if not len(scores):
        return float("nan")
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
    command_line.run(main)
