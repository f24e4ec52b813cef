"""Files of other programs: points tables to and from each.

A format is a module (or object) with what `Format` lists; its docstring says where its pixels
are. Adding one is a file here and a line in `FORMATS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pandas as pd

from roottip.formats import coco, cvat, imagej, labelstudio, napari, rsml, yolo
from roottip.formats.gallery import Gallery
from roottip.formats.marks import Marks
from roottip.formats.tables import Tables


class Format(Protocol):
    """A way to keep points."""

    @property
    def KEEPS(self) -> tuple[str, ...] | None:  # noqa: N802
        """The columns it keeps besides ``image, x, y``; None: all."""

    @property
    def ENDINGS(self) -> tuple[str, ...]:  # noqa: N802
        """Endings of its files; the first is written."""

    @property
    def SINGLE(self) -> bool:  # noqa: N802
        """Whether one file holds all images; else there is a file for each, in a folder."""

    def recognises(self, path: Path) -> bool:
        """Whether what is there is of this format."""

    def read(self, path: Path, gallery: Gallery, label: str | None) -> Marks:
        """Read a file or folder.

        Raises
        ------
        InputError
            It is malformed, or about images that are not in the gallery.
        """

    def write(self, points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
        """The content of each file by its name in the folder; a single one is called ''.

        Raises
        ------
        InputError
            The format cannot hold something.
        """


FORMATS: dict[str, Format] = {
    "rsml": rsml,
    "coco": coco,
    "labelstudio": labelstudio,
    "cvat": cvat,
    "yolo": yolo,
    "imagej": imagej,
    "napari": napari,
    "csv": Tables(".csv"),
    "parquet": Tables(".parquet"),
}
