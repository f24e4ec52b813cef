"""COCO keypoints: one JSON file of images, categories and annotations.

Format: cocodataset.org/#format-data, "Keypoint Detection".

Pixels: a keypoint has "a 0-indexed location", a pixel's index, so the centre of the top-left
pixel is (0, 0) as in roottip. Detectron2 (``data/datasets/coco.py``) and MMDetection take it so
and add 0.5 where they want continuous coordinates. Boxes are continuous: there that centre is
(0.5, 0.5). Annotation programs that export COCO without that difference (CVAT's and Label
Studio's exports keep their own coordinates, in which it is (0.5, 0.5)) are better read in their
own formats.

A tip is an annotation with one keypoint. Visibility 1, "labeled but not visible", is ``ignore``;
such annotations have ``iscrowd``, by which pycocotools leaves them out of the score.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from roottip.errors import InputError
from roottip.formats.gallery import Gallery
from roottip.formats.marks import (
    BOX,
    CARRIED,
    TIP,
    Collector,
    Marks,
    box_around,
    by_image,
    get,
    number,
    objects,
    read_json,
    sizes_of,
)

NAME = "COCO keypoints"
KEEPS = CARRIED
ENDINGS = (".json",)
SINGLE = True


def recognises(path: Path) -> bool:
    """Whether it is a JSON object with images and annotations."""
    if not path.is_file() or path.suffix.lower() not in ENDINGS:
        return False
    content = read_json(path)
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def read(path: Path, gallery: Gallery, label: str | None) -> Marks:
    """Read all labelled keypoints; a keypoint's label is its name, else its category's."""
    content = read_json(path)
    collector = Collector(path, gallery, label)
    images: dict[Any, str] = {}
    for n, entry in enumerate(get(content, "images", list, str(path)), start=1):
        where = f"{path}, image {n}"
        name = gallery.find(get(entry, "file_name", str, where), where)
        size = None
        if entry.get("width") and entry.get("height"):
            size = int(number(entry["width"], where)), int(number(entry["height"], where))
        images[get(entry, "id", (int, str), where)] = collector.image(name, where, size)
    labels: dict[Any, list[str]] = {}
    for n, entry in enumerate(objects(content, "categories", str(path)), start=1):
        where = f"{path}, category {n}"
        names = entry.get("keypoints")
        if not isinstance(names, list) or not names:
            names = [entry.get("name", TIP)]
        labels[get(entry, "id", (int, str), where)] = [str(name) for name in names]
    marked = 0
    annotations = objects(content, "annotations", str(path))
    for n, entry in enumerate(annotations, start=1):
        where = f"{path}, annotation {n}"
        image = images.get(get(entry, "image_id", (int, str), where))
        if image is None:
            raise InputError(f"{where} is on image {entry['image_id']}, which is not in images")
        values = entry.get("keypoints") or []
        if not isinstance(values, list) or len(values) % 3:
            raise InputError(f"{where}: its 'keypoints' are no triples of x, y, visibility")
        marked += bool(values)
        category = entry.get("category_id")
        own = labels.get(category, [TIP]) if isinstance(category, int | str) else [TIP]
        more = entry.get("attributes")
        more = more if isinstance(more, dict) else {}
        for k in range(len(values) // 3):
            x, y, visible = values[3 * k : 3 * k + 3]
            if number(visible, where) == 0:  # not labelled
                continue
            collector.add(
                image,
                where,
                x,
                y,
                own[min(k, len(own) - 1)],
                ignore=visible == 1 or entry.get("iscrowd") == 1,
                score=entry.get("score"),
                root_order=more.get("root_order"),
                group=more.get("group"),
            )
    if annotations and not marked:
        raise InputError(f"{path} has annotations but no keypoints; roottip converts points only")
    return collector.marks()


def write(points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
    """One file."""
    sizes = sizes_of(images, NAME)
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for n, (image, rows) in enumerate(by_image(points, images), start=1):
        width, height = sizes[image]
        listed.append({"id": n, "file_name": image, "width": width, "height": height})
        for row in rows:
            box = box_around(row["x"], row["y"], sizes[image])
            entry: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": n,
                "category_id": 1,
                "keypoints": [row["x"], row["y"], 1 if row["ignore"] else 2],
                "num_keypoints": 1,
                "bbox": list(box),
                # not the cut box's: the tolerance of COCO's own score grows with it
                "area": BOX * BOX,
                "iscrowd": int(row["ignore"]),
            }
            if "score" in row:
                entry["score"] = row["score"]
            attributes = {k: row[k] for k in ("root_order", "group") if k in row}
            if attributes:
                entry["attributes"] = attributes
            annotations.append(entry)
    category = {"id": 1, "name": "root tip", "keypoints": [TIP], "skeleton": []}
    content = {
        "info": {"description": "root tips, by roottip"},
        "images": listed,
        "annotations": annotations,
        "categories": [category],
    }
    return {"": json.dumps(content, indent=1, default=int).encode()}
