"""The images that marks may be on: which names there are, and how large each is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from pathlib import Path, PurePosixPath

import pandas as pd

from roottip import table
from roottip.errors import InputError
from roottip.images import read_size
from roottip.listing import find_images

Size = tuple[int, int]
"""Width and height, px, as displayed."""


class Gallery:
    """Images by name.

    Parameters
    ----------
    names : sequence of str
        Relative to `root`; none if nobody gave any: then every name is taken as it is.
    root : Path, optional
        Where the files are.
    frame : DataFrame, optional
        The images table that lists them, where there is one.
    source : str
        What to call it in errors.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        root: Path | None = None,
        frame: pd.DataFrame | None = None,
        source: str = "",
    ) -> None:
        self.names = list(names)
        self.root = root
        self.frame = frame
        self.source = source
        self._indices: dict[Callable[[str], str], dict[str, list[str]]] = {}
        self._sizes: dict[str, Size] = {}
        if frame is not None and {"width", "height"} <= set(frame):
            width, height = (pd.to_numeric(frame[s], errors="coerce") for s in ("width", "height"))
            known = zip(frame["image"], width, height, strict=True)
            self._sizes = {
                name: (int(w), int(h)) for name, w, h in known if 0 < w < inf and 0 < h < inf
            }

    def __bool__(self) -> bool:
        """Whether anybody gave images."""
        return bool(self.names)

    def find(self, said: str, where: str, key: Callable[[str], str] | None = None) -> str:
        """The image that a file means.

        Parameters
        ----------
        said : str
            As the file has it: the very name, or one in another folder.
        where : str
            For errors.
        key : callable, optional
            Makes of a path what must be the same; the file's name if not given.

        Raises
        ------
        InputError
            No image is called so, or several are.
        """
        said = said.replace("\\", "/")
        if not said:
            raise InputError(f"{where} names no image")
        if not self.names or said in self._index(str):
            return said
        key = key or _file_name
        found = self._index(key).get(key(said), [])
        if len(found) > 1:  # day1/p.jpg of two p.jpg, where the file says photos/day1/p.jpg
            ends = [n for n in found if said.endswith(f"/{n}") or n.endswith(f"/{said}")]
            found = ends if len(ends) == 1 else found
        if len(found) == 1:
            return found[0]
        if not found:
            raise InputError(
                f"{where} is about {said}, but none of the {len(self.names)} images of "
                f"{self.source} is called so"
            )
        raise InputError(
            f"{where} is about {said}, and {len(found)} images are called so: "
            f"{', '.join(found[:3])}; rename all but one, or let images= be that one only"
        )

    def has(self, said: str, key: Callable[[str], str]) -> bool:
        """Whether some image is called so, as far as `key` goes."""
        return key(said) in self._index(key)

    def beside(self, file: PurePosixPath, where: str) -> str:
        """The image that goes with a file of its own name but for the ending.

        Parameters
        ----------
        file : PurePosixPath
            Relative to the folder of such files.
        where : str

        Raises
        ------
        InputError
            There is none, or several, or nobody gave images.
        """
        if not self.names:
            raise InputError(
                f"{where} does not say which image it belongs to; give images=, the image or a "
                f"folder where one is called {file.stem}"
            )
        same_place = self._index(_stem).get(_stem(str(file)), [])
        if len(same_place) == 1:
            return same_place[0]
        return self.find(str(file), where, last_stem)

    def size(self, image: str) -> Size | None:
        """Width and height of an image; None where they are not known.

        Raises
        ------
        InputError
            Its file cannot be read.
        """
        if image in self._sizes:
            return self._sizes[image]
        if self.root is not None and (self.root / image).is_file():
            return read_size(self.root / image)
        return None

    def _index(self, key: Callable[[str], str]) -> dict[str, list[str]]:
        if key not in self._indices:
            index: dict[str, list[str]] = {}
            for name in self.names:
                index.setdefault(key(name), []).append(name)
            self._indices[key] = index
        return self._indices[key]


def read_gallery(place: Path) -> Gallery:
    """Images from an images table, or from whatever `find_images` knows.

    Parameters
    ----------
    place : Path
        ``.csv`` or ``.parquet`` with a column ``image`` (and ``width, height``, ``group``,
        ``split`` where they are known), whose images are in ``images/`` beside it or relative
        to it (those that a run could not read are left out); else an image, a folder, a
        pattern or a ``.txt`` list.

    Raises
    ------
    InputError
        Nothing is there, or it is malformed.
    """
    if place.suffix.lower() in table.SUFFIXES:
        frame = table.check_images(table.read(place), str(place))
        if "status" in frame:  # of a run: what could not be read has no size and no tips
            frame = frame[frame["status"] != "failed"]
        inside = place.parent / "images"
        root = inside if inside.is_dir() else place.parent
        return Gallery(list(frame["image"]), root, frame, str(place))
    folder, names = find_images(place)
    return Gallery(names, Path(folder), None, str(place))


def folder_files(path: Path, endings: Iterable[str]) -> list[tuple[Path, PurePosixPath]]:
    """The files of those endings: `path` itself, or all below it with their names there."""
    if path.is_file():
        return [(path, PurePosixPath(path.name))]
    # ._p1.xml is what macOS leaves beside p1.xml on other disks
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in endings and not file.name.startswith(".")
    )
    return [(file, PurePosixPath(file.relative_to(path).as_posix())) for file in found]


def _file_name(name: str) -> str:
    return PurePosixPath(name).name


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def last_stem(name: str) -> str:
    """The file's name but for the ending."""
    return PurePosixPath(name).stem
