"""Images too large to hold, worked through in bands of rows from the top down.

Such an image is a `Strips`: its shape, and its rows in consecutive pieces, as often as asked. An
image in memory is one piece. All functions here are plain: pieces in, arrays out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from roottip.windows import Image

LARGE = 178_956_970
"""Pixels above which an image is read strip by strip: those that Pillow refuses to decode."""

WHOLE = 16_000_000
"""Pixels above which an image is worked through in pieces, by what can: whole, each of its pixels
needs some 15 bytes, and nine times as many where roots are fine (`scale.LARGEST`). The crops that
the scale of a larger one is measured on cover four fifths of it up to 45 megapixels, and are large
enough, 600 px, to measure as all of it does: within some per cent on photographs enlarged to this
size."""

_ROWS = 64
"""Rows changed at a time: few, for they are as wide as the image."""

_CROPS, _SIDE = 6, 1024
"""Crops that stand for a large image, along each axis, and their side in px: long enough for
pieces of root ten times as long as the widest that are told from dirt, 38 megapixels together."""

_EDGE = 0.05
"""Share of the image along each edge that the crops leave out, where rims and rulers lie."""


class Strips(ABC):
    """An image that gives its rows in pieces, each of any height, from the top down."""

    shape: tuple[int, ...]
    """``(H, W)`` or ``(H, W, 3)``."""

    @abstractmethod
    def __iter__(self) -> Iterator[Image]:
        """A new pass from the top."""


class Changed(Strips):
    """An image that is changed a few rows at a time, whenever they are asked for.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8, or Strips
    change : callable
        Of some rows and the number of their first in the image: as many rows, changed.
    reach : int
        How far around a pixel the change looks, px.
    """

    def __init__(
        self, image: Image | Strips, change: Callable[[Image, int], Image], reach: int = 0
    ) -> None:
        self.shape, self._image, self._change, self._reach = image.shape, image, change, reach

    def __iter__(self) -> Iterator[Image]:
        for top, start, band in in_bands(pieces(self._image), _ROWS, self._reach):
            yield self._change(band, start)[top - start : top - start + _ROWS]


def pieces(image: Image | Strips) -> Iterable[Image]:
    """The image's rows, whether it is in memory or not."""
    return image if isinstance(image, Strips) else [image]


def in_bands(strips: Iterable[Image], step: int, halo: int) -> Iterator[tuple[int, int, Image]]:
    """Cut the rows anew, into bands that overlap.

    Parameters
    ----------
    strips : iterable of (h, W) or (h, W, 3) uint8
        All rows of an image, in pieces of any height.
    step : int
        Rows from one band to the next.
    halo : int
        Rows that a band has besides, above and below, as far as the image goes.

    Yields
    ------
    top : int
        The band's own rows are ``top`` to ``top + step``, fewer at the end.
    start : int
        The row of the image that is the band's first.
    band : (h, W) or (h, W, 3) uint8
        A view, until the next is asked for: of what is as wide as a scan one copy is enough.
    """
    room: Image | None = None
    top = start = end = 0
    for strip in strips:
        if room is None:
            room = np.empty((step + 2 * halo, *strip.shape[1:]), np.uint8)
        taken = 0
        while taken < len(strip):
            part = strip[taken : taken + top + step + halo - end]
            room[end - start : end - start + len(part)] = part
            taken, end = taken + len(part), end + len(part)
            if end == top + step + halo:
                yield top, start, room[: end - start]
                top += step
                first = max(0, top - halo)
                room[: end - first] = room[first - start : end - start]
                start = first
    while room is not None and top < end:
        first = max(0, top - halo)
        yield top, first, room[first - start : end - start]
        top += step


def crops(image: Image | Strips) -> list[Image]:
    """Crops, evenly spread, that stand for a large image where all of it would be too much."""
    height, width = image.shape[:2]
    (rows, tall), (columns, wide) = _places(height), _places(width)
    # one array, which goes back to the system when the crops are done with; small ones may stay
    made = np.empty((len(rows), len(columns), tall, wide, *image.shape[2:]), np.uint8)
    start = 0
    for strip in pieces(image):
        for row, across in zip(rows, made, strict=True):
            first, last = max(row, start), min(row + tall, start + len(strip))
            if first < last:
                for column, crop in zip(columns, across, strict=True):
                    part = strip[first - start : last - start, column : column + wide]
                    crop[first - row : last - row] = part
        start += len(strip)
    return [crop for across in made for crop in across]


def shrunk(image: Image | Strips, side: int) -> Image:
    """A small copy, its longer side at most `side` px."""
    height, width = image.shape[:2]
    factor = -(-max(height, width) // side)
    # at least a row, however thin the image
    rows, columns = max(1, height // factor), max(1, width // factor)
    # made beforehand: pieces kept one by one would lie between the strips' memory and hold it
    small = np.empty((rows, columns, *image.shape[2:]), np.uint8)
    for top, _, band in in_bands(pieces(image), factor * 16, 0):
        here = small[top // factor : top // factor + max(1, len(band) // factor)]
        if len(here):
            here[:] = cv2.resize(band, (columns, len(here)), interpolation=cv2.INTER_AREA)
    return small


def _places(length: int) -> tuple[list[int], int]:
    """Where the crops begin along an axis, and their side."""
    edge = int(_EDGE * length)
    inside = length - 2 * edge
    side = max(1, min(_SIDE, inside // _CROPS))
    return np.linspace(edge, edge + inside - side, _CROPS).astype(int).tolist(), side
