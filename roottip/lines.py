"""Long thin structures in an image: how wide they are, and how much they stand out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip import noise
from roottip.ruled import on_lines
from roottip.windows import Image

_BIAS = 0.95
"""What the measure below reads on roots whose width by eye is 1 (5 px in `osr`, read as 4.75)."""

_LONG = 10.0
"""A root is this many times longer than wide; seeds, dirt and letters are not."""

_SHORTEST = 40.0
"""px of centre line that a root has at least."""

_WIDEST = 3.0
"""What is wider than this many times the median is no root but the shoot that it grows from."""

_CLEAR = 0.6
"""Quantile of the contrast above which more of it counts no more: shoots have the most."""

_NEARBY = 25
"""px, the side of the square whose highest contrast a pixel is held against."""

_ROUGH = 5.0
"""What is part of a line stands out by more than so many times the background's roughness."""

_MARGIN = 0.05
"""Share of the image left out along each edge: plate rims and paper edges are long and thin."""

_STEP = 33
"""px. Where the background itself changes by more than a line's contrast within half as far, the
line is the edge of a plate or of a sheet that lies on something else."""

_UNLIKE = 0.5
"""So is a line whose two sides differ by more than this times its contrast, in any channel."""

_BESIDE = 25
"""px from a root's centre line to where its ground is looked at."""


@dataclass(frozen=True)
class Lines:
    """What long thin structures in an image look like.

    Attributes
    ----------
    width : float
        Typical one, px.
    contrast : float
        To the ground, in the clearest channel, grey levels.
    length : int
        Pixels of their centre lines.
    evidence : float
        Contrast of all of these together.
    """

    width: float
    contrast: float
    length: int
    evidence: float


def measured(parts: Iterable[Image]) -> Lines | None:
    """Measure the long thin structures in an image; None where there are none.

    The image may come in several crops, one after another; each has a channel and a noise of its
    own.

    Pixels above half of the local contrast to a median-filtered background form a mask; twice
    its distance transform less one, on the mask's centre lines, is the local full width at half
    maximum.
    Long components count, the bright or the dark ones, whichever have more contrast; each
    centre-line pixel with its squared contrast, in a quadratic mean: roots outvote root hairs.
    Shoots and leaf stalks are fewer, but wide and of much contrast: contrast beyond `_CLEAR`
    counts no more, and widths beyond `_WIDEST` not at all. The lines of a grid count where there
    is nothing else.
    """
    lines = []
    for image in parts:
        top, left = (int(_MARGIN * side) for side in image.shape[:2])
        inside = image[top : image.shape[0] - top, left : image.shape[1] - left]
        channel, background, rough = clearest_channel(inside)
        step = cv2.morphologyEx(background, cv2.MORPH_GRADIENT, np.ones((_STEP, _STEP), np.uint8))
        least = np.maximum(step, least_of(rough))
        bright = _centre_lines(inside, cv2.subtract(channel, background), least)
        lines.append((bright, _centre_lines(inside, cv2.subtract(background, channel), least)))
    # bright lines of all crops, then dark ones
    sides = [np.concatenate(side, axis=1) for side in zip(*lines, strict=True)]
    unruled = [side[:, side[0] == 0] for side in sides]
    if any(side.shape[1] >= _SHORTEST for side in unruled):
        sides = unruled
    _, width, contrast = max(sides, key=lambda side: float(side[2].sum()))
    if len(width) == 0:
        return None
    clear = float(np.quantile(contrast, _CLEAR))
    weight = np.minimum(contrast, clear) ** 2
    order = np.argsort(width)
    below = np.cumsum(weight[order])
    median = width[order][np.searchsorted(below, below[-1] / 2)]
    root = width <= _WIDEST * median
    typical = float(np.sqrt(np.average(width[root] ** 2, weights=weight[root])))
    return Lines(typical / _BIAS, clear, len(width), float(contrast.sum()))


