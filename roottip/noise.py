"""A camera's noise: how strong it is in an image, and the image smoothed where it is too strong."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import overload

import cv2
import numpy as np

from roottip.bands import Changed, Strips
from roottip.windows import BORDER, Image

_CURVED = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
"""Leaves next to nothing of slopes and edges, and 6 times the standard deviation of noise."""

_MEDIAN = 0.6745
"""Median of the absolute values of a normal distribution whose standard deviation is 1."""

_ALIKE = 2 * math.sqrt(math.pi)
"""A Gaussian of b px leaves 1 / (`_ALIKE` b) of noise that is another in each pixel."""

_LEAST = 0.3
"""px. A Gaussian narrower than this hardly reaches the next pixel."""

_REACH = 4
"""How many times its own width a Gaussian is taken to reach."""

_ROWS = 64
"""Rows of a block that is looked at by itself."""

_EVERY = 4
"""One of so many blocks of `_ROWS` rows tells of the noise: enough, and it is quicker."""

_FEWEST = 8
"""Rows of a last block that tells of the noise: where a single one is reflected nothing curves."""


def level(parts: Iterable[Image]) -> float:
    """Estimate the standard deviation of the noise in an image.

    After Immerkaer 1996, Fast noise variance estimation (https://doi.org/10.1006/cviu.1996.0060),
    with a median in place of the mean, for which roots and dirt do not count.

    Parameters
    ----------
    parts : iterable of (H, W) or (H, W, 3) uint8
        The image, or crops of it.

    Returns
    -------
    float
        Grey levels.
    """
    levels = []
    for image in parts:
        for top in range(0, max(1, len(image) - _FEWEST + 1), _EVERY * _ROWS):
            rows = image[top : top + _ROWS]
            curved = cv2.filter2D(rows, cv2.CV_16S, _CURVED, borderType=BORDER)
            # one channel after another in a single row
            size = cv2.convertScaleAbs(curved).reshape(1, -1)
            levels.append(quantile(size, 0.5) / (6 * _MEDIAN))
    return float(np.mean(levels))


def blur_sigma(noise: float, left: float, scale: float) -> float:
    """How wide a Gaussian leaves so much of an image's noise when it is resized as well.

    Parameters
    ----------
    noise, left : float
        Standard deviations, of what there is and of what may stay, grey levels.
    scale : float
        By what factor the image is resized. To make it smaller is to average over squares of
        1 / `scale` px, which does to noise what a Gaussian `_ALIKE` times narrower does.

    Returns
    -------
    float
        Standard deviation of the Gaussian, px before resizing; 0 where none is needed. One
        narrower than a pixel leaves more than is wanted, at 0.3 px half as much again.
    """
    wanted = noise / (_ALIKE * left)
    averaged = 1 / (_ALIKE * min(scale, 1.0))
    width = math.sqrt(max(0.0, wanted**2 - averaged**2))
    return width if width >= _LEAST else 0.0


@overload
def smoothed(image: Image, width: float) -> Image: ...


@overload
def smoothed(image: Strips, width: float) -> Strips: ...


def smoothed(image: Image | Strips, width: float) -> Image | Strips:
    """The image under a Gaussian of `width` px; itself where that is 0."""
    if width == 0:
        return image
    reach = math.ceil(_REACH * width)
    if isinstance(image, Strips):
        return Changed(image, lambda rows, _: smoothed(rows, width), reach)
    side = 2 * reach + 1
    return np.asarray(cv2.GaussianBlur(image, (side, side), width, borderType=BORDER), np.uint8)


def quantile(levels: cv2.typing.MatLike, share: float) -> float:
    """As `numpy.quantile`, but counts the grey levels and sorts nothing, which is quicker."""
    counts = cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel()
    below = np.cumsum(counts.astype(np.int64))
    place = share * (levels.size - 1)
    low, high = np.searchsorted(below, [np.floor(place), np.ceil(place)], side="right")
    return float(low + (place - np.floor(place)) * (high - low))
