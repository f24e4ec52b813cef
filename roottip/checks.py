"""What arrays must be that a user's own code hands over: images, and a scorer's answers."""

from __future__ import annotations

import numpy as np

from roottip.errors import InputError
from roottip.windows import Centres, Image, Points, Scores


def check_image(image: Image) -> Image:
    """An image that anybody handed over, ``(H, W)`` or ``(H, W, 3)`` of at least one pixel.

    As a plain array: of NumPy's matrix a row still has rows.

    Raises
    ------
    InputError
        It is none, or not uint8; says what it is instead.
    """
    fits, told = False, type(image).__name__  # Pillow's images are no arrays
    if isinstance(image, np.ndarray):
        fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        fits = fits and image.dtype == np.uint8 and image.size > 0
        told = f"{image.dtype} of shape {image.shape}"
    if not fits:
        raise InputError(
            f"an image must be uint8 of shape (H, W) or (H, W, 3), not {told}; roottip.read_image "
            "gives the right one"
        )
    return np.asarray(image)


def check_scores(scores: object, count: int) -> Scores:
    """The scores that anybody's function gave to `count` windows.

    Raises
    ------
    InputError
        They are not one number from 0 to 1 for each.
    """
    try:
        given = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != (count,):
        shape = getattr(scores, "shape", type(scores).__name__)
        raise InputError(
            f"the scorer returned {shape} for {count} windows; it must return one number for each"
        )
    if not ((given >= 0) & (given <= 1)).all():
        wrong = given[~((given >= 0) & (given <= 1))][0]
        raise InputError(f"the scorer gave a window {wrong:g}; scores are from 0 to 1")
    return given.astype(np.float32)


def check_places(places: object, centres: Centres) -> Points:
    """Where somebody's function saw a tip in each window.

    Raises
    ------
    InputError
        They are not two finite numbers for each.
    """
    try:
        given = np.asarray(places, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != centres.shape or not np.isfinite(given).all():
        shape = getattr(places, "shape", type(places).__name__)
        raise InputError(
            f"the scorer's look returned places of {shape} for {len(centres)} windows; it must "
            "return x and y, finite, for each"
        )
    return given
