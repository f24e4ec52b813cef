"""napari: the CSV of a points layer, one for each image.

Format: napari_builtins (``io/_write.py``, ``napari_write_points``): ``index``, then ``axis-0``
(rows, so y) and ``axis-1`` (columns, so x), then the layer's features.

Pixels: the centre of the top-left pixel is (0, 0), as in roottip (napari pull request 1660; the
extent of an image begins at -0.5).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from roottip import table
from roottip.errors import InputError
from roottip.formats.gallery import Gallery, folder_files
from roottip.formats.marks import CARRIED, TIP, Collector, Marks, by_image, file_names

KEEPS = CARRIED
ENDINGS = (".csv",)
SINGLE = False


def recognises(path: Path) -> bool:
    """Whether it is a CSV with napari's columns, or a folder of those."""
    files = [file for file, _ in folder_files(path, ENDINGS)]
    return bool(files) and all(_is_napari(file) for file in files)


def read(path: Path, gallery: Gallery, label: str | None) -> Marks:
    """Read points layers; the image is the one called as the file but for the ending."""
    collector = Collector(path, gallery, label)
    for file, inside in folder_files(path, ENDINGS):
        frame = table.read(file)
        if "axis-2" in frame or not {"axis-0", "axis-1"} <= set(frame):
            raise InputError(
                f"{file} has the columns {', '.join(map(str, frame))}; save a points layer of one "
                "flat image, with axis-0 and axis-1"
            )
        image = collector.image(gallery.beside(inside, str(file)), str(file))
        for n, row in enumerate(frame.to_dict("records"), start=1):
            more = {key: row[key] for key in CARRIED if not _blank(row.get(key))}
            more["ignore"] = str(more.get("ignore", 0)).lower() not in ("0", "0.0", "false")
            said = TIP if _blank(row.get("label")) else str(row["label"])
            collector.add(image, f"{file}, row {n}", row["axis-1"], row["axis-0"], said, **more)
    return collector.marks()


def write(points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
    """A CSV for each image, by its name."""
    names = file_names(images, ENDINGS[0])
    features = [name for name in CARRIED if name in points]
    files = {}
    for image, rows in by_image(points, images):
        frame = pd.DataFrame(rows, columns=["y", "x", *features])
        frame.insert(0, "index", range(len(frame)))
        frame = frame.rename(columns={"y": "axis-0", "x": "axis-1"})
        files[names[image]] = table.encode(frame, ENDINGS[0])
    return files


def _is_napari(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            return {"axis-0", "axis-1"} <= set(lines.readline().strip().split(","))
    except OSError:
        return False


def _blank(value: object) -> bool:
    return value is None or value == "" or bool(pd.isna(value))
