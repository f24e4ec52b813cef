"""Which images a run has: of a folder, a pattern, a list or an address."""

from __future__ import annotations

import codecs
import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar, overload

from roottip import places, table
from roottip.decoding import KINDS, SUFFIXES
from roottip.errors import InputError, counted
from roottip.places import Place

LISTS = (".csv", ".txt")

P = TypeVar("P", bound=PurePath)
Remark = Callable[[str], object]


@overload
def find_images(source: Path, remark: Remark = ...) -> tuple[Path, list[str]]: ...


@overload
def find_images(source: str, remark: Remark = ...) -> tuple[Place, list[str]]: ...


def find_images(source: Place, remark: Remark = lambda sentence: None) -> tuple[Place, list[str]]:
    """List the images of a run.

    Parameters
    ----------
    source : path or address
        An image; a folder, searched through all its subfolders, linked ones too, but for hidden
        ones (``.Trash-1000``) and those of systems (``@eaDir``); a glob pattern such as
        ``scans/day*/*.tif``; or a list: a ``.txt`` with a path in each line, but for those that
        start with ``#``, or a ``.csv`` with a column ``image``, relative to the list's folder.
        What exists under the very name is taken as that, so brackets in a folder's name are no
        pattern. Of an fsspec address (``s3://bucket/run``): an image or a folder.
    remark : callable
        Is told, in a sentence each, what is there besides that might have been wanted: pictures
        of kinds that roottip does not read, hidden folders with images, subfolders that cannot be
        listed, and addresses in a list.

    Returns
    -------
    root : path or address
        The folder that the names are relative to.
    names : list of str
        With ``/``, each once, in natural order (``p2`` before ``p10``).

    Raises
    ------
    InputError
        Nothing is there, or nothing there is an image by its ending.
    """
    if source == "":  # as a path the working folder
        raise InputError("the source is empty; give a folder, an image, a pattern or a list")
    if places.is_address(source):
        return _find_remote(str(source), remark)
    path = Path(source)
    if path.is_dir():
        root, found = path, _searched(path, remark)
        if not found:
            raise InputError(
                f"there is no image in {path} or its subfolders; roottip reads {KINDS}"
            )
    elif path.is_file() and path.suffix.lower() in LISTS:
        root = path.parent
        found = _each_once(root, _listed(path, remark))
    elif path.is_file():
        if not _is_image(path):
            raise InputError(f"{path} is no image by its ending; roottip reads {KINDS}")
        root, found = path.parent, [path]
    elif glob.has_magic(str(source)):
        root, found = _matched(path, remark)
    else:
        raise InputError(f"there is no file or folder {path}")
    names = {
        p.relative_to(root).as_posix() if p.is_relative_to(root) else p.as_posix() for p in found
    }
    return root, sorted(names, key=_natural)


_UNREAD = re.compile(
    r"\.(arw|avif|bif|cr2|cr3|czi|dng|gif|heic|heif|hif|j2k|jp2|jpx|jxl|lif|lsm|nd2|ndpi|nef|oib|"
    r"oif|orf|pbm|pef|pgm|pnm|ppm|psd|raf|raw|rw2|scn|srw|svs|tga|vsi)"
)
"""Endings of cameras', telephones' and microscopes' pictures that roottip does not read."""


_SYSTEM = ("@eadir", "$recycle.bin")
"""Folders in which a NAS keeps thumbnails, and Windows what was deleted, in lower case."""


def _is_hidden(folder: str) -> bool:
    return folder.startswith(".") or folder.lower() in _SYSTEM


def _is_image(path: Path) -> bool:
    # names that start with a dot are other programs' (macOS leaves ._x.jpg beside x.jpg); a link
    # to nothing is an image that is missing
    if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
        return False
    try:
        return path.is_file() or (path.is_symlink() and not path.exists())
    except PermissionError:
        return True  # of a folder that may be listed, but not entered; it fails when it is read


def _searched(folder: Path, remark: Remark) -> list[Path]:
    """The images in a folder and its subfolders; in each of these once, whatever leads there."""

    def unlisted(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise InputError(f"{folder} cannot be listed: {error.strerror}") from error
        remark(f"left out: {error.filename}, which cannot be listed ({error.strerror})")

    top = Path(os.path.realpath(folder))
    been: set[str] = set()
    found: list[Path] = []
    hidden: list[Path] = []
    unread: Counter[str] = Counter()
    for parent, below, files in os.walk(folder, onerror=unlisted, followlinks=True):
        place = os.path.realpath(parent)
        if place in been:
            below.clear()
            continue
        been.add(place)
        here = Path(parent)
        seen = (name for name in below if not _is_hidden(name))
        hidden += [here / name for name in below if _is_hidden(name) and _has_image(here / name)]
        # what a link leads back to is found where it is; of several to one place the first counts
        below[:] = sorted(name for name in seen if not _leads_back(here / name, place, top))
        found += [here / name for name in files if _is_image(here / name)]
        endings = (PurePath(name).suffix.lower() for name in files if name[0] != ".")
        unread.update(filter(_UNREAD.fullmatch, endings))
    if unread:
        remark(f"left out: {_counts(unread)}, which roottip does not read; it reads {KINDS}")
    _tell_hidden(hidden, remark)
    return found


def _has_image(folder: Path) -> bool:
    return any(_is_image(Path(at, name)) for at, _, files in os.walk(folder) for name in files)


def _in_sight(images: list[P], root: PurePath, remark: Remark) -> list[P]:
    """The images but for those in hidden folders below `root`."""
    hidden = {path: _hidden_above(path.relative_to(root)) for path in images}
    _tell_hidden({folder for folder in hidden.values() if folder}, remark)
    return [path for path in images if not hidden[path]]


def _hidden_above(path: PurePath) -> PurePath | None:
    """The topmost hidden folder that a file is in."""
    above = [folder for folder in path.parents if _is_hidden(folder.name)]
    return above[-1] if above else None


def _tell_hidden(folders: Iterable[PurePath], remark: Remark) -> None:
    counts = _counts(Counter(folder.name for folder in folders))
    if counts:
        remark(f"left out: {counts}, which hold images but are hidden or a system's folders")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counter.items()))


