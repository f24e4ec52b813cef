"""What all formats share: the marks that a file holds, and how to say what is wrong with it."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from roottip import table
from roottip.errors import InputError
from roottip.formats.gallery import Gallery, Size
from roottip.places import read_file

CARRIED = ("score", "ignore", "root_order", "group")
"""What a format may keep of a point besides its image and place."""

TIP, IGNORE = "tip", "ignore"
"""Labels of marks in programs where marks have labels."""

BOX = 32.0
"""Side, in px, of the box around a tip in formats that want a box around everything."""

MOST_UNPACKED = 1_000_000_000
"""Bytes that a zip of annotations may hold."""


@dataclass(frozen=True)
class Marks:
    """What a file holds.

    Attributes
    ----------
    points : DataFrame
        Checked points table.
    images : DataFrame
        ``image, width, height``: every image that the file names, marked or not; the size is
        missing where the file does not say it.
    untouched : bool
        They are a detector's, and nobody has gone over any.
    """

    points: pd.DataFrame
    images: pd.DataFrame
    untouched: bool = False


MOST = 2**31 - 1
"""No image is larger and no order higher."""


class Collector:
    """Gathers the marks of a file while it is read.

    Parameters
    ----------
    path : Path
        What is read, for errors.
    gallery : Gallery
        The images that may be meant.
    label : str, optional
        Only marks with this label are tips. Those labelled ``ignore`` are always tips that
        nobody can see.
    """

    def __init__(self, path: Path, gallery: Gallery, label: str | None) -> None:
        self.path = path
        self.gallery = gallery
        self._label = label
        self._sizes: dict[str, Size | None] = {}
        self._said_by: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self._labels: Counter[str] = Counter()

    def image(self, name: str, where: str, size: Size | None = None) -> str:
        """Note an image that the file lists, whether or not it is marked; returns its name.

        Raises
        ------
        InputError
            The file lists it twice, or its size cannot be.
        """
        if name in self._sizes:
            both = {self._said_by[name]: None, where: None}  # or one that says it twice
            raise InputError(f"{' and '.join(both)}: {name} is there twice; remove one")
        if size is not None and max(map(abs, size)) > MOST:
            raise InputError(f"{where}: {name} cannot be {size[0]} x {size[1]} px")
        self._sizes[name] = size
        self._said_by[name] = where
        return name

    def add(
        self, image: str, where: str, x: object, y: object, label: str = TIP, **more: object
    ) -> None:
        """Note a mark; `more` are values of `CARRIED`, None where there is none.

        Raises
        ------
        InputError
            A value is no number, or an order no whole number.
        """
        self._labels[label] += 1
        ignored = label.strip().lower() == IGNORE
        if self._label not in (None, label) and not ignored:
            return
        row: dict[str, Any] = {"image": image, "x": number(x, where), "y": number(y, where)}
        row["ignore"] = int(ignored or bool(more.pop("ignore", 0)))
        if more.get("score") is not None:
            row["score"] = number(more["score"], where)
        if more.get("root_order") is not None:
            order = number(more["root_order"], where)
            if order != int(order) or abs(order) > MOST:
                raise InputError(f"{where}: root_order {order} is no whole number that can be")
            row["root_order"] = int(order)
        if more.get("group") is not None:
            row["group"] = str(more["group"])
        self._rows.append(row)

    def marks(self) -> Marks:
        """All of it.

        Raises
        ------
        InputError
            There are several labels and nothing says which one is tips, or none is the wanted
            one.
        """
        kinds = {name: n for name, n in self._labels.items() if name.strip().lower() != IGNORE}
        said = ", ".join(f"{name} ({n})" for name, n in sorted(kinds.items()))
        if self._label is None and len(kinds) > 1:
            raise InputError(
                f"{self.path} has marks labelled {said}; say which are tips, as in "
                f"label={max(kinds, key=lambda name: kinds[name])}"
            )
        if self._label is not None and kinds and self._label not in kinds:
            raise InputError(f"{self.path} has no marks labelled {self._label}; it has {said}")
        frame = pd.DataFrame(self._rows, columns=["image", "x", "y", *CARRIED])
        frame["image"] = frame["image"].astype(object)
        # a score for some of the points is a score for none: corrected finds have no belief
        dropped = [name for name in CARRIED if name != "ignore" and bool(frame[name].isna().all())]
        if bool(frame["score"].isna().any()):
            dropped.append("score")
        frame = frame.drop(columns=list(dict.fromkeys(dropped)))
        if "root_order" in frame:
            frame["root_order"] = frame["root_order"].astype("Int64")
        return Marks(table.check_points(frame, str(self.path)), image_table(self._sizes))


def image_table(sizes: dict[str, Size | None]) -> pd.DataFrame:
    """``image, width, height`` of images; a size of None is missing."""
    known = [size or (None, None) for size in sizes.values()]
    return pd.DataFrame(
        {
            "image": table.texts(sizes),
            "width": pd.array([width for width, _ in known], dtype="Int64"),
            "height": pd.array([height for _, height in known], dtype="Int64"),
        }
    )


def by_image(
    points: pd.DataFrame, images: pd.DataFrame
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every image with its points: ``x, y, ignore``, and of `CARRIED` what is there."""
    groups = table.by_image(points)
    columns = [name for name in ("x", "y", *CARRIED) if name in points]
    for image in images["image"]:
        rows = groups[image][columns].to_dict("records") if image in groups else []
        yield image, [{k: v for k, v in row.items() if not pd.isna(v)} for row in rows]


