"""Compare other low-level detectors with the shipped baseline, on the training images.

python scripts/baseline_alternatives.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px; the split `train` is used. Each
alternative is a scorer in the same sliding window; its threshold is the best for all sets
together. Prints precision, recall and F1 of each; docs/baseline.md quotes the table.
"""

from __future__ import annotations

from collections.abc import Callable

import command_line
import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from roottip import windows
from roottip.compare import compare
from roottip.detector import WindowDetector
from roottip.evaluation import at_thresholds
from roottip.interchange import read_dataset
from roottip.lines import clearest_channel
from roottip.scorers import baseline, load
from roottip.windows import Centres, Image, Scores

Response = Callable[[Image], NDArray[np.floating]]
THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.01), 2)


def contrast(image: Image) -> NDArray[np.float32]:
    channel, background, noise = clearest_channel(image)
    return np.abs(channel.astype(np.float32) - background) / np.float32(noise)


def squashed(response: NDArray[np.floating]) -> NDArray[np.floating]:
    """To [0, 1]: a monotone function, so that the order of the windows stays."""
    typical = np.percentile(response, 99.9) + 1e-6
    return np.maximum(response, 0) / (np.maximum(response, 0) + typical)


def difference_of_gaussians(image: Image) -> NDArray[np.floating]:
    c = contrast(image)
    return squashed(cv2.GaussianBlur(c, (0, 0), 2) - cv2.GaussianBlur(c, (0, 0), 5))


def corners(image: Image) -> NDArray[np.floating]:
    return squashed(cv2.cornerMinEigenVal(cv2.GaussianBlur(contrast(image), (0, 0), 1), 9))


def harris(image: Image) -> NDArray[np.floating]:
    return squashed(cv2.cornerHarris(cv2.GaussianBlur(contrast(image), (0, 0), 1), 9, 3, 0.05))


def sobel_end(image: Image) -> NDArray[np.floating]:
    """Gradients of a line end point in all directions of half a disc; a line's cancel."""
    c = cv2.GaussianBlur(contrast(image), (0, 0), 1.5)
    dx, dy = cv2.Sobel(c, cv2.CV_32F, 1, 0), cv2.Sobel(c, cv2.CV_32F, 0, 1)
    return squashed(np.hypot(cv2.GaussianBlur(dx, (0, 0), 4), cv2.GaussianBlur(dy, (0, 0), 4)))


def line_end(image: Image) -> NDArray[np.floating]:
    """Oriented line-end filters: ridge behind less ridge ahead, the best of 16 directions."""
    ridges = baseline._Ridges.of(image, 1.5)
    best = np.zeros(image.shape[:2], np.float32)
    for angle in np.arange(16) * np.pi / 8:
        tx, ty = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        across = ty * ty * ridges.xx - 2 * tx * ty * ridges.xy + tx * tx * ridges.yy
        ridge = np.maximum(-across, 0)

        def moved(by: float, ridge=ridge, tx=tx, ty=ty) -> NDArray[np.floating]:
            move = np.float32([[1, 0, by * tx], [0, 1, by * ty]])
            return cv2.warpAffine(ridge, move, ridge.shape[::-1])

        behind = np.minimum(np.minimum(moved(2), moved(5)), moved(8))
        ahead = np.maximum(np.maximum(moved(-3), moved(-6)), moved(-9))
        best = np.maximum(best, behind - ahead)
    return squashed(cv2.GaussianBlur(best, (0, 0), 2))


def skeleton(image: Image, pruned: int, adaptive: bool = False) -> NDArray[np.floating]:
    """Ends of a skeleton whose branches were shortened and grown back; the score is contrast.

    The mask is either the ridges, or an adaptive threshold of the grey image, closed.
    """
    ridges = baseline._Ridges.of(image, 1.5)
    if adaptive:
        grey = (ridges.contrast * 4 + 60).clip(0, 255).astype(np.uint8)
        method = cv2.ADAPTIVE_THRESH_MEAN_C
        mask = cv2.adaptiveThreshold(grey, 1, method, cv2.THRESH_BINARY, 31, -20)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    else:
        mask = (ridges.strength > 8).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    mask = (stats[:, cv2.CC_STAT_AREA] > 200)[labels] & (labels > 0)
    thin = skeletonize(mask).astype(np.uint8)
    kept = thin.copy()
    for _ in range(pruned):
        kept[ends(kept)] = 0
    for _ in range(pruned):
        kept |= cv2.dilate(ends(kept).astype(np.uint8), np.ones((3, 3), np.uint8)) & thin
    y, x = np.nonzero(ends(kept))
    near = cv2.dilate(ridges.contrast, np.ones((9, 9), np.uint8))[y, x].clip(0)
    scores = (near / (near + 20)).astype(np.float32)
    return baseline._paint(image.shape[:2], np.stack([x, y], axis=1).astype(float), scores)


def unweighted(image: Image) -> NDArray[np.floating]:
    """The baseline's ends of ridges, scored by the line-end filter alone."""
    points, measures = baseline.ridge_ends(image)
    of = dict(zip(baseline.MEASURES, measures.T, strict=True))
    scores = 1 / (1 + np.exp(-(of["ridge"] + of["weakest_on_walk"] - of["cone_far"] - 2)))
    best = windows.suppress(points, scores.astype(np.float32), 8)
    return baseline._paint(image.shape[:2], points[best], scores[best].astype(np.float32))


def ends(thin: NDArray[np.uint8]) -> NDArray[np.bool_]:
    neighbours = cv2.filter2D(thin, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    return (thin > 0) & (neighbours == 2)


ALTERNATIVES: dict[str, Response] = {
    "difference of Gaussians": difference_of_gaussians,
    "Harris corners": harris,
    "smallest eigenvalue corners": corners,
    "mean Sobel gradient": sobel_end,
    "oriented line-end filters": line_end,
    "skeleton of adaptive threshold, pruned 12 px": lambda image: skeleton(image, 12, True),
    "skeleton of ridges": lambda image: skeleton(image, 0),
    "skeleton of ridges, pruned 6 px": lambda image: skeleton(image, 6),
    "skeleton of ridges, pruned 12 px": lambda image: skeleton(image, 12),
    "ends of ridges, line-end filter alone": unweighted,
}


def as_scorer(response: Response) -> Callable[[Image, Centres], Scores]:
    return lambda image, centres: response(image)[centres[:, 1], centres[:, 0]].astype(np.float32)


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    arguments = parser.parse_args()
    detectors = {
        name: WindowDetector(as_scorer(response), threshold=0.05, radius=12)
        for name, response in ALTERNATIVES.items()
    }
    detectors["shipped baseline"] = load("baseline")
    curves: dict[str, dict[str, pd.DataFrame]] = {name: {} for name in detectors}
    for folder, tolerance in arguments.data:
        dataset = read_dataset(folder, "train")
        evaluations, _ = compare(dataset, detectors, tolerance)
        for name, evaluation in evaluations.items():
            curves[name][folder.name] = at_thresholds(evaluation.curve, THRESHOLDS)
    rows = []
    for name, sets in curves.items():
        best = int(np.mean([at["f1"] for at in sets.values()], axis=0).argmax())
        row: dict[str, object] = {"detector": name}
        for data, at in sets.items():
            for figure in ("precision", "recall", "f1"):
                row[f"{data} {figure}"] = f"{at[figure][best]:.3f}"
        rows.append(row)
    print(pd.DataFrame(rows).sort_values(list(rows[0])[-1]).to_string(index=False))


if __name__ == "__main__":
    command_line.run(main)
