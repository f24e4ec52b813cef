"""Label Studio's JSON: a list of tasks, key points in percent of the image.

Format: labelstud.io/guide/task_format and labelstud.io/tags/keypointlabels ("x coordinate by
percentage of the image size").

Pixels: percent of the width from the image's left edge: its editor's ``snapPointToPixel`` puts
a key point on the pixel's centre at half a pixel from its edge. So the centre of the top-left
pixel is (50 / width, 50 / height) percent.

Tables with a score are written as predictions, to be corrected; others as annotations. A task
that nobody has annotated is not read, for its image may have tips, unless nobody has annotated any.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pandas as pd

from roottip.decoding import SUFFIXES
from roottip.errors import InputError
from roottip.formats.gallery import Gallery, Size
from roottip.formats.marks import (
    CARRIED,
    IGNORE,
    TIP,
    Collector,
    Marks,
    by_image,
    get,
    number,
    objects,
    read_json,
    sizes_of,
)

NAME = "Label Studio"
KEEPS = CARRIED
ENDINGS = (".json",)
SINGLE = True

_LOCAL = "/data/local-files/"
_TYPES = ("keypointlabels", "keypoint")


def recognises(path: Path) -> bool:
    """Whether it is a JSON list of tasks."""
    if not path.is_file() or path.suffix.lower() not in ENDINGS:
        return False
    content = read_json(path)
    return isinstance(content, list) and all(
        isinstance(task, dict) and "data" in task for task in content
    )


def read(path: Path, gallery: Gallery, label: str | None) -> Marks:
    """Read the key points of the annotated tasks.

    Of several annotations of a task the one marked as ground truth counts.
    """
    collector = Collector(path, gallery, label)
    other_kinds: set[str] = set()
    marked = 0
    tasks = objects({"tasks": read_json(path)}, "tasks", str(path))
    # our own predictions come back as what they are, finds with scores, if nobody went over them
    untouched = not any(task.get("annotations") for task in tasks)
    for n, task in enumerate(tasks, start=1):
        where = f"{path}, task {task.get('id', n)}"
        results = _annotation(task, where, untouched)
        if results is None:
            continue
        points = [entry for entry in results if entry.get("type") in _TYPES]
        # of <KeyPoint> with <Labels> a point's label is another result of the same id
        labels = {
            str(e["id"]): e
            for e in results
            if e.get("type") == "labels" and e.get("id") is not None
        }
        other_kinds |= {str(e.get("type")) for e in results if e.get("type") not in _TYPES}
        marked += len(points)
        sizes = [_size(entry, where) for entry in points]
        image = collector.image(_image(task, gallery, where), where, sizes[0] if sizes else None)
        for entry, (width, height) in zip(points, sizes, strict=True):
            value = get(entry, "value", dict, where)
            names = value.get("keypointlabels")
            if names is None and str(entry.get("id")) in labels:
                names = get(labels[str(entry["id"])], "value", dict, where).get("labels")
            said = entry.get("meta")
            texts = said.get("text") if isinstance(said, dict) else None
            told = (
                dict(str(t).partition("=")[::2] for t in texts) if isinstance(texts, list) else {}
            )
            collector.add(
                image,
                where,
                number(value.get("x"), where) / 100 * width - 0.5,
                number(value.get("y"), where) / 100 * height - 0.5,
                str(names[0]) if isinstance(names, list) and names else TIP,
                score=entry.get("score"),
                root_order=told.get("root_order"),
                group=told.get("group"),
            )
    if not marked and other_kinds:
        raise InputError(
            f"{path} has no key points, only {', '.join(sorted(other_kinds))}; "
            "roottip converts points only"
        )
    return replace(collector.marks(), untouched=untouched and marked > 0)


def write(points: pd.DataFrame, images: pd.DataFrame) -> dict[str, bytes]:
    """One file of tasks, whose images Label Studio finds in its local storage."""
    sizes = sizes_of(images, NAME)
    tasks = []
    for n, (image, rows) in enumerate(by_image(points, images), start=1):
        width, height = sizes[image]
        results = []
        for k, row in enumerate(rows, start=1):
            entry: dict[str, Any] = {
                "id": f"tip-{n}-{k}",
                "type": "keypointlabels",
                "from_name": "tip",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {
                    "x": 100 * (row["x"] + 0.5) / width,
                    "y": 100 * (row["y"] + 0.5) / height,
                    "width": 0.3,  # of the dot drawn, percent
                    "keypointlabels": [IGNORE if row["ignore"] else TIP],
                },
            }
            if "score" in row:
                entry["score"] = row["score"]
            told = [f"{name}={row[name]}" for name in ("root_order", "group") if name in row]
            if told:
                entry["meta"] = {"text": told}
            results.append(entry)
        address = f"{_LOCAL}?d=" + quote(image, errors="surrogateescape")
        task: dict[str, Any] = {"id": n, "data": {"image": address}}
        if "score" in points:
            task["predictions"] = [{"model_version": "roottip", "result": results}]
        else:
            task["annotations"] = [{"result": results}]
        tasks.append(task)
    return {"": json.dumps(tasks, indent=1).encode()}


def _annotation(task: dict[str, Any], where: str, untouched: bool) -> list[dict[str, Any]] | None:
    """The results of the annotation that counts; None where nobody has annotated the task."""
    done = [a for a in objects(task, "annotations", where) if not a.get("was_cancelled")]
    if len(done) > 1:
        done = [a for a in done if a.get("ground_truth")] or done
    if len(done) > 1:
        raise InputError(
            f"{where} has {len(done)} annotations; mark one as ground truth in Label Studio, or "
            "delete the others"
        )
    if not done and untouched:
        guesses = objects(task, "predictions", where)
        done = [guess for guess in guesses if guess.get("model_version") == "roottip"]
    return objects(done[0], "result", where) if done else None


def _size(entry: dict[str, Any], where: str) -> Size:
    if entry.get("image_rotation"):
        raise InputError(f"{where} was turned in Label Studio; turn it back and export again")
    width = get(entry, "original_width", (int, float), where)
    return int(width), int(get(entry, "original_height", (int, float), where))


def _image(task: dict[str, Any], gallery: Gallery, where: str) -> str:
    data = get(task, "data", dict, where)
    paths = {key: _path(text) for key, text in data.items() if isinstance(text, str)}
    named = [p for p in paths.values() if PurePosixPath(p).suffix.lower() in SUFFIXES]
    said = paths.get("image") or (named[0] if named else "")
    if gallery:
        # an upload is called xxxxxxxx-name; a date before a name looks the same
        own = said if gallery.has(said, _as_stored) else _named(said)
        return gallery.find(own, where, _as_stored)
    local = _local(str(data.get("image", "")))
    return gallery.find(_named(said) if local is None else said, where)


def _path(address: str) -> str:
    """The file that an address of Label Studio means."""
    local = _local(address)
    if local is not None:
        return local
    return unquote(urlsplit(address).path, errors="surrogateescape") or address


def _local(address: str) -> str | None:
    """The file of an address in local storage, with the server's name before it or without."""
    parts = urlsplit(address)
    if not f"{parts.path.rstrip('/')}/".endswith(_LOCAL):
        return None
    return parse_qs(parts.query, errors="surrogateescape").get("d", [""])[0].lstrip("/")


def _as_stored(path: str) -> str:
    """What is left of a file's name when Label Studio stores it: a space is an underscore."""
    return re.sub(r"[^\w.-]", "", PurePosixPath(path).name.replace(" ", "_"))


def _named(path: str) -> str:
    """The file's own name: uploads are called xxxxxxxx-name."""
    return re.sub(r"^[0-9a-f]{8}-", "", PurePosixPath(path).name)
