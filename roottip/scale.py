"""How wide and how plain the roots of an image are, so that no user has to set a scale.

Detectors see every image resized so that its roots are `REFERENCE_WIDTH` wide; window size,
stride and suppression radius then mean the same on a scan and on a photograph of a plate. Where
roots hardly stand out, as on a photograph that is too dark, their contrast is raised; and what is
noisy then is smoothed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip import noise
from roottip.bands import in_bands
from roottip.errors import check_number
from roottip.windows import BORDER, Image, Points

REFERENCE_WIDTH = 5.0
"""Root width in px that detectors work at."""

NARROWEST = 0.5
"""Root width in px that can be given at least."""

SMALLEST, LARGEST = 0.2, 2.0
"""Limits of the resizing. Beyond 2 an enlarged image holds no more than the original did;
below 0.2 the estimate has taken something else, a clamp or a shoot, for a root."""

_SNAP = 0.2
"""Within this of 1 an image is left as it is: resizing blurs, and scorers bear more than that."""

_BIAS = 0.95
"""What the measure below reads on roots whose width by eye is 1 (5 px in `osr`, read as 4.75)."""

_LONG = 10.0
"""A root is this many times longer than wide; seeds, dirt and letters are not."""

_WIDEST = 3.0
"""What is wider than this many times the median is no root but the shoot that it grows from."""

_CLEAR = 0.6
"""Quantile of the contrast above which more of it counts no more: shoots have the most."""

_MARGIN = 0.05
"""Share of the image left out along each edge: plate rims and paper edges are long and thin."""

_STEP = 33
"""px. Where the background itself changes by more than a line's contrast within half as far, the
line is the edge of a plate or of a sheet that lies on something else."""

_UNLIKE = 0.5
"""So is a line whose two sides differ by more than this times its contrast, in any channel."""

PLAIN = 40.0
"""Grey levels that roots stand out by at least: contrast below is raised to this."""

NOISE = 4.0
"""Grey levels, the standard deviation of what noise is left when the contrast is raised: scorers
know little of stronger noise."""

_CLEAN = 1 / 15
"""Of the roots' contrast, what noise is left where their width is measured: in more they fall into
pieces, which are narrower."""

_BESIDE = 25
"""px from a root's centre line to where its ground is looked at."""

EIGHTH = 8
"""Large images are resized by 8 / n with a whole n: n of their rows become 8 rows, whatever the
band they are in. The steps are finer than what `_SNAP` leaves as it is."""

_BLOCKS = 4
"""Rows of such blocks that are resized at a time: few, for they are as wide as the image."""


@dataclass(frozen=True)
class Adjustment:
    """How to change an image so that its roots look as detectors know them.

    Attributes
    ----------
    scale : float
        By what factor to resize it so that roots are `REFERENCE_WIDTH` px wide: 1 where no
        root-like structure is found, and for estimates close to 1.
    gain : float
        By what factor to raise contrast so that roots stand out by `PLAIN` grey levels; at least 1.
    ground : tuple of float
        The level of each channel that stays as it is: that of the ground around roots.
    blur : float
        Standard deviation of the Gaussian to smooth it with, px before resizing; 0 where its noise
        is weak.
    """

    scale: float
    gain: float = 1.0
    ground: tuple[float, ...] = ()
    blur: float = 0.0

    def raised(self, image: Image) -> Image:
        """(..., C) uint8 of any shape, or (H, W): its contrast raised; itself where that is 1."""
        if self.gain == 1.0:
            return image
        ground = np.array(self.ground)
        levels = ground + self.gain * (np.arange(256)[:, None] - ground)
        table = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        # OpenCV knows no images of more than two dimensions and channels
        pixels = image.reshape(-1, 1, len(ground))
        return np.asarray(cv2.LUT(pixels, table[:, None]), np.uint8).reshape(image.shape)

    def __call__(self, image: Image) -> Image:
        """The image as detectors see it: smoothed, resized, then its contrast raised."""
        return self.raised(resize(noise.smoothed(image, self.blur), self.scale))


