"""An image's contrast raised about the level of its ground, which may change across the image."""

from __future__ import annotations

from functools import partial
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip import bands
from roottip.bands import Strips
from roottip.windows import Image

_WINDOW = 31
"""px, the side of the square whose median is the ground, where roots are a pixel wide: roots,
seeds and bundles fill less than half of it."""

_SMOOTH = 3.0
"""px there, of a Gaussian. Grey levels are whole, so the ground has steps, which would be raised
with the rest."""

_ROOM = 70.0
"""Grey levels kept on both sides of the ground for what stands out from it, if the image has as
many."""

_SIDE = 3000
"""px of a side of the small copy at most: the ground of a scan of fine roots is a median over more,
but its memory does not grow with the scan."""


@overload
def raised(image: Image, gain: float, width: float) -> Image: ...


@overload
def raised(image: Strips, gain: float, width: float) -> Strips: ...


def raised(image: Image | Strips, gain: float, width: float) -> Image | Strips:
    """Raise the contrast about the ground around each pixel.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8, or Strips
    gain : float
        By what factor; the image itself is returned where it is 1.
    width : float
        Of the roots in the image, px: the ground is a median over 31 times as much.
    """
    if gain == 1.0:
        return image
    small = bands.shrunk(image, min(_SIDE, max(1, round(max(image.shape[:2]) / width))))
    added = cv2.medianBlur(small, _WINDOW).astype(np.float32)
    cv2.GaussianBlur(added, (0, 0), _SMOOTH, dst=added, borderType=cv2.BORDER_REPLICATE)
    for ground in added:  # a row at a time: another copy of a scan's would be large
        low, high = np.minimum(gain * ground, _ROOM), np.minimum(gain * (255 - ground), _ROOM)
        ground[...] = np.clip(ground, low, 255 - high) - gain * ground
    change = partial(_changed, gain=gain, added=added, shape=image.shape)
    changed = bands.Changed(image, change)
    return changed if isinstance(image, Strips) else np.concatenate(list(changed))


def _changed(
    rows: Image, top: int, gain: float, added: NDArray[np.float32], shape: tuple[int, ...]
) -> Image:
    down, right = (small / side for small, side in zip(added.shape, shape[:2], strict=False))
    # the corners of both stay in place; centres of pixels are whole numbers
    place = np.array([[right, 0, right / 2 - 0.5], [0, down, (top + 0.5) * down - 0.5]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    here = cv2.warpAffine(
        added, place, rows.shape[1::-1], flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.addWeighted(rows, gain, here, 1, 0, dtype=cv2.CV_8U), np.uint8)
