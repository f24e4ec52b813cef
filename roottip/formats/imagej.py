"""ImageJ and Fiji: ROI files of point selections, a zip (ROI Manager) or .roi for each image.

Format: the class RoiDecoder of ImageJ, through the package roifile.

Pixels: "Line and Point Rois: Integer coordinates refer to the center of a pixel" (the class Roi,
imagej.net/ij/developer/api): the centre of the top-left pixel is (0, 0), as in roottip. Positions
are 32-bit floats: 1/8192 px below 2048 px, 1/512 px below 32768.

Tips are one selection called ``tips``, those that nobody can see another called ``ignore``.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from roottip.errors import InputError
from roottip.formats.gallery import Gallery, folder_files
from roottip.formats.marks import (
    IGNORE,
    TIP,
    Collector,
    Marks,
    by_image,
    file_names,
    read_zip,
    zip_names,
)
from roottip.places import read_file

KEEPS = ("ignore",)
ENDINGS = (".zip", ".roi")
SINGLE = False


def recognises(path: Path) -> bool:
    """Whether it is an ROI, a zip of them, or a folder with either."""
    if path.is_dir():
        return any(recognises(file) for file, _ in folder_files(path, ENDINGS))
    if path.suffix.lower() == ".zip":
        names = zip_names(path)
        return not names or any(name.lower().endswith(".roi") for name in names)
    return path.suffix.lower() == ".roi"


def read(path: Path, gallery: Gallery, label: str | None) -> Marks:
    """Read the point selections; the image is the one called as the file but for the ending."""
    collector = Collector(path, gallery, label)
    for file, inside in folder_files(path, ENDINGS):
        zipped = file.suffix.lower() == ".zip"
        contents = read_zip(file, (".roi",)) if zipped else {file.name: read_file(file)}
        image = collector.image(gallery.beside(inside, str(file)), str(file))
        other_kinds = []
        for name, content in contents.items():
            kind, called, xy = _decode(content, f"{file}, {name}")
            if kind != ROI_TYPE.POINT:
                other_kinds.append(kind)
                continue
            ignore = (called or name).lower().startswith(IGNORE)
            for x, y in xy:
                collector.add(image, f"{file}, {name}", x, y, TIP, ignore=ignore)
        if other_kinds and len(other_kinds) == len(contents):
            raise InputError(
                f"{file} holds no points, only {other_kinds[0].name.lower()}; mark tips with the "
                "multi-point tool"
            )
    return collector.marks()


def write(points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
    """A zip for each image, by its name."""
    names = file_names(images, ENDINGS[0])
    files = {}
    for image, rows in by_image(points, images):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for called, ignore in (("tips", 0), (IGNORE, 1)):
                xy = [[row["x"], row["y"]] for row in rows if row["ignore"] == ignore]
                if xy:
                    # of one date, so that the same points give the same bytes
                    member = zipfile.ZipInfo(f"{called}.roi")
                    archive.writestr(member, _encode(np.array(xy, dtype=np.float64), called, image))
        files[names[image]] = buffer.getvalue()
    return files


def _encode(xy: NDArray[np.float64], name: str, image: str) -> bytes:
    if np.abs(xy).max() > 32000:
        raise InputError(f"{image} has a tip beyond 32000 px, where ImageJ's ROIs end")
    roi = ImagejRoi.frompoints(xy, name=name)
    roi.roitype = ROI_TYPE.POINT
    content: bytes = roi.tobytes()
    return content


def _decode(content: bytes, where: str) -> tuple[Any, str, NDArray[np.float64]]:
    try:
        roi = ImagejRoi.frombytes(content)
        return roi.roitype, str(roi.name), np.asarray(roi.coordinates(), dtype=np.float64)
    except (
        Exception
    ) as error:  # roifile raises all sorts on damaged files: struct.error, IndexError
        raise InputError(f"{where} is no ImageJ ROI, or damaged: {error}") from error
