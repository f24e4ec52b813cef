"""Read scans that are too large to hold, strip by strip, by libvips (the extra ``[scans]``).

A scan comes out as `images.read_image` would show it: RGB order, 8 bit, on white where it was
transparent; what can only be read whole is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from roottip import decoding
from roottip.bands import LARGE, Strips
from roottip.errors import InputError
from roottip.windows import Image

MOST_PIXELS = 1_500_000_000
"""Pixels of the largest scan that is read; A3 at 2400 dpi is 1.1 gigapixels. More would take hours
on a small machine."""

MOST_SIDE = 65_535
"""px of a side: JPEG's own limit. The rows of a band must fit into memory."""

_EMPTY = 200
"""Pixels that a byte of the file may stand for. Scanners' noise needs a byte for some 20; a file
with less in it is a plain surface, or made to fill a memory."""

_ROWS = 16
"""Rows of a strip. libvips works on some ten strips at a time, as wide as the scan."""

_LOADERS = {"jpegload": "JPEG", "pngload": "PNG", "tiffload": "TIFF"}


class Scan(Strips):
    """An image file, read anew from the top at each iteration.

    Parameters
    ----------
    path : path
        A JPEG, PNG or TIFF on this machine.

    Attributes
    ----------
    shape : tuple
        ``(H, W)`` or ``(H, W, 3)``, as displayed.
    notes : tuple of str
        What makes a result doubtful.
    px_per_mm : float or None
        By the file's resolution tag.

    Raises
    ------
    InputError
        libvips is missing, the file cannot be read, or not strip by strip, or it is too large.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        header = _header(self.path)
        self._check(header)
        with decoding.header(self.path) as picture:
            # libvips takes a fourth channel for alpha, and says 72 dots an inch of most files
            self._alpha = bool(header.hasalpha()) and decoding.has_alpha(picture)
            self.px_per_mm = decoding.px_per_mm(picture)
            self.notes = decoding.notes(picture, self.path)
            turned = decoding.orientation(picture, self.path)
        # from the top down is then not the order of the file, and all of it would be in memory
        if turned != 1:
            raise InputError(
                f"{self._sized(header)} and is stored turned (EXIF orientation {turned}); save it "
                "upright"
            )
        if header.format == "ushort" and self._alpha:
            raise InputError(f"{self._sized(header)} of 16 bits with transparency; save it without")
        shown = self._shown()
        self._deep = shown.format == "ushort"
        self.shape = (shown.height, shown.width) + ((3,) if shown.bands == 3 else ())
        self._levels: Image | None = None

    def __iter__(self) -> Iterator[Image]:
        """All rows, 8 bit, in strips from the top down.

        Raises
        ------
        InputError
            The file is cut short or damaged.
        """
        if not self._deep:
            yield from self._strips()
            return
        if self._levels is None:
            self._levels = decoding.levels(self._strips())
        for strip in self._strips():
            yield self._levels[strip]

    def _strips(self) -> Iterator[NDArray[Any]]:
        import pyvips

        shown = self._shown()
        region = pyvips.Region.new(shown)
        try:
            for top in range(0, shown.height, _ROWS):
                rows = min(_ROWS, shown.height - top)
                data = region.fetch(0, top, shown.width, rows)
                kind = np.uint16 if self._deep else np.uint8
                yield np.frombuffer(data, dtype=kind).reshape(rows, *self.shape[1:])
        except pyvips.Error as error:
            raise InputError(
                f"{self.path} cannot be read, it may be cut short or damaged: {_said(error)}"
            ) from error
        finally:
            del region, shown
            _forget()

    def _shown(self) -> Any:
        """The image as displayed, still to be decoded."""
        import pyvips

        image = pyvips.Image.new_from_file(str(self.path), access="sequential", fail_on="error")
        if self._alpha:
            return image.flatten(background=255)
        return image[: image.bands - 1] if image.hasalpha() else image

    def _sized(self, header: Any) -> str:
        return f"{self.path} has {header.width * header.height / 1e6:.0f} megapixels"

    def _check(self, header: Any) -> None:
        kind = _LOADERS.get(_field(header, "vips-loader", ""))
        pixels = header.width * header.height
        size = self._sized(header)
        if kind is None:
            raise InputError(
                f"{size}, which roottip reads from JPEG, PNG and TIFF only; save it as one of them"
            )
        if pixels > MOST_PIXELS or max(header.width, header.height) > MOST_SIDE:
            raise InputError(
                f"{size} ({header.width} x {header.height}); roottip reads up to "
                f"{MOST_PIXELS // 1_000_000} with sides of up to {MOST_SIDE} px, so cut it into "
                "parts"
            )
        if pixels > _EMPTY * self.path.stat().st_size:
            raise InputError(
                f"{size} in a file of {self.path.stat().st_size} bytes; that is no scan, nothing "
                "is on it"
            )
        if _field(header, "interlaced", 0):
            raise InputError(
                f"{size} and is stored interlaced (progressive), so it can only be read whole; "
                "save it without"
            )
        deep = header.format == "ushort"
        colours = header.bands - header.hasalpha()
        plain = header.interpretation in ("b-w", "srgb", "grey16", "rgb16")
        if not plain or colours not in (1, 3) or not (deep or header.format == "uchar"):
            raise InputError(
                f"{size}, {header.bands} channels of {header.format} ({header.interpretation}); "
                "roottip reads scans of this size in grey or RGB of 8 or 16 bits, so save it as "
                "that"
            )


def scan_of(path: str | Path, most: int) -> Scan | None:
    """The scan to work through, if an image file has more than `most` pixels.

    None also stands for one that can be read whole, but not strip by strip or not without libvips.

    Raises
    ------
    InputError
        It is too large to be read whole and cannot be read strip by strip.
    """
    count = pixels(path)
    if count <= most:
        return None
    try:
        return Scan(path)
    except InputError:
        if count > LARGE:
            raise
        return None


def pixels(path: str | Path) -> int:
    """How many pixels an image file has by its header; 0 where that says nothing."""
    try:
        with PillowImage.open(path) as picture:
            return picture.width * picture.height
    except PillowImage.DecompressionBombError:
        try:
            header = _header(Path(path))
        except InputError:
            return LARGE + 1  # more than that, it is
        return int(header.width * header.height)
    # decoders raise all sorts; who reads the file says what is wrong with it
    except Exception:
        return 0


def _header(path: Path) -> Any:
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: the package is there, libvips is not
        raise InputError(
            f"{path} has more than {LARGE // 1_000_000} megapixels; to read such scans "
            "pip install 'roottip[scans]', or cut it into parts"
        ) from error
    try:
        return pyvips.Image.new_from_file(str(path), access="sequential")
    except pyvips.Error as error:
        raise InputError(f"{path} cannot be read: {_said(error)}") from error


def _field(header: Any, name: str, otherwise: Any) -> Any:
    return header.get(name) if header.get_typeof(name) else otherwise


def _forget() -> None:
    """Have libvips give back what it keeps of images read before, strips as wide as they were."""
    import pyvips

    most = pyvips.cache_get_max()
    pyvips.cache_set_max(0)
    pyvips.cache_set_max(most)


def _said(error: Exception) -> str:
    """What libvips says of an error, in one line."""
    return "; ".join(dict.fromkeys(str(getattr(error, "detail", error)).split("\n"))).strip("; ")
