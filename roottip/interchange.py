"""Annotated images: truth tables and dataset folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from roottip import table
from roottip.errors import InputError
from roottip.formats import rsml
from roottip.formats.gallery import Gallery, folder_files

TIPS = "tips.csv"
"""In a dataset folder: what is marked."""

DISTRACTORS = "distractors.csv"
"""In a dataset folder: what looks like a tip and is none."""


def read_truth(path: str | Path, images: Sequence[str] | None = None) -> pd.DataFrame:
    """Read annotated tips from a table, an RSML file or a folder of RSML files.

    Parameters
    ----------
    path : path
        CSV, Parquet, ``.rsml``, a dataset folder, or one with ``.rsml`` files in it and its
        subfolders.
    images : sequence of str, optional
        Names of the images; an RSML file belongs to the one with its own name but for the
        ending, in the same subfolder if there is one, else to the one that it names itself.
        Without them the RSML's name with ``.jpg`` is taken.

    Returns
    -------
    DataFrame
        A checked points table; from RSML with ``root_order`` (0: a plant's first order), and
        ``group`` where roots have that property.

    Raises
    ------
    InputError
        Nothing is there, it is malformed (XML with entities or external references, an attack,
        too), or an RSML has no image, or several.
    """
    path = Path(path)
    if (path / TIPS).is_file():  # a dataset folder
        path = path / TIPS
    if not path.is_dir() and path.suffix.lower() != ".rsml":
        return table.check_points(table.read(path), path.name)
    files = folder_files(path, rsml.ENDINGS)
    if not files:
        what = ".rsml file in" if path.is_dir() else "file or folder"
        raise InputError(f"there is no {what} {path}")
    if images is None:
        images = [str(inside.with_suffix(".jpg")) for _, inside in files]
    points = rsml.read(path, Gallery(images, source="the list"), None).points
    if "root_order" not in points:
        points["root_order"] = pd.array([None] * len(points), dtype="Int64")
    if points["root_order"].notna().all():
        points["root_order"] = points["root_order"].astype(np.int64)
    return points.fillna({"group": ""}) if "group" in points else points


@dataclass(frozen=True)
class Dataset:
    """Annotated images.

    Attributes
    ----------
    root : Path
        The folder that holds the images.
    images : DataFrame
        A row for each image: ``image, group`` and whatever else the table has.
    truth : DataFrame
        Checked points table of those images.
    distractors : DataFrame, optional
        ``image, x, y, cause`` of what looks like a tip and is none, where the dataset says.
    """

    root: Path
    images: pd.DataFrame
    truth: pd.DataFrame
    distractors: pd.DataFrame | None = None

    @property
    def groups(self) -> dict[str, str]:
        """The group of each image."""
        return dict(zip(self.images["image"], map(str, self.images["group"]), strict=True))

    def of(self, split: str | None) -> Dataset:
        """What is of the images whose column ``split`` says so; all where `split` is None.

        Raises
        ------
        InputError
            There is no such split.
        """
        images = of_split(self.images, split, str(self.root.with_name("images.csv")))
        truth = self.truth[self.truth["image"].isin(images["image"])].reset_index(drop=True)
        distractors = self.distractors
        if distractors is not None:
            kept = distractors["image"].isin(images["image"])
            distractors = distractors[kept].reset_index(drop=True)
        return Dataset(self.root, images, truth, distractors)


def read_dataset(folder: str | Path, split: str | None = None) -> Dataset:
    """Read a dataset folder: ``images/``, ``images.csv``, and ``tips.csv`` or ``rsml/``.

    ``distractors.csv`` (``image, x, y, cause``) may be there too.

    Parameters
    ----------
    folder : path
    split : str, optional
        Keep the images whose column ``split`` says so.

    Raises
    ------
    InputError
        A part is missing or malformed, or there is no such split.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    for part in ("images", "images.csv"):
        if not (folder / part).exists():
            raise InputError(
                f"{folder} is no dataset folder, it has no {part}{'' if '.' in part else '/'}; it "
                "needs images/, images.csv (image, split, group) and tips.csv (image, x, y), which "
                "roottip convert makes"
            )
    source = str(folder / "images.csv")
    tips, traces = folder / TIPS, folder / "rsml"
    if not (tips.exists() or traces.exists()):
        raise InputError(f"{folder} has neither tips.csv (image, x, y) nor rsml/")
    images, truth = read_listed(source, tips if tips.exists() else traces)
    distractors = _read_distractors(folder / DISTRACTORS, images, source)
    return Dataset(folder / "images", images, truth, distractors).of(split)


def _read_distractors(path: Path, images: pd.DataFrame, listed: str) -> pd.DataFrame | None:
    """What looks like a tip and is none; None where nobody wrote it down."""
    if not path.exists():
        return None
    frame = table.check_distractors(table.read(path), str(path))
    table.check_listed(frame, images["image"], str(path), listed)
    return frame


def read_listed(images: str | Path, truth: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the table that lists annotated images, and what is marked in them.

    Returns
    -------
    images : DataFrame
        Each with its ``group``: where the table says none that of the points marked in it, where
        these say none it is its own.
    truth : DataFrame
        A checked points table.

    Raises
    ------
    InputError
        One is missing or malformed, or no image is listed, or the truth names another.
    """
    listed = table.check_images(table.read(images), str(images))
    if listed.empty:
        raise InputError(f"{images} lists no image")
    marked = read_truth(truth, list(listed["image"]))
    table.check_listed(marked, listed["image"], str(truth), str(images))
    return table.with_splits(listed).assign(group=table.groups_of(listed, marked)), marked


def divided(images: pd.DataFrame) -> str:
    """A sentence about the groups with images both in ``train`` and in another split, if any."""
    if "split" not in images:
        return ""
    learnt = images["split"] == "train"
    groups = {*images.loc[learnt, "group"]} & {*images.loc[~learnt, "group"]}
    if not groups:
        return ""
    more = f" and {len(groups) - 1} more" if len(groups) > 1 else ""
    return (
        f"group {min(groups)}{more} has images in train and in another split; a net that learns "
        "from these knows the others too well, and figures flatter"
    )


def of_split(images: pd.DataFrame, split: str | None, source: str) -> pd.DataFrame:
    """Keep the images whose column ``split`` says so; all where `split` is None.

    Raises
    ------
    InputError
        There is no such split; says which there are in `source`.
    """
    if split is None:
        return images
    splits = sorted(images["split"].unique()) if "split" in images else []
    if split not in splits:
        have = f"only {', '.join(splits)}" if splits else "no column split"
        raise InputError(f"{source} has no split {split!r}; it has {have}")
    return images[images["split"] == split].reset_index(drop=True)