def adjustment(image: Image | Sequence[Image], root_width: float | None = None) -> Adjustment:
    """Measure how an image is to be changed for detectors.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8, or a list of them
        A list holds crops of one image, measured together.
    root_width : float, optional
        Typical root width in px of this image. Estimated from the image where not given.
    """
    parts = [image] if isinstance(image, np.ndarray) else image
    scale = 1.0 if root_width is None else _limited(REFERENCE_WIDTH / root_width)
    roots = measured(resize(part, scale) for part in parts)
    if roots is None:
        return Adjustment(scale)
    level, most = noise.level(parts), _CLEAN * roots.contrast

    def smoothed(scale: float) -> Lines | None:
        """Measure the image resized, with no more noise than that."""
        blur = noise.blur(level, most, scale)
        return measured(resize(noise.smoothed(part, blur), scale) for part in parts)

    if noise.blur(level, most, scale) > 0:
        roots = smoothed(scale)
    if root_width is None and roots is not None:
        # the measure is truest near the reference width: measure, resize, again
        scale = _limited(REFERENCE_WIDTH / roots.width)
        if abs(np.log(scale)) >= _SNAP:
            roots = smoothed(scale)
            scale = 1.0 if roots is None else _limited(scale * REFERENCE_WIDTH / roots.width)
        if abs(np.log(scale)) < _SNAP:
            scale = 1.0
    if roots is None:
        return Adjustment(scale)
    gain = max(1.0, PLAIN / roots.contrast)
    blur = noise.blur(gain * level, NOISE, scale)
    return Adjustment(scale, gain, roots.ground, blur)


def check_width(root_width: object) -> None:
    """Refuse a width of roots, in px, that can be none; None, which is to be estimated, is fine.

    Raises
    ------
    InputError
        It is no number, or below `NARROWEST`.
    """
    if root_width is not None:
        check_number("root_width", root_width, NARROWEST)


def _limited(scale: float) -> float:
    return float(np.clip(scale, SMALLEST, LARGEST))


def resize(image: Image, scale: float) -> Image:
    """The image resized by `scale`, averaging where it shrinks; itself where `scale` is 1."""
    if scale == 1.0:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def rescaled(points: Points, ratio: float | NDArray[np.float64]) -> Points:
    """Points, px, in an image of `ratio` times the size, which may differ across and down.

    The centre of the top-left pixel is (0, 0) in both, so it is the corners that stay in place.
    """
    return np.asarray((points + 0.5) * ratio - 0.5, dtype=np.float64)


def in_eighths(scale: float) -> int:
    """The whole number nearest to `EIGHTH` / scale."""
    return round(EIGHTH / scale)