def _leads_back(path: Path, place: str, top: Path) -> bool:
    """Whether a folder that lies in `place` is in truth elsewhere below `top`, and found there."""
    real = Path(os.path.realpath(path))
    if real == Path(place, path.name) or not real.is_relative_to(top):
        return False
    return not any(map(_is_hidden, real.relative_to(top).parts))


def _matched(source: Path, remark: Remark) -> tuple[Path, list[Path]]:
    """The folder that a glob pattern starts in, and the images that it matches."""
    root = _fixed_part(source)
    pattern = source.relative_to(root)
    try:
        paths = list(root.glob(pattern.as_posix()))
    except ValueError as error:  # ** beside other characters, before Python 3.13
        raise InputError(f"{source} is no pattern: {error}") from error
    found = [path for path in paths if _is_image(path)]
    # as a shell does, unless the pattern itself says so
    if not any(map(_is_hidden, pattern.parts)):
        found = _in_sight(found, root, remark)
    if not found and any(path.is_dir() for path in paths):
        raise InputError(
            f"{source} matches no image but folders; give {source}/* for what is in them"
        )
    if not found:
        raise InputError(f"no image matches {source}; roottip reads {KINDS}")
    return root, found


def _find_remote(address: str, remark: Remark) -> tuple[str, list[str]]:
    system, path = places.filesystem(address)
    if system.isfile(path):
        root, _, name = address.rstrip("/").rpartition("/")
        return root, [name]
    try:
        found = [PurePosixPath(name) for name in system.find(path)] if system.isdir(path) else []
    except Exception as error:  # each address's library has its own
        raise InputError(f"{address} cannot be listed: {error}") from error
    images = [
        name for name in found if name.suffix.lower() in SUFFIXES and not name.name.startswith(".")
    ]
    top = PurePosixPath(path)
    names = [name.relative_to(top).as_posix() for name in _in_sight(images, top, remark)]
    if not names:
        raise InputError(f"there is no image in {address}; roottip reads {KINDS}")
    return address.rstrip("/"), sorted(names, key=_natural)


def _listed(path: Path, remark: Remark) -> list[str]:
    if path.suffix.lower() == ".csv":
        frame = table.read(path)
        if "image" not in frame:
            holds = table.holds(frame)
            raise InputError(f"{path} lists no images: it has no column image; {holds}")
        names = list(frame["image"])
    else:
        data = places.read_file(path)
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # of a Windows shell
            text = data.decode("utf-16", "replace")
        else:
            text = data.decode("utf-8-sig", "surrogateescape")
        lines = (line.strip() for line in re.split(r"[\r\n]", text))
        # not Path.is_file, which raises where no name may be so long
        said = (x for x in lines if x[:1] != "#" or os.path.isfile(path.parent / x))  # noqa: PTH113
        # in quotes where Windows' Explorer copied paths
        names = [re.sub(r'^"(.*)"$', r"\1", line) for line in said]
    names = [name.replace("\\", "/") for name in names if name]
    if not names:
        raise InputError(f"{path} lists no images")
    if addresses := [name for name in names if places.is_address(name)]:
        remark(
            f"{path} has {counted(len(addresses), 'line')} with an address, such as "
            f"{addresses[0]}, which cannot be read: lists hold paths; give an address as the input"
        )
    return names


def _each_once(root: Path, names: list[str]) -> list[Path]:
    """The paths of a list's names; of several that spell one path the first counts."""
    found: dict[str, Path] = {}
    for name in names:
        path, key = root / name, name
        if "://" not in name and "\0" not in name:  # no address, nor what gets its row as a failure
            # two links to one file are two images, as they are in a folder
            key = f"{os.path.realpath(path.parent)}/{path.name}"
        found.setdefault(key, _from(root, path))
    return list(found.values())


def _from(root: Path, path: Path) -> Path:
    """The path, below `root` also where it was listed from the top."""
    top = root.absolute()
    below = path.is_absolute() and path.is_relative_to(top)
    return root / path.relative_to(top) if below else path


def _fixed_part(pattern: Path) -> Path:
    """The folder before the first part of a glob pattern that is a wild card, and no name."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) and not (fixed / part).is_dir():
            break
        fixed /= part
    return fixed


def _natural(name: str) -> list[tuple[int, int | str]]:
    pieces = re.split(r"(\d+)", PurePath(name).as_posix().casefold())
    key: list[tuple[int, int | str]] = [
        (0, int(piece)) if i % 2 else (1, piece) for i, piece in enumerate(pieces)
    ]
    return [*key, (1, name)]  # p01 and p1 are two names
