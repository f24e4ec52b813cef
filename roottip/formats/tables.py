"""roottip's own points table, as CSV or Parquet; see `roottip.table`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from roottip import table
from roottip.errors import InputError
from roottip.formats.gallery import Gallery
from roottip.formats.marks import Marks, image_table


class Tables:
    """Points tables of one ending.

    Parameters
    ----------
    ending : str
        ``.csv`` or ``.parquet``.
    """

    KEEPS = None
    SINGLE = True

    def __init__(self, ending: str) -> None:
        self.ENDINGS = (ending,)

    def recognises(self, path: Path) -> bool:
        """Whether it is a file of that ending, with the columns of a points table."""
        if not path.is_file() or path.suffix.lower() not in self.ENDINGS:
            return False
        return path.suffix.lower() == ".parquet" or "axis-0" not in table.read(path)

    def read(self, path: Path, gallery: Gallery, label: str | None) -> Marks:
        """Read the table, with all its columns."""
        if label is not None:
            raise InputError(f"label={label}: the marks of a points table have no labels")
        points = table.check_points(table.read(path), str(path))
        names = dict.fromkeys(points["image"])
        known = {name: gallery.find(name, f"{path}: a row") for name in names}
        said = {image: name for name, image in known.items()}
        for name, image in known.items():
            if said[image] != name:
                raise InputError(
                    f"{path} has rows of {name} and of {said[image]}, but {gallery.source} only "
                    f"one image that either may be, {image}; give images= where both are"
                )
        points["image"] = table.texts(known[name] for name in points["image"])
        return Marks(points, image_table(dict.fromkeys(known.values())))

    def write(self, points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
        """One file."""
        return {"": table.encode(points, self.ENDINGS[0])}
