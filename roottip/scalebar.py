"""The scale bar in an image: a plain horizontal bar whose length in mm the user knows."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip.windows import Image

_LEAST, _MOST = 0.03, 0.7
"""Shares of the image's width that a bar is long."""

_PIECE = 0.02
"""Share of the image's width that a bar is long without a gap, two rows high, wherever it is."""

_MOST_EDGES = 50_000
"""Pixels where what is plain begins or ends in a row. Where there are more it is grain, in which no
bar is plain, and outlines take a time that grows with the square of how many there are."""

_SLENDER = 5.0
"""A bar is so many times longer than high."""

_FULL = 0.95
"""Share of its bounding box that a bar fills; letters and roots fill less."""

_PLAIN = 40.0
"""Grey levels from black or white that a bar may be."""

_CLEAR = 60.0
"""Grey levels by which a bar stands out from what is around it."""

Grey = NDArray[np.float64]


def scale_bar(image: Image) -> float | None:
    """Length of the scale bar that programs and microscopes draw into images.

    A bar is a plain black or white rectangle, much longer than high, level, on ground of another
    brightness, and 4 px and half its height or more from the image's edge.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8

    Returns
    -------
    float or None
        px between the middles of its two edges, where brightness is half way between the bar and
        what is around it; None where there is no bar, or bars of different lengths.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    lengths: list[float] = []
    piece = np.ones((2, max(2, int(_PIECE * grey.shape[1]))), np.uint8)
    for dark in (False, True):
        bright = 255 - grey if dark else grey
        mask = (bright > 255 - _PLAIN).astype(np.uint8)
        # opened by hand: of a piece of even sides OpenCV's own would lie a pixel off
        level = cv2.erode(mask, piece, anchor=(0, 0))
        level = cv2.dilate(level, piece, anchor=(piece.shape[1] - 1, piece.shape[0] - 1))
        if np.count_nonzero(level[:, 1:] != level[:, :-1]) > _MOST_EDGES:
            continue
        for left, top, width, height in _boxes(np.asarray(level, np.uint8)):
            # where it is blurred the outermost rows may be half in, half out
            rim = int(height > 2)
            inside = mask[top + rim : top + height - rim, left : left + width]
            shaped = width >= _SLENDER * height and inside.mean() >= _FULL
            if shaped and _LEAST <= width / grey.shape[1] <= _MOST and height > 1:
                length = _between_edges(bright.astype(np.float64), left, top, width, height)
                lengths += [] if length is None else [length]
    if not lengths or max(lengths) - min(lengths) > 1:
        return None
    return float(np.mean(lengths))


def _boxes(mask: NDArray[np.uint8]) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, width and height of each 4-connected part of a mask off the image's edge.

    Those are the holes of what is left: outlines are 8-connected, and their holes 4-connected. It
    takes a tenth of the time of labelling every pixel.
    """
    outlines, tree = cv2.findContours(1 - mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for n, outline in enumerate(outlines):
        if tree[0, n, 3] >= 0:  # it lies in another one; its pixels are those around the hole
            left, top, width, height = cv2.boundingRect(outline)
            yield left + 1, top + 1, width - 2, height - 2


def _between_edges(bright: Grey, left: int, top: int, width: int, height: int) -> float | None:
    """Length of a bar from its bounding box; None where it does not stand out all around."""
    around = max(4, height // 2)
    frame = (top - around, top + height + around, left - around, left + width + around)
    if min(frame) < 0 or frame[1] > bright.shape[0] or frame[3] > bright.shape[1]:
        return None
    cut = bright[frame[0] : frame[1], frame[2] : frame[3]]
    ground = np.concatenate([cut[0], cut[-1], cut[:, 0], cut[:, -1]])
    level = bright[top : top + height, left : left + width].mean()
    if level - np.percentile(ground, 95) < _CLEAR:
        return None
    # in the rows inside the bar, so that its corners do not matter
    inside = slice(around, around + height) if height < 3 else slice(around + 1, -around - 1)
    profile = cut[inside].mean(axis=0)
    middle = np.median(profile[len(profile) // 4 : -len(profile) // 4])
    share = (profile - np.median(ground)) / (middle - np.median(ground))
    # what an edge has lost inside, it has gained outside: the sum is the length
    return float(share.sum())
