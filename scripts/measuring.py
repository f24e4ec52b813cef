"""What several scripts do with a detector and annotated images: shared, no script of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd
from tqdm import tqdm

from roottip import table
from roottip.compare import FLOOR
from roottip.detector import WindowDetector
from roottip.evaluation import Evaluation, evaluate
from roottip.images import read_image
from roottip.interchange import Dataset


def all_finds(
    looking: WindowDetector, dataset: Dataset, label: str, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """What a detector finds on a dataset's images, or some, from the lowest score worth keeping.

    `label` is that of the progress bar.
    """
    wanted = list(dataset.images["image"]) if names is None else names
    return table.concat(
        [
            looking.detect(read_image(dataset.root / name), name, threshold=FLOOR)
            for name in tqdm(wanted, desc=label, disable=None)
        ]
    )


def judged(
    found: pd.DataFrame,
    dataset: Dataset,
    tolerance: float,
    threshold: float,
    names: Collection[str],
) -> Evaluation:
    """The finds on some images of a dataset against what is marked there."""
    truth = dataset.truth[dataset.truth["image"].isin(names)]
    groups = {name: group for name, group in dataset.groups.items() if name in names}
    return evaluate(found, truth, groups, tolerance, threshold)