def clearest_channel(image: Image) -> tuple[Image, Image, float]:
    """Pick the colour channel whose structure stands out most.

    Returns
    -------
    channel : (H, W) uint8
        Averaged over 3 x 3 px.
    background : (H, W) uint8
        Its median over some 60 px.
    rough : float
        Median difference of the two, plus 1: grey levels, never 0.
    """
    height, width = image.shape[:2]
    quarter = (max(1, width // 4), max(1, height // 4))
    best: tuple[float, int, cv2.typing.MatLike, float] | None = None
    # of whole blocks of 4 x 4 px OpenCV makes a pixel each in a third of the time
    blocks = image[: 4 * quarter[1], : 4 * quarter[0]]
    coarse = cv2.resize(blocks, quarter, interpolation=cv2.INTER_AREA)
    medians = cv2.split(cv2.medianBlur(coarse, 15))
    for channel, (small, background) in enumerate(zip(cv2.split(coarse), medians, strict=True)):
        difference = cv2.absdiff(small, background)
        rough = noise.quantile(difference, 0.5) + 1
        clarity = noise.quantile(difference, 0.99) / rough
        if best is None or clarity > best[0]:
            best = (clarity, channel, background, rough)
    assert best is not None  # an image has a channel
    _, channel, background, rough = best
    smooth = np.asarray(cv2.blur(cv2.extractChannel(image, channel), (3, 3)), dtype=np.uint8)
    large = cv2.resize(background, (width, height), interpolation=cv2.INTER_LINEAR)
    return smooth, np.asarray(large, dtype=np.uint8), rough


def least_of(rough: float) -> np.uint8:
    """The least contrast, grey levels, that is more than the roughness of the background."""
    return np.uint8(min(255, _ROUGH * rough))


def standing_out(contrast: cv2.typing.MatLike, least: Image | np.uint8) -> cv2.typing.MatLike:
    """Mask, 255 where the contrast is above `least` and above half of the highest nearby."""
    top = cv2.dilate(contrast, np.ones((_NEARBY, _NEARBY), np.uint8))
    return cv2.compare(contrast, np.maximum(np.right_shift(top, 1), least), cv2.CMP_GT)


def _centre_lines(image: Image, contrast: cv2.typing.MatLike, least: Image) -> NDArray[np.float64]:
    """Look at the centre-line pixels of long structures.

    Returns
    -------
    (3, N) float64
        Whether it is on a grid's line, full width at half maximum, contrast.
    """
    mask = standing_out(contrast, least)
    if not cv2.hasNonZero(mask):
        return np.empty((3, 0))
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    x, y = cv2.findNonZero(mask).reshape(-1, 2).T
    highest = inside[y, x] >= cv2.dilate(inside, np.ones((3, 3), np.uint8))[y, x]
    x, y = x[highest], y[highest]
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    component = labels[y, x]
    width = 2 * inside[y, x].astype(np.float64) - 1
    length = np.bincount(component, minlength=count)
    mean_width = np.bincount(component, width, minlength=count) / np.maximum(length, 1)
    is_long = (length > np.maximum(_LONG * mean_width, _SHORTEST))[component]
    x, y, width = x[is_long], y[is_long], width[is_long]
    height, breadth = mask.shape
    ruled = on_lines(x, y, (height, breadth))
    layers = image.reshape(height, breadth, -1)
    places = (-_BESIDE, 0), (_BESIDE, 0), (0, -_BESIDE), (0, _BESIDE)
    beside = [
        layers[np.clip(y + down, 0, height - 1), np.clip(x + right, 0, breadth - 1)]
        for down, right in places
    ]
    levels = np.array(beside, np.float64)
    unlike = np.abs(levels[::2] - levels[1::2]).max(axis=(0, 2))
    found: NDArray[np.float64] = np.vstack([ruled, width, contrast[y, x]])
    return found[:, unlike <= _UNLIKE * found[2]]
