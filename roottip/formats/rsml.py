"""RSML, the exchange format of root tracers (RootNav, SmartRoot, RootSystemAnalyzer).

Lobet et al. 2015, "Root System Markup Language", Plant Physiology 167, 617-627;
rootsystemml.github.io. A file for each image holds roots as polylines inside plants inside a
scene; a root's tip is its last point.

Pixels: positions are px whatever the file's unit, which only says with its resolution how long
a pixel is (rootsystemml.github.io/format, "Metadata"). The standard does not say whether a
coordinate is a pixel's corner or its centre; roottip reads and writes centres, so half a pixel is
in doubt.

Written: every tip as a root of a single point, with its score, ignore, root_order and group as
properties of the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

import pandas as pd

from roottip.decoding import SUFFIXES
from roottip.errors import InputError
from roottip.formats import markup
from roottip.formats.gallery import Gallery, folder_files, last_stem
from roottip.formats.marks import (
    CARRIED,
    TIP,
    Collector,
    Marks,
    by_image,
    file_names,
)
from roottip.places import read_file

KEEPS = CARRIED
ENDINGS = (".rsml",)
SINGLE = False

SOFTWARE = "roottip"
"""What a file of ours says wrote it."""


def recognises(path: Path) -> bool:
    """Whether it is one, or a folder with some."""
    return bool(folder_files(path, ENDINGS)) if path.is_dir() else path.suffix.lower() in ENDINGS


def read(path: Path, gallery: Gallery, label: str | None) -> Marks:
    """Read the tips of a file or of a folder of them.

    The image is the one called as the file but for the ending, else what its ``file-key`` says.
    """
    collector = Collector(path, gallery, label)
    for file, inside in folder_files(path, ENDINGS):
        top = markup.parse(read_file(file), file)
        key = markup.text(top.find("metadata/file-key"))
        named = PurePosixPath(key).suffix.lower() in SUFFIXES
        if named and not gallery.has(str(inside), last_stem):
            image = collector.image(gallery.find(key, str(file)), str(file))
        else:
            image = collector.image(gallery.beside(inside, str(file)), str(file))
        for tip in _tips(top, file):
            # a root's label says which root it is, not what kind of mark
            collector.add(image, str(file), **tip)
    return collector.marks()


def write(points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
    """A file for each image, by its name."""
    names = file_names(images, ENDINGS[0])
    files = {}
    for image, rows in by_image(points, images):
        top = Element("rsml")
        metadata = markup.child(top, "metadata")
        told = {"version": 1, "unit": "pixel", "resolution": 1, "software": SOFTWARE}
        for key, value in (*told.items(), ("file-key", image)):
            markup.child(metadata, key, value)
        plant = markup.child(markup.child(top, "scene"), "plant", ID="1")
        for n, row in enumerate(rows, start=1):
            root = markup.child(plant, "root", ID=f"1.{n}", label=TIP)
            properties = markup.child(root, "properties")
            for name in CARRIED:
                if name in row:
                    markup.child(properties, name, value=row[name])
            line = markup.child(markup.child(root, "geometry"), "polyline")
            markup.child(line, "point", x=row["x"], y=row["y"])
        files[names[image]] = markup.encode(top)
    return files


def _tips(top: Element, path: Path) -> list[dict[str, Any]]:
    """Of each root ``x, y``, px, and `CARRIED`, as text or None; a trace's order is its depth."""
    if top.tag != "rsml" or top.find("scene") is None:
        raise InputError(
            f"{path} is no RSML: it has no <scene> in an <rsml>; export it as RSML again"
        )
    tips = []
    # what roottip writes are no traces: there a depth says nothing
    traced = markup.text(top.find("metadata/software")) != SOFTWARE
    try:
        for root, depth in _roots(top):
            x, y = _last_point(root)
            tip = {"x": x, "y": y, **{name: _property(root, name) for name in CARRIED}}
            tip["ignore"] = int(tip["ignore"] == "1")
            tips.append(tip | {"root_order": tip["root_order"] or (depth if traced else None)})
        return tips
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _roots(top: Element) -> Iterator[tuple[Element, int]]:
    """Roots and their orders, as listed; by a stack, for files may nest as deep as they like."""
    waiting = [(child, 0) for child in reversed(top)]
    while waiting:
        element, order = waiting.pop()
        if element.tag == "root":
            yield element, order
            order += 1
        elif element.tag not in ("scene", "plant"):
            continue
        waiting += [(child, order) for child in reversed(element)]


def _last_point(root: Element) -> tuple[float, float]:
    # a polyline by the standard; RootNav writes <rootnavspline> in its place
    geometry = root.find("geometry")
    points = [] if geometry is None else geometry.findall("./*/point")
    if not points:
        raise ValueError(f"root {root.get('ID', '?')} has no point")
    try:
        return float(points[-1].attrib["x"]), float(points[-1].attrib["y"])
    except KeyError as error:
        raise ValueError(f"a point of root {root.get('ID', '?')} has no {error}") from error


def _property(root: Element, name: str) -> str | None:
    found = root.find(f"properties/{name}")
    if found is None:
        return None
    return found.get("value") or markup.text(found) or None
