"""Filters that the detectors made by hand share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip import windows
from roottip.errors import InputError

Floats = NDArray[np.floating[Any]]

_LONGEST = 32_767
"""px; `cv2.remap` reads no longer images."""


def second_derivatives(image: Floats, sigma: float) -> tuple[Floats, Floats, Floats]:
    """Of the image smoothed by a Gaussian, times sigma² (Lindeberg's normalisation)."""
    reach = int(4 * sigma + 0.5)
    t = np.arange(-reach, reach + 1)
    smooth = np.exp(-(t**2) / (2 * sigma**2))
    smooth /= smooth.sum()
    first, second = -t / sigma * smooth, (t**2 / sigma**2 - 1) * smooth

    def convolve(along_x: NDArray[np.float64], along_y: NDArray[np.float64]) -> Floats:
        # OpenCV correlates; the two odd kernels' signs cancel
        filtered = cv2.sepFilter2D(image, cv2.CV_32F, along_x, along_y, borderType=windows.BORDER)
        return np.asarray(filtered, dtype=np.float32)

    return convolve(second, smooth), convolve(first, first), convolve(smooth, second)


def ridge_strength(maps: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats]:
    """How strongly a bright ridge runs through each pixel, and a dark one; below 0 where none does.

    Of `second_derivatives`: the negative least and the greatest eigenvalue of the Hessian
    (Lindeberg 1998, International Journal of Computer Vision 30:117).
    """
    xx, xy, yy = maps
    half_trace, half_difference = (xx + yy) / 2, (xx - yy) / 2
    # cv2.magnitude rounds by where in memory a number lies: the same image, another answer
    spread = np.sqrt(half_difference * half_difference + xy * xy)
    return spread - half_trace, spread + half_trace


def sample(values: Floats, x: Floats, y: Floats) -> Floats:
    """Values of a map between its pixels, bilinear; beyond the border reflected.

    Raises
    ------
    InputError
        The map is longer than OpenCV can sample.
    """
    if max(values.shape) >= _LONGEST:
        raise InputError(
            f"an image that is {max(values.shape)} px long where its roots are 5 px wide is too "
            "long for this detector; use detector=cnn, or cut it into parts"
        )
    x, y = np.broadcast_arrays(x, y)
    # remap takes two-dimensional lists of places, of less than 32768 a side
    side = 1024
    places = np.zeros((2, -(-max(x.size, 1) // side), side), dtype=np.float32)
    for place, coordinate in zip(places.reshape(2, -1), (x, y), strict=True):
        place[: x.size] = coordinate.ravel()
    sampled = cv2.remap(values, places[0], places[1], cv2.INTER_LINEAR, borderMode=windows.BORDER)
    return np.asarray(sampled, dtype=np.float32).ravel()[: x.size].reshape(x.shape)