def resized(strips: Iterable[Image], height: int, eighths: int) -> Iterator[Image]:
    """Resize a large image by `EIGHTH` / `eighths`, piece by piece.

    Its right and lower border are reflected as far as is needed for whole blocks of `eighths`
    px, so every pixel is the same in any band.

    Parameters
    ----------
    strips : iterable of (h, W) or (h, W, 3) uint8
        All its rows, from the top down.
    height : int
        How many those are.
    eighths : int

    Yields
    ------
    (h, W') or (h, W', 3) uint8
        All rows of the resized image; its sides are ``ceil(side / eighths) * EIGHTH``.
    """
    step = _BLOCKS * eighths
    # a block of neighbours: for enlarged pixels, and to reflect when a last band has too few rows
    for top, start, band in in_bands(strips, step, halo=eighths):
        below = -height % eighths if start + len(band) == height else 0
        right = -band.shape[1] % eighths
        whole = cv2.copyMakeBorder(band, 0, below, 0, right, BORDER)
        if eighths != EIGHTH:
            size = [side * EIGHTH // eighths for side in whole.shape[1::-1]]
            method = cv2.INTER_AREA if eighths > EIGHTH else cv2.INTER_CUBIC
            whole = cv2.resize(whole, size, interpolation=method)
        first = (top - start) * EIGHTH // eighths
        yield np.asarray(whole[first : first + _BLOCKS * EIGHTH], dtype=np.uint8)


@dataclass(frozen=True)
class Lines:
    """What long thin structures in an image look like.

    Attributes
    ----------
    width : float
        Typical one, px.
    contrast : float
        To the ground, in the clearest channel, grey levels.
    ground : tuple of float
        Level of each channel beside them.
    """

    width: float
    contrast: float
    ground: tuple[float, ...]


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
    counts no more, and widths beyond `_WIDEST` not at all.
    """
    lines = []
    for image in parts:
        top, left = (int(_MARGIN * side) for side in image.shape[:2])
        inside = image[top : image.shape[0] - top, left : image.shape[1] - left]
        channel, background, rough = clearest_channel(inside)
        step = cv2.morphologyEx(background, cv2.MORPH_GRADIENT, np.ones((_STEP, _STEP), np.uint8))
        least = np.maximum(step, np.uint8(min(255, 5 * rough)))
        bright = _centre_lines(inside, cv2.subtract(channel, background), least)
        lines.append((bright, _centre_lines(inside, cv2.subtract(background, channel), least)))
    # bright lines of all crops, then dark ones
    sides = [np.concatenate(side, axis=1) for side in zip(*lines, strict=True)]
    width, contrast, *ground = max(sides, key=lambda side: float(side[1].sum()))
    if len(width) == 0:
        return None
    clear = float(np.quantile(contrast, _CLEAR))
    weight = np.minimum(contrast, clear) ** 2
    order = np.argsort(width)
    below = np.cumsum(weight[order])
    median = width[order][np.searchsorted(below, below[-1] / 2)]
    root = width <= _WIDEST * median
    typical = float(np.sqrt(np.average(width[root] ** 2, weights=weight[root])))
    return Lines(typical / _BIAS, clear, tuple(float(np.median(levels)) for levels in ground))


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


def _centre_lines(image: Image, contrast: cv2.typing.MatLike, least: Image) -> NDArray[np.float64]:
    """Look at the centre-line pixels of long structures.

    Returns
    -------
    (2 + C, N) float64
        Full width at half maximum, contrast, and the level of each channel beside the structure.
    """
    channels = 1 if image.ndim == 2 else image.shape[2]
    top = cv2.dilate(contrast, np.ones((25, 25), np.uint8))
    mask = cv2.compare(contrast, np.maximum(np.right_shift(top, 1), least), cv2.CMP_GT)
    if not cv2.hasNonZero(mask):
        return np.empty((2 + channels, 0))
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    x, y = cv2.findNonZero(mask).reshape(-1, 2).T
    highest = inside[y, x] >= cv2.dilate(inside, np.ones((3, 3), np.uint8))[y, x]
    x, y = x[highest], y[highest]
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    component = labels[y, x]
    width = 2 * inside[y, x].astype(np.float64) - 1
    length = np.bincount(component, minlength=count)
    mean_width = np.bincount(component, width, minlength=count) / np.maximum(length, 1)
    is_long = (length > np.maximum(_LONG * mean_width, 8 * REFERENCE_WIDTH))[component]
    x, y, width = x[is_long], y[is_long], width[is_long]
    height, breadth = mask.shape
    places = (-_BESIDE, 0), (_BESIDE, 0), (0, -_BESIDE), (0, _BESIDE), (0, 0)
    levels = [
        image[np.clip(y + down, 0, height - 1), np.clip(x + right, 0, breadth - 1)]
        for down, right in places
    ]
    *around, here = np.array(levels, np.float64).reshape(5, len(x), channels)
    beside = np.array(around)
    unlike = np.abs(beside[::2] - beside[1::2]).max(axis=(0, 2))
    # two of the four places lie on a straight root itself
    off = np.abs(beside - here).sum(axis=2).argmax(axis=0)
    ground = beside[off, np.arange(len(x))]
    found: NDArray[np.float64] = np.vstack([width, contrast[y, x], ground.T])
    return found[:, unlike <= _UNLIKE * found[1]]
