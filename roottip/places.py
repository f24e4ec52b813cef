"""Where files live: a local folder, or an address that fsspec knows (``s3://``, ``sftp://``)."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from roottip.errors import InputError

Place = str | Path


def is_address(place: Place) -> bool:
    """Whether it is fsspec's (``s3://bucket/run``) and no path of this machine."""
    return isinstance(place, str) and "://" in place


def join(root: Place, name: str) -> Place:
    """A file of a folder; an absolute name stays what it is."""
    return f"{str(root).rstrip('/')}/{name}" if is_address(root) else Path(root) / name


def read_bytes(place: Place) -> bytes:
    """The content of a file."""
    if is_address(place):
        system, path = filesystem(place)
        content: bytes = system.cat_file(path)
        return content
    return Path(place).read_bytes()


def read_file(place: Place) -> bytes:
    """The content of a file, or in a sentence why it cannot be had.

    Raises
    ------
    InputError
        It is missing or cannot be read.
    """
    try:
        return read_bytes(place)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {place}") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{place} cannot be read: {reason}") from error


def version(place: Place) -> str:
    """Cheap to ask, and another one when the file has changed: its size and time of change."""
    if is_address(place):
        system, path = filesystem(place)
        return str(system.ukey(path))
    status = Path(place).stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def write_whole(
    path: Path, data: bytes | Path, part: str | None = None, lasting: bool = False
) -> None:
    """Write a file, and the folders above it; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        Where it is a link, the link is replaced, not what it leads to.
    data : bytes or Path
        The content, or the file to copy.
    part : str, optional
        What the file is called until it is whole; its own name and ``.part`` where not given.
    lasting : bool
        Wait until it would outlive a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(part or f"{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    shutil.copyfileobj(source, file)
            else:
                file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        # of a full disk Python does not say where, else it says what the user never named
        if isinstance(error, OSError) and error.filename in (None, str(unfinished)):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def content_hash(data: bytes) -> str:
    """The same for the same bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def file_hash(path: Place) -> str:
    """`content_hash` of a file, without all of it in memory."""
    if is_address(path):
        return content_hash(read_bytes(path))
    digest = hashlib.blake2b(digest_size=16)
    with Path(path).open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def filesystem(place: Place) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises
    ------
    InputError
        fsspec, or what it needs for this kind of address, is not installed.
    """
    try:
        import fsspec  # the extra [remote]

        system, path = fsspec.core.url_to_fs(str(place))
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{place} cannot be reached ({error}); addresses need pip install 'roottip[remote]' "
            "and fsspec's package for their kind, such as s3fs"
        ) from error
    return system, path


def check_folder(output: Path) -> None:
    """Refuse a folder that is none and cannot be made.

    Raises
    ------
    InputError
        It, or what it would be in, is a file or a link to nothing, or may not be written to.
    """
    above = (output, *output.parents)
    nearest = next((place for place in above if place.exists() or place.is_symlink()), output)
    what = output if nearest == output else f"{output}: {nearest}"
    if nearest.is_symlink() and not nearest.exists():
        raise InputError(
            f"output={what} is a link to nothing; remove it, or make the folder that it leads to"
        )
    if nearest.exists() and not nearest.is_dir():
        raise InputError(f"output={what} is a file; give a folder")
    if nearest.exists() and not os.access(nearest, os.W_OK):
        raise InputError(f"output={output}: {nearest} may not be written to; give another output=")


def check_own(output: Path, mark: str, names: Iterable[str]) -> None:
    """Refuse to write files of these names into a folder that holds somebody else's.

    Parameters
    ----------
    output : Path
        A folder, or nothing yet.
    mark : str
        A file that only such a command writes: where it is, the others are its too.
    names : iterable of str

    Raises
    ------
    InputError
        `output` is a file, or has one of the files without the mark: somebody's work.
    """
    check_folder(output)
    taken = [] if (output / mark).exists() else [n for n in names if (output / n).exists()]
    if taken:
        raise InputError(
            f"{output} holds the {taken[0]} of something else, such as a run or a dataset; "
            "give another output="
        )


class Folder:
    """A folder to write to. Every file appears in it whole or not at all.

    Parameters
    ----------
    place : path or address
        Made when something is written.

    Raises
    ------
    InputError
        It is a file, or may not be written to.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._system: Any = None
        if is_address(place):
            self._system, self._root = filesystem(place)
            if self._system.isfile(self._root):
                raise InputError(f"output={place} is a file; give a folder")
        else:
            self.place = Path(place)
            check_folder(self.place)
            # not Path.resolve, which raises at a link to itself before Python 3.13
            self._root = os.path.realpath(place)

    def __str__(self) -> str:
        return str(self.place)

    def name_of(self, place: Place) -> str | None:
        """What a file is called in this folder, with ``/``; None where it lies elsewhere."""
        if self._system is not None or is_address(place):
            inside = f"{str(self).rstrip('/')}/"
            return str(place)[len(inside) :] if str(place).startswith(inside) else None
        path = Path(os.path.realpath(place))
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else None

    def write(self, name: str, data: bytes, lasting: bool = False) -> None:
        """Write a file; what was there is replaced in one step.

        Parameters
        ----------
        name : str
            With ``/``.
        data : bytes
        lasting : bool
            Wait until it would outlive a power cut.

        Raises
        ------
        InputError
            The disk is full.
        """
        try:
            if self._system is not None:
                # object stores show an object when it is complete
                path = f"{self._root}/{name}"
                self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._system.pipe_file(path, data)
                return
            # one name for all, which a killed run leaves and the next one uses up: the lock
            # keeps others away
            write_whole(Path(self.place, name), data, ".part", lasting)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(
                    f"the disk of {self} is full; make room and give the same command again, "
                    "it goes on where it stopped"
                ) from error
            raise

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            return read_bytes(join(self.place, name))
        except FileNotFoundError:
            return None

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        if self._system is not None:
            return bool(self._system.isfile(f"{self._root}/{name}"))
        return Path(self.place, name).is_file()

    def names(self, below: str) -> list[str]:
        """The files in a subfolder and in those below it, sorted."""
        if self._system is not None:
            path = f"{self._root}/{below}"
            return sorted(f"{below}{found[len(path) :]}" for found in self._system.find(path))
        top = Path(self.place)
        found = (path for path in Path(top, below).rglob("*") if path.is_file())
        return sorted(path.relative_to(top).as_posix() for path in found)

    def remove(self, name: str) -> None:
        """Remove a file that may be there."""
        if self._system is not None:
            with suppress(FileNotFoundError):
                self._system.rm_file(f"{self._root}/{name}")
        else:
            Path(self.place, name).unlink(missing_ok=True)

    def lock(self, name: str) -> AbstractContextManager[object]:
        """Exclude all others from this folder within a ``with``, or until its holder ends.

        Of an address only others on this machine are excluded: object stores have no locks.

        Raises
        ------
        InputError
            Another process holds it, or the file system has no locks.
        """
        if self._system is not None:
            key = content_hash(str(self).encode())
            path = Path(tempfile.gettempdir(), f"roottip-{key}.lock")
        else:
            path = Path(self.place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
        # the operating system's own lock, which ends with the process, kill -9 included
        try:
            return FileLock(path).acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"another run is writing to {self}; wait for it, or give another output="
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            raise InputError(
                f"the file system of {self} cannot lock (as NFS without a lock daemon), so that "
                "two runs might write there; give an output= on another one"
            ) from error
