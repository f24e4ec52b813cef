"""Read images; what is too large to hold, `scans` reads.

Every image comes out as displayed: EXIF orientation applied, RGB order, 8 bit, on white where
it was transparent. Points refer to that image.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import ExifTags, TiffImagePlugin, UnidentifiedImageError
from PIL import Image as PillowImage

from roottip import decoding, places
from roottip.errors import InputError
from roottip.places import Place
from roottip.windows import Image

T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """What a file holds: the image as displayed, and what one should know about it."""

    image: Image
    notes: tuple[str, ...] = ()
    """What makes a result doubtful: more frames, another format than the name says …"""
    px_per_mm: float | None = None
    """By the file's resolution tag: right in scans, chance in photographs."""


def read_image(path: Place) -> Image:
    """Read an image as it is displayed.

    Images of 16 bits or floats are stretched linearly: their 0.1th percentile becomes 0, their
    99.9th 255 (where those are equal, their darkest and brightest value). Of a file with
    several pages the first is read.

    Parameters
    ----------
    path : path or address
        JPEG, PNG, TIFF, BMP or WebP; the content counts, not the ending.

    Returns
    -------
    (H, W) or (H, W, 3) uint8
        Grey images stay two-dimensional. RGB order.

    Raises
    ------
    InputError
        The file is missing, no image, cut short or damaged.
    """
    return decode(places.read_file(path), path).image


def read_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as displayed, from its header: no pixel is decoded.

    Raises
    ------
    InputError
        The file is missing or no image.
    """
    try:
        opened: PillowImage.Image
        try:
            opened = PillowImage.open(path, formats=_PILLOW_FORMATS)
        except PillowImage.DecompressionBombError:
            opened = decoding.header(path)
        with opened as picture:
            width, height = picture.size
            if isinstance(picture, TiffImagePlugin.TiffImageFile):
                # as stored: some versions of Pillow have turned the size already
                stored = ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength
                width, height = (int(picture.tag_v2[tag]) for tag in stored)
            orientation = decoding.orientation(picture, path)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except Exception as error:  # as in decode
        raise InputError(f"{path} is not an image roottip reads ({decoding.KINDS})") from error
    # 5 to 8 are the orientations that lie on their side
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def decode(data: bytes, path: Place) -> Picture:
    """Decode an image file's content, as `read_image` does; `path` is its name in errors.

    Raises
    ------
    InputError
        It is no image, damaged, of a kind that is not read, or too large.
    """
    try:
        with PillowImage.open(io.BytesIO(data), formats=_PILLOW_FORMATS) as picture:
            notes = decoding.notes(picture, path)
            image = decoding.displayed(picture, data)
        return Picture(image, notes, decoding.px_per_mm(picture))
    except UnidentifiedImageError as error:
        what = f"not an image roottip reads ({decoding.KINDS})" if data else "an empty file"
        if data.startswith(_TIFF):
            what = (
                "a TIFF of a kind that roottip does not read, such as floats of 64 bits, or cut "
                "short; save it with 8 or 16 bits a channel"
            )
        raise InputError(f"{path} is {what}") from error
    except PillowImage.DecompressionBombError as error:
        most = 2 * (PillowImage.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise InputError(
            f"{path} is larger than {most} megapixels, which only roottip detect and "
            "roottip.Scan take, of a local file; cut it into parts"
        ) from error
    except InputError as error:  # it is whole, but of a kind that cannot be had
        raise InputError(f"{path} cannot be read: {error}") from error
    except MemoryError as error:
        raise InputError(
            f"{path} does not fit into memory; end other programs, or cut it into parts"
        ) from error
    # decoders raise all sorts on damaged data: SyntaxError (PNG), struct.error, EOFError …
    except Exception as error:
        raise InputError(
            f"{path} cannot be read, it may be cut short or damaged: {error}"
        ) from error


def read_ahead(
    root: Place, names: Iterable[str]
) -> Iterator[tuple[str, tuple[Image, str] | InputError]]:
    """Read images in order while the caller works on earlier ones.

    Yields
    ------
    name : str
    (Image, str) or InputError
        An image and its file's SHA-256, or why it cannot be read. At most two wait in memory.
    """

    def attempt(name: str) -> tuple[Image, str] | InputError:
        path = places.join(root, name)
        try:
            data = places.read_file(path)
            return decode(data, path).image, hashlib.sha256(data).hexdigest()
        except InputError as error:
            return error

    return in_order(attempt, names, 2)


def in_order(work: Callable[[str], T], names: Iterable[str], ahead: int) -> Iterator[tuple[str, T]]:
    """Do `work` on each name in another thread, at most `ahead` names before the caller."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: deque[tuple[str, Future[T]]] = deque()
        try:
            for name in names:
                waiting.append((name, pool.submit(work, name)))
                if len(waiting) > ahead:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for name, future in waiting:
                yield name, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


_PILLOW_FORMATS = tuple(dict.fromkeys(decoding.FORMAT_OF.values()))
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
