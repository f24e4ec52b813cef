"""Annotated images as training sees them: roots as wide as everywhere, points beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from roottip import table
from roottip.errors import InputError
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.matching import nearest
from roottip.scale import adjustment, check_width, rescaled
from roottip.windows import Centres, Image, Points, in_colour

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")

BEHIND = 4.0
"""How far behind its very end a root's target lies, px, where tips and very ends (``x_end,
y_end``) are both annotated: there people's marks stop a median 4 px short and up to 15, and a
target in the middle of them agrees with the most."""


@dataclass(frozen=True, eq=False)
class Plate:
    """One annotated image.

    Attributes
    ----------
    dataset, name, group : str
        Where it comes from; images of one dataset and group are never split.
    image : (H, W, 3) uint8
        RGB, resized so that roots are `REFERENCE_WIDTH` px wide.
    tips, ignored : (N, 2) float
        ``x, y`` in px of `image`; nobody can say whether there is a tip at the ignored ones.
    """

    dataset: str
    name: str
    group: str
    image: Image
    tips: Points
    ignored: Points


def read_plates(
    folders: Sequence[Path], split: str = "train", root_width: float | None = None
) -> list[Plate]:
    """Read dataset folders, resizing each image as detection will.

    Parameters
    ----------
    folders : sequence of path
        Dataset folders. Where ``tips.csv`` has columns ``x_end, y_end`` (the very end of the
        root, beyond where its trace stops; blank where it is not known) the target is `BEHIND` it,
        towards the mark.
    split : str
        Which images of a dataset that has a column ``split``; of others all are taken.
    root_width : float, optional
        Typical root width in px of all images. Estimated from each where not given.

    Raises
    ------
    InputError
        A folder is no dataset or is given twice, an image cannot be read, there is no tip at all,
        or roots are given no width; or where roots end is told by one coordinate, or in words.
    """
    check_width(root_width)
    _check_once(folders)
    plates: list[Plate] = []
    for folder in folders:
        dataset = read_dataset(folder)
        if "split" in dataset.images:
            dataset = dataset.of(split)
        _check_ends(dataset.truth, folder)
        truth = table.by_image(dataset.truth)
        nothing = dataset.truth.iloc[:0]
        reads = [
            partial(_read, folder, dataset.root, root_width, name, group, truth.get(name, nothing))
            for name, group in dataset.groups.items()
        ]
        plates += in_threads(lambda read: read(), reads, f"reading {folder.name}")
    if not any(len(plate.tips) for plate in plates):
        raise InputError(
            f"there is no tip to learn from in {', '.join(map(str, folders))}; "
            "tips.csv must mark some that are not to be ignored"
        )
    return plates


def in_threads(work: Callable[[_Item], _Done], items: Sequence[_Item], label: str) -> list[_Done]:
    """What `work` makes of each, in a thread for each processor, with a bar of that label.

    For work that mostly is OpenCV's or NumPy's, which let other threads run.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(
            tqdm(pool.map(work, items), desc=label, total=len(items), leave=False, disable=None)
        )


def _read(
    folder: Path,
    root: Path,
    root_width: float | None,
    name: str,
    group: str,
    points: pd.DataFrame,
) -> Plate:
    image = in_colour(read_image(root / name))
    scaled = adjustment(image, root_width)(image)
    ratio = np.array(scaled.shape[1::-1]) / np.array(image.shape[1::-1])
    ignored = points["ignore"].to_numpy() == 1
    targets = _targets(points, ratio)
    return Plate(str(folder), name, group, scaled, targets[~ignored], targets[ignored])


def hold_out(plates: Sequence[Plate], share: float, seed: int) -> tuple[list[Plate], list[Plate]]:
    """Set some groups of each dataset apart.

    Parameters
    ----------
    plates : sequence of Plate
    share : float
        Of each dataset's groups, in [0, 1); rounded, so that a dataset of few groups may give
        none, and at least one is left.
    seed : int

    Returns
    -------
    training, held_out : list of Plate
        No group has images in both.

    Raises
    ------
    InputError
        The share is none.
    """
    if not 0 <= share < 1:
        raise InputError(f"dev={share} must be a share of the groups, at least 0 and below 1")
    rng = np.random.default_rng(seed)
    apart: set[tuple[str, str]] = set()
    for dataset, own in by_dataset(plates).items():
        groups = sorted({plate.group for plate in own})
        count = min(round(share * len(groups)), len(groups) - 1)
        drawn = rng.permutation(len(groups))[:count]
        apart.update((dataset, groups[i]) for i in drawn)
    training = [plate for plate in plates if (plate.dataset, plate.group) not in apart]
    held_out = [plate for plate in plates if (plate.dataset, plate.group) in apart]
    return training, held_out


def summary(plates: Sequence[Plate]) -> list[dict[str, Any]]:
    """What a card says about the plates of each dataset: counts, and a hash of the pixels."""
    rows = []
    for dataset, own in by_dataset(plates).items():
        digest = hashlib.sha256()
        for plate in own:
            digest.update(plate.image.tobytes())
            digest.update(plate.tips.tobytes())
        rows.append(
            {
                "dataset": Path(dataset).name,
                "images": len(own),
                "groups": len({plate.group for plate in own}),
                "tips": sum(len(plate.tips) for plate in own),
                "sha256": digest.hexdigest(),
            }
        )
    return rows


def by_dataset(plates: Iterable[Plate]) -> dict[str, list[Plate]]:
    """The plates of each dataset, datasets in the order in which they first come."""
    sets: dict[str, list[Plate]] = {}
    for plate in plates:
        sets.setdefault(plate.dataset, []).append(plate)
    return sets


def distance(points: Points | Centres, targets: Points) -> NDArray[np.float64]:
    """(N,) px from each point to its nearest target; infinite where there is no target."""
    return nearest(np.asarray(points, dtype=np.float64), targets)[0]


def _check_once(folders: Sequence[Path]) -> None:
    """Refuse a folder given twice. Of two names, one could hold out what the other learns from."""
    first: dict[str, Path] = {}
    for folder in folders:
        place = os.path.realpath(folder)
        if place in first:
            raise InputError(f"{first[place]} and {folder} are one dataset; give it once")
        first[place] = folder


def _check_ends(truth: pd.DataFrame, folder: Path) -> None:
    told = [name for name in ("x_end", "y_end") if name in truth]
    if len(told) == 1:
        raise InputError(f"{folder}: tips.csv has {told[0]} alone; x_end and y_end go together")
    for name in told:
        if not pd.api.types.is_numeric_dtype(truth[name]) or np.isinf(truth[name]).any():
            raise InputError(f"{folder}: tips.csv has in {name} what is no number; leave it blank")
    if told and (truth["x_end"].isna() != truth["y_end"].isna()).any():
        raise InputError(f"{folder}: tips.csv has x_end without y_end, or the other way round")


def _targets(points: pd.DataFrame, ratio: NDArray[np.float64]) -> Points:
    """Where the net is to say "tip": (N, 2) px of the resized image."""
    marked = rescaled(points[["x", "y"]].to_numpy(np.float64), ratio)
    if "x_end" not in points:
        return marked
    end = rescaled(points[["x_end", "y_end"]].to_numpy(np.float64), ratio)
    back = marked - end
    length = np.linalg.norm(back, axis=1, keepdims=True)
    # a mark in the very end says nothing about where the root comes from
    known = length > 0.5
    target = end + BEHIND * back / np.where(known, length, 1.0)
    return np.where(known, target, marked)
