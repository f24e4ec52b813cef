"""CVAT's own XML, "CVAT for images 1.1": points of images.

Format: docs.cvat.ai/docs/other/xml_format. Read from the XML or from the zip that CVAT exports.

Pixels: continuous, from the image's top-left corner (its canvas is an SVG over the image, and
points range from 0 to the width): the centre of the top-left pixel is (0.5, 0.5). CVAT itself
writes two decimals.

A point that is ``occluded`` in CVAT is ``ignore`` here.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import pandas as pd

from roottip.errors import InputError
from roottip.formats import markup
from roottip.formats.gallery import Gallery
from roottip.formats.marks import (
    CARRIED,
    TIP,
    Collector,
    Marks,
    by_image,
    number,
    read_zip,
    sizes_of,
    zip_names,
)
from roottip.places import read_file

NAME = "CVAT for images 1.1"
KEEPS = CARRIED
ENDINGS = (".xml",)
SINGLE = True

_SHAPES = ("points", "box", "ellipse", "polygon", "polyline", "mask", "cuboid")


def recognises(path: Path) -> bool:
    """Whether it is XML of annotations, or a zip that holds it."""
    if path.suffix.lower() == ".zip":
        return any(name.lower().endswith(ENDINGS) for name in zip_names(path))
    return path.is_file() and path.suffix.lower() in ENDINGS


def read(path: Path, gallery: Gallery, label: str | None) -> Marks:
    """Read all points of all images, those of skeletons too."""
    zipped = path.suffix.lower() == ".zip"
    contents = list(read_zip(path, ENDINGS).values()) if zipped else [read_file(path)]
    collector = Collector(path, gallery, label)
    kinds: set[str] = set()
    for content in contents:
        top = markup.parse(content, path)
        if top.tag != "annotations" or (
            top.find("image") is None and top.find("track") is not None
        ):
            raise InputError(f"{path} is not {NAME}; export in that format from CVAT")
        for n, element in enumerate(top.findall("image"), start=1):
            where = f"{path}, image {element.get('id', n)}"
            name = gallery.find(element.get("name", ""), where)
            size = None
            if element.get("width") and element.get("height"):
                wide, tall = (number(element.get(key), where) for key in ("width", "height"))
                size = int(wide), int(tall)
            image = collector.image(name, where, size)
            kinds |= {shape.tag for shape in element.iter() if shape.tag in _SHAPES}
            for points in element.iter("points"):
                if points.get("outside") != "1":  # not in this image: a part of a skeleton
                    _add(collector, image, where, points)
    if kinds and "points" not in kinds:
        raise InputError(
            f"{path} has no points, only {', '.join(sorted(kinds))}; roottip converts points only"
        )
    return collector.marks()


def _add(collector: Collector, image: str, where: str, points: Element) -> None:
    said = {a.get("name"): markup.text(a) or None for a in points.findall("attribute")}
    for pair in points.get("points", "").split(";"):
        xy = pair.split(",")
        if len(xy) != 2:
            raise InputError(f"{where}: {pair!r} is no x,y")
        collector.add(
            image,
            where,
            number(xy[0], where) - 0.5,
            number(xy[1], where) - 0.5,
            points.get("label", TIP),
            ignore=points.get("occluded") == "1",
            score=said.get("score"),
            root_order=said.get("root_order"),
            group=said.get("group"),
        )


def write(points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
    """One file."""
    sizes = sizes_of(images, NAME)
    top = Element("annotations")
    markup.child(top, "version", "1.1")
    task = markup.child(markup.child(top, "meta"), "task")
    markup.child(task, "name", "root tips")
    markup.child(task, "size", len(images))
    markup.child(task, "mode", "annotation")
    label = markup.child(markup.child(task, "labels"), "label")
    markup.child(label, "name", TIP)
    markup.child(label, "type", "points")
    for n, (image, rows) in enumerate(by_image(points, images)):
        width, height = sizes[image]
        element = markup.child(top, "image", id=n, name=image, width=width, height=height)
        for row in rows:
            shape = markup.child(
                element,
                "points",
                label=TIP,
                source="manual",
                occluded=row["ignore"],
                points=f"{row['x'] + 0.5},{row['y'] + 0.5}",
                z_order=0,
            )
            for name in ("score", "root_order", "group"):
                if name in row:
                    markup.child(shape, "attribute", row[name], name=name)
    return {"": markup.encode(top)}
