"""Choose the baseline's parameters on the training images.

python scripts/tune_baseline.py ../shared/data/osr:10 ../shared/data/tillmore:20

For each sigma and least_ridge the ends of ridges in all images of the split `train`, as they are,
on a dark ground and with noise (scripts/measure_robustness.py), are measured, a logistic regression
learns which are tips, and five-fold cross-validation over groups, by fewer folds where there are
fewer groups, says how well: the mean over the sets, of the images as they are, of F1 at the best
threshold common to all. Prints each try, then the winner's weights, for WEIGHTS in
roottip/scorers/baseline.py and for conf/detector/baseline.yaml. Takes ten minutes; the split `val`
is never read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product

import command_line
import numpy as np
import pandas as pd
from command_line import Annotated
from measure_robustness import changed
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from roottip import table, windows
from roottip.errors import InputError
from roottip.evaluation import at_thresholds, evaluate
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.scale import adjustment, rescaled
from roottip.scorers.baseline import MEASURES, ridge_ends

PLAIN = "as it is"

CHANGES = {PLAIN: 2.0, "on a dark ground": 1.0, "noise of 12 grey levels": 1.0}
"""How each photograph is shown, and what it weighs then where weights are learnt; all sets weigh
the same."""

SIGMAS = (1.5, 1.8, 2.2)
LEAST_RIDGES = (3.0, 4.0, 5.0)
RADII = (8.0, 10.0, 12.0)
THRESHOLDS = np.round(np.arange(0.1, 0.95, 0.02), 2)
FOLDS = 5


@dataclass
class Example:
    """The ridge ends of one image, in px of the resized image, and the truth."""

    name: str
    group: str
    data: str  # the set, and how it is changed
    weight: float
    tolerance: float  # px of the resized image
    truth: pd.DataFrame
    points: NDArray[np.float64]
    measures: NDArray[np.float64]

    def labels(self) -> NDArray[np.float64]:
        """1: on a visible tip; 0: on none; NaN: beside one, or on one nobody can see."""
        labels = np.zeros(len(self.points))
        for ignore in (1, 0):
            xy = self.truth.loc[self.truth["ignore"] == ignore, ["x", "y"]].to_numpy()
            if len(xy):
                distance = np.linalg.norm(self.points[:, None] - xy[None], axis=2).min(axis=1)
                labels[distance <= 2 * self.tolerance] = np.nan
                if not ignore:
                    labels[distance <= 0.7 * self.tolerance] = 1
        return labels


def prepare(data: list[Annotated]) -> list[tuple[Example, windows.Image]]:
    examples = []
    for folder, tolerance in data:
        dataset = read_dataset(folder, "train")
        for name, group in tqdm(dataset.groups.items(), desc=f"read {folder.name}", disable=None):
            image = read_image(dataset.root / name)
            truth = dataset.truth[dataset.truth["image"] == name].reset_index(drop=True)
            for change, weight in CHANGES.items():
                (part,) = changed(image, change)
                scaled = adjustment(part.image)(part.image)
                factor = part.factor * np.array(scaled.shape[1::-1]) / part.image.shape[1::-1]
                key = f"{folder.name}/{name} {change}"
                seen = truth.assign(image=key, x=truth["x"] - part.left, y=truth["y"] - part.top)
                seen[["x", "y"]] = rescaled(seen[["x", "y"]].to_numpy(), factor)
                example = Example(
                    key,
                    f"{folder.name}/{group}",
                    f"{folder.name} {change}",
                    weight,
                    tolerance * float(factor.mean()),
                    seen,
                    np.empty((0, 2)),
                    np.empty((0, len(MEASURES))),
                )
                examples.append((example, scaled))
    return examples


def fit(examples: list[Example]) -> Pipeline:
    """Learn which ends of ridges are tips.

    Raises
    ------
    InputError
        None are, or all.
    """
    measures = np.concatenate([e.measures for e in examples])
    labels = np.concatenate([e.labels() for e in examples])
    known = ~np.isnan(labels)
    if len({*labels[known]}) < 2:
        raise InputError(
            "without the images of a fold no end of a ridge lies on a visible tip, or none beside "
            "tips, so there is nothing to tell apart; give datasets with more images"
        )
    ends: Counter[str] = Counter()
    for e in examples:
        ends[e.data] += len(e.points)
    weights = np.concatenate(
        [np.full(len(e.points), e.weight / max(ends[e.data], 1)) for e in examples]
    )
    weights = weights[known] / weights[known].mean()
    # a little shrinkage: some measures say much the same
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=3000))
    return model.fit(measures[known], labels[known], logisticregression__sample_weight=weights)


def cross_validated(examples: list[Example], seed: int) -> dict[str, NDArray[np.float64]]:
    """Each image's scores from a fit that has not seen its group.

    Raises
    ------
    InputError
        There is a single group.
    """
    groups = sorted({e.group for e in examples})
    if len(groups) < 2:
        raise InputError(
            f"all images of the split train are of one group, {groups[0]}, so none can be held "
            "out; give datasets with more groups"
        )
    np.random.default_rng(seed).shuffle(groups)
    scores = {}
    for k in range(min(FOLDS, len(groups))):
        held = set(groups[k::FOLDS])
        model = fit([e for e in examples if e.group not in held])
        for e in examples:
            if e.group in held:
                seen = len(e.points) > 0  # scikit-learn does not take nothing
                scores[e.name] = model.predict_proba(e.measures)[:, 1] if seen else np.empty(0)
    return scores


def f1_by_threshold(
    examples: list[Example], scores: dict[str, NDArray[np.float64]], radius: float
) -> pd.DataFrame:
    """F1 at each of THRESHOLDS, a column for each data set."""
    columns = {}
    for data in dict.fromkeys(e.data for e in examples):
        found, truth, names = [], [], []
        for e in (e for e in examples if e.data == data):
            kept = windows.suppress(e.points, scores[e.name], radius)
            # in units of the tolerance, which differs from image to image by the resizing
            found.append(table.points(e.name, e.points[kept] / e.tolerance, scores[e.name][kept]))
            truth.append(e.truth.assign(x=e.truth["x"] / e.tolerance, y=e.truth["y"] / e.tolerance))
            names.append(e.name)
        curve = evaluate(table.concat(found), pd.concat(truth, ignore_index=True), names, 1.0).curve
        columns[data] = at_thresholds(curve, THRESHOLDS)["f1"].to_numpy()
    return pd.DataFrame(columns, index=THRESHOLDS)


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the folds")
    arguments = parser.parse_args()
    prepared = prepare(arguments.data)
    examples = [example for example, _ in prepared]
    best: tuple[float, list[str], Pipeline] | None = None
    for sigma, least_ridge in product(SIGMAS, LEAST_RIDGES):
        for example, image in tqdm(prepared, desc="measure", disable=None, leave=False):
            example.points, example.measures = ridge_ends(image, sigma, least_ridge)
        scores = cross_validated(examples, arguments.seed)
        for radius in RADII:
            f1 = f1_by_threshold(examples, scores, radius)
            plain = f1.filter(like=PLAIN).mean(axis=1)
            threshold, mean = plain.idxmax(), plain.max()
            settings = f"{sigma=} {least_ridge=} {radius=} {threshold=:g}"
            each = ", ".join(f"{name} {f1.loc[threshold, name]:.3f}" for name in f1)
            print(f"{settings}: cross-validated F1 {mean:.3f} ({each})", flush=True)
            if best is None or mean > best[0]:
                best = (mean, [settings, each], fit(examples))
    assert best is not None
    scaler, regression = best[2][0], best[2][1]
    weights = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_[0] - (weights * scaler.mean_).sum()
    print(f"\nbest: {best[1][0]}: cross-validated F1 {best[1][1]}\nweights:")
    for name, weight in [("bias", bias), *zip(MEASURES, weights, strict=True)]:
        print(f"  {name}: {weight:.4g}")


if __name__ == "__main__":
    command_line.run(main)
