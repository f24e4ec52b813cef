"""How well detectors do on plates, and what to choose by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from roottip import table
from roottip.detector import FAINTEST, WindowDetector
from roottip.evaluation import Evaluation, at_thresholds, evaluate
from roottip.learning.mining import LEAST
from roottip.learning.plates import Plate, by_dataset
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers import cnn

TOLERANCE = 2 * REFERENCE_WIDTH
"""px: two root widths off is not the same tip."""

THRESHOLDS = np.round(np.arange(0.05, 0.996, 0.01), 2)


def scan(detector: WindowDetector, plates: Sequence[Plate]) -> list[pd.DataFrame]:
    """What a detector finds on each plate, as points tables."""
    looks = tqdm(plates, desc="judging", leave=False, disable=None)
    return [detector.detect(plate.image, plate.name) for plate in looks]


def evaluated(found: Sequence[pd.DataFrame], plates: Sequence[Plate]) -> Evaluation:
    """Score what was found on plates, as `scan` gives it; tips are matched within `TOLERANCE`."""
    truth = pd.concat([_truth(plate) for plate in plates], ignore_index=True)
    names = [plate.name for plate in plates]
    return evaluate(table.concat(list(found)), truth, names, TOLERANCE)


def curves(found: Sequence[pd.DataFrame], plates: Sequence[Plate]) -> dict[str, pd.DataFrame]:
    """Precision and recall of what was found, as `scan` gives it, over `THRESHOLDS`.

    Returns
    -------
    dict of DataFrame
        For each dataset with a tip in `plates`: ``threshold, precision, recall, f1`` and
        ``tips``, how many there are.
    """
    result = {}
    for dataset in by_dataset(plates):
        own = [pair for pair in zip(found, plates, strict=True) if pair[1].dataset == dataset]
        if not any(len(plate.tips) for _, plate in own):
            continue
        judged = evaluated(*zip(*own, strict=True))
        at = at_thresholds(judged.curve, THRESHOLDS)
        result[dataset] = at.assign(tips=int(judged.summary["truth"]))
    return result


SUREST = 0.85
"""Of images whose surest find scores less hardly any holds roots."""

SAVED = 0.003
"""F1 that a higher threshold, or `SUREST`, may cost: what either saves on images without roots, or
with roots that nobody knows, the F1 of these plates does not say."""


def best(
    curves: dict[str, pd.DataFrame],
    shares: Mapping[str, float] | None = None,
    known: float | None = None,
) -> tuple[float, float]:
    """The threshold to ship, and its F1, a mean over datasets.

    It is the nearest to 1, the highest, whose F1 is within `SAVED` of the best: curves are flat
    there, and of what a detector does not know it imagines more than it misses. Of few tips that is
    little more than the score of the weakest. So where a threshold was `known`, of the net that
    this one started from, it is the nearest to that, and F1 may be as much less as chance makes it
    (`_by_chance`).

    Without `shares` every tip weighs the same: where few plates of a dataset are held out, its F1
    is mostly chance, and must not choose for the others. With them each dataset weighs its share,
    lest thousands of drawn tips choose for a thousand on photographs.
    """
    f1 = np.array([curve["f1"].fillna(0).to_numpy() for curve in curves.values()])
    weights = [
        curve["tips"].iloc[0] if shares is None else shares[dataset]
        for dataset, curve in curves.items()
    ]
    mean = np.average(f1, axis=0, weights=weights)
    tips = sum(curve["tips"].iloc[0] for curve in curves.values())
    wanted, spared = (1.0, SAVED) if known is None else (known, _by_chance(mean.max(), tips))
    good = np.flatnonzero(mean >= mean.max() - spared)
    chosen = good[np.abs(THRESHOLDS[good] - wanted).argmin()]
    return float(THRESHOLDS[chosen]), float(mean[chosen])


def _by_chance(f1: float, tips: int) -> float:
    """How much less is as good where something is known before: half a standard error, or `SAVED`.

    After Breiman et al. 1984, Classification and Regression Trees.
    """
    # as if one more were a success and one a failure: of few tips all may be found
    share = (f1 * tips + 1) / (tips + 2)
    return max(SAVED, float(np.sqrt(share * (1 - share) / tips)) / 2)


@dataclass(frozen=True)
class Choice:
    """What does best on plates.

    Attributes
    ----------
    f1 : float
        As `best` gives it.
    threshold : float
        The detector's.
    surest : float
        Another setting: `SUREST`, or 0 where that costs more than `SAVED`: a net that is sure of
        little must not be asked to be.
    review : bool
        Whether the net's review helps or, if it was handed on, does no harm beyond chance.
    """

    f1: float
    threshold: float
    surest: float
    review: bool


def choose(
    weights: Path,
    plates: Sequence[Plate],
    shares: Mapping[str, float] | None = None,
    known: float | None = None,
    handed_on: bool = False,
) -> Choice:
    """Choose a net's settings by how well it does on plates.

    Parameters
    ----------
    weights : Path
        ``NAME.onnx``; its card, and its twin and review, if it has them, beside it.
    plates : sequence of Plate
    shares : mapping of str to float, optional
    known : float, optional
        Both as `best` takes them.
    handed_on : bool
        Its review was made for the net that it started from, and is kept where it does no harm
        beyond chance. Another one has to help.
    """
    looking = cnn.detector(weights, root_width=REFERENCE_WIDTH, glance=False)
    # of settings that do as well the first: a look less is time saved
    detectors = [
        replace(looking, surest=surest, review=review)
        for review in dict.fromkeys((None, looking.review))
        for surest in (SUREST, 0.0)
    ]
    found: list[list[pd.DataFrame]] = [[] for _ in detectors]
    for plate in tqdm(plates, desc="judging", leave=False, disable=None):
        seen = looking.candidates(plate.image, FAINTEST)
        for detector, own in zip(detectors, found, strict=True):
            own.append(table.points(plate.name, *detector.judged(seen, LEAST)))
    choices = []
    for detector, own in zip(detectors, found, strict=True):
        threshold, f1 = best(curves(own, plates), shares, known)
        choices.append(Choice(f1, threshold, detector.surest, detector.review is not None))
    highest = max(choice.f1 for choice in choices)
    tips = sum(len(plate.tips) for plate in plates)
    # what a net knows by heart needs no review, which says nothing about other images
    kept = _by_chance(highest, tips) if handed_on else 0.0
    return max(
        choices,
        key=lambda choice: choice.f1 + SAVED * (choice.surest > 0) + kept * choice.review,
    )


def _truth(plate: Plate) -> pd.DataFrame:
    frame = table.points(plate.name, np.concatenate([plate.tips, plate.ignored]))
    return frame.assign(ignore=np.repeat([0, 1], [len(plate.tips), len(plate.ignored)]))