def sizes_of(images: pd.DataFrame, what: str) -> dict[str, Size]:
    """The size of every image.

    Raises
    ------
    InputError
        One is not known.
    """
    unknown = images.loc[images["width"].isna() | images["height"].isna(), "image"]
    if len(unknown):
        raise InputError(
            f"{what} needs the size of {unknown.iloc[0]}; give images=, a folder of images or "
            "an images.csv with width and height"
        )
    pairs = zip(images["width"], images["height"], strict=True)
    sizes = [(int(width), int(height)) for width, height in pairs]
    return dict(zip(images["image"], sizes, strict=True))


def box_around(x: float, y: float, size: Size) -> tuple[float, float, float, float]:
    """Left, top, width and height of the `BOX` around a point, cut off at the image's border.

    Measured from the image's corner, as boxes are: the whole image is ``0, 0, *size``.
    """
    low = np.clip([x + 0.5 - BOX / 2, y + 0.5 - BOX / 2], 0, size)
    high = np.clip([x + 0.5 + BOX / 2, y + 0.5 + BOX / 2], 0, size)
    wide, tall = high - low
    return float(low[0]), float(low[1]), float(wide), float(tall)


def file_names(images: pd.DataFrame, ending: str) -> dict[str, str]:
    """The file of each image in a format with a file for each: its own name, another ending.

    Raises
    ------
    InputError
        Two images would share one, or it would lie outside the folder.
    """
    names: dict[str, str] = {}
    for image in images["image"]:
        path = PurePosixPath(image)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(
                f"{image} lies outside the folder of images; give images= to say which"
            )
        names[image] = str(path.with_suffix(ending))
    twice = [file for file, n in Counter(names.values()).items() if n > 1]
    if twice:
        both = [image for image, file in names.items() if file == twice[0]]
        raise InputError(f"{' and '.join(both)} would both be written to {twice[0]}; rename one")
    return names


def number(value: object, where: str) -> float:
    """A finite number, from a number or its text with a point.

    Raises
    ------
    InputError
        It is none.
    """
    # Python's float takes 1_000 and True
    if isinstance(value, int | float | np.number | str) and not isinstance(value, bool):
        try:
            result = float("nan" if "_" in str(value) else value)
        except (ValueError, OverflowError):
            result = math.nan
        if math.isfinite(result):
            return result
    raise InputError(f"{where}: {value!r} is no number")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises
    ------
    InputError
        It is missing or no JSON.
    """
    content = read_file(path)
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from error


def objects(thing: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """The JSON objects in a member that is a list; none if it is missing or null.

    Raises
    ------
    InputError
        It is no list.
    """
    members = thing.get(key) or []
    if not isinstance(members, list):
        raise InputError(f"{where}: its {key!r} is no list")
    return [member for member in members if isinstance(member, dict)]


def get(thing: object, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """A member of a JSON object.

    Raises
    ------
    InputError
        There is none of that kind.
    """
    if not isinstance(thing, dict) or key not in thing:
        raise InputError(f"{where} has no {key!r}")
    if not isinstance(thing[key], kind):
        raise InputError(
            f"{where}: its {key!r} is {str(thing[key])[:40]!r}, not what belongs there"
        )
    return thing[key]


def zip_names(path: Path) -> list[str]:
    """The names of the files in a zip; raises as `read_zip`."""
    with _opened(path) as archive:
        return archive.namelist()


def read_zip(path: Path, endings: tuple[str, ...]) -> dict[str, bytes]:
    """The files of those endings in a zip, by their names.

    Raises
    ------
    InputError
        It is no zip, or unpacks to more than any annotation (an attack).
    """
    with _opened(path) as archive:
        members = [
            member
            for member in archive.infolist()
            if member.filename.lower().endswith(endings)
            # macOS adds __MACOSX/._name
            and not PurePosixPath(member.filename).name.startswith(".")
        ]
        if sum(member.file_size for member in members) > MOST_UNPACKED:
            raise InputError(f"{path} is refused, it would unpack to over 1 GB")
        return {member.filename: archive.read(member) for member in members}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    # encrypted: RuntimeError; an unknown compression: NotImplementedError, which is one
    except (zipfile.BadZipFile, RuntimeError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no zip that can be unpacked: {error}") from error
