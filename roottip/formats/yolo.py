"""YOLO pose (Ultralytics): a text file for each image, a line for each tip.

Format: docs.ultralytics.com/datasets/pose; a line is ``class, x, y, width, height`` of a box and
``x, y, visibility`` of each key point, relative to the image's width and height. ``data.yaml``
says how many key points a line has (``kpt_shape``) and what the classes are called.

Pixels: relative to the image's edges: Ultralytics mirrors a key point as ``width - x``
(``utils/instance.py``), so the left edge is 0, the right edge 1, and the centre of the top-left
pixel (0.5 / width, 0.5 / height).

Visibility 1 ("labeled but not visible", as in COCO) is ``ignore``.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import yaml

from roottip.errors import InputError
from roottip.formats.gallery import Gallery, Size, folder_files, last_stem
from roottip.formats.marks import (
    TIP,
    Collector,
    Marks,
    box_around,
    by_image,
    file_names,
    number,
    sizes_of,
)
from roottip.places import read_file

NAME = "YOLO pose"
KEEPS = ("ignore",)
ENDINGS = (".txt",)
SINGLE = False

_CARD = "data.yaml"
_NO_LABELS = re.compile(r"(classes|train|val|test|notes|readme.*)\.txt", re.IGNORECASE)


def recognises(path: Path) -> bool:
    """Whether it is a folder with ``data.yaml`` or ``labels/``."""
    return path.is_dir() and ((path / "labels").is_dir() or (path / _CARD).is_file())


def read(path: Path, gallery: Gallery, label: str | None) -> Marks:
    """Read all label files below ``labels/``, or of a folder without it."""
    labels = path / "labels" if (path / "labels").is_dir() else path
    card = _read_card(path / _CARD)
    collector = Collector(path, gallery, label)
    for file, inside in folder_files(labels, ENDINGS):
        if _NO_LABELS.fullmatch(inside.name) and not gallery.has(str(inside), last_stem):
            continue
        image = collector.image(gallery.beside(inside, str(file)), str(file))
        size = gallery.size(image)
        if size is None:
            raise InputError(f"{file} needs the size of {image}; give images=, a folder of images")
        text = read_file(file).decode("utf-8", "replace")
        for n, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                _add(collector, image, f"{file}, line {n}", line.split(), size, card)
    return collector.marks()


def _add(
    collector: Collector, image: str, where: str, words: list[str], size: Size, card: dict[str, Any]
) -> None:
    each = card["each"] or len(words) - 5
    if each not in (2, 3) or len(words) < 5 + each or (len(words) - 5) % each:
        raise InputError(
            f"{where} has {len(words)} numbers; a pose has 5 and 2 or 3 for each key point, and "
            f"{_CARD} with kpt_shape where there is more than one"
        )
    name = str(card["names"].get(words[0], words[0]))
    for k in range(5, len(words), each):
        x, y = number(words[k], where), number(words[k + 1], where)
        visible = number(words[k + 2], where) if each == 3 else 2.0
        if visible not in (0, 1, 2):
            raise InputError(
                f"{where}: {words[k + 2]} is no visibility (0, 1 or 2), but how sure a prediction "
                "is; give label files"
            )
        if visible > 0:
            collector.add(
                image, where, x * size[0] - 0.5, y * size[1] - 0.5, name, ignore=visible == 1
            )


def write(points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
    """``labels/`` and ``data.yaml``; the images belong into ``images/`` beside them."""
    sizes = sizes_of(images, NAME)
    names = file_names(images, ENDINGS[0])
    card = {
        "path": ".",
        "train": "images",
        "val": "images",
        "kpt_shape": [1, 3],
        "flip_idx": [0],
        "names": {0: TIP},
    }
    files = {_CARD: yaml.safe_dump(card, sort_keys=False).encode()}
    for image, rows in by_image(points, images):
        width, height = size = sizes[image]
        lines = []
        for row in rows:
            x, y = (row["x"] + 0.5) / width, (row["y"] + 0.5) / height
            if not (0 <= x <= 1 and 0 <= y <= 1):
                raise InputError(
                    f"a tip at {row['x']:g}, {row['y']:g} is outside {image} ({width} x {height} "
                    f"px), which {NAME} cannot hold"
                )
            left, top, wide, tall = box_around(row["x"], row["y"], size)
            box = (left + wide / 2) / width, (top + tall / 2) / height, wide / width, tall / height
            numbers = " ".join(repr(float(value)) for value in (*box, x, y))
            lines.append(f"0 {numbers} {1 if row['ignore'] else 2}\n")
        files[str(PurePosixPath("labels", names[image]))] = "".join(lines).encode()
    return files


def _read_card(path: Path) -> dict[str, Any]:
    """How many numbers a key point has (None: not said), and the classes' names by number."""
    said: Any = {}
    if path.is_file():
        try:
            said = yaml.safe_load(read_file(path))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(said, dict):
            raise InputError(f"{path} is no {_CARD} of {NAME}")
    shape, names = said.get("kpt_shape"), said.get("names") or {}
    if isinstance(names, list):
        names = dict(enumerate(names))
    if shape is not None and not (isinstance(shape, list) and len(shape) == 2):
        raise InputError(f"{path}: kpt_shape is {shape!r}, not [key points, 2 or 3]")
    by_number = {str(key): name for key, name in names.items()} if isinstance(names, dict) else {}
    return {"each": shape[1] if shape else None, "names": by_number}
