"""How wide and how plain the roots of an image are, so that no user has to set a scale.

Detectors see every image resized so that its roots are `REFERENCE_WIDTH` wide; window size,
stride and suppression radius then mean the same on a scan and on a photograph of a plate. Where
roots hardly stand out, as on a photograph that is too dark, their contrast is raised; and what is
noisy then is smoothed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip import contrast, noise
from roottip.bands import Strips, in_bands
from roottip.errors import check_number
from roottip.lines import Lines, measured
from roottip.windows import BORDER, Image, Points

REFERENCE_WIDTH = 5.0
"""Root width in px that detectors work at."""

NARROWEST, WIDEST = 0.5, 200.0
"""Root width in px that can be given at least and at most; wider ones would not be seen."""

SMALLEST, LARGEST = 0.2, 3.0
"""Limits of the resizing. Enlarged, an image holds no more than it did, but scorers know no finer
roots; beyond 3 it takes longer and nothing is gained. Below 0.2 the estimate has taken something
else, a clamp or a shoot, for a root."""

_FINE = 1.5
"""Lines of a px or two look wider than they are. So where roots are to be enlarged by this or more,
their width is measured a third time, in the enlarged image. Not more often: in large grain roots
fall into pieces, which are narrower each time."""

_COARSE, _WIDE = 0.25, 25.0
"""Roots of 25 px or more are looked for in a quarter of the size: in an image as it is they are
half of what the median takes for their background, and not seen."""

_SMALLEST_OF_WIDE = 0.05
"""In place of `SMALLEST` where roots are seen, or said, to be wide."""

_SOME, _PLAINER = 0.3, 2.0
"""Roots are taken to be so wide where, in that size, their centre lines together are 0.3 times as
long as the image's side, and have twice the contrast in all of the lines in the image as it is."""

_FAINT = 1.6
"""Contrast that is to be raised by as much or more is raised before widths are measured: near the
noise of whole grey levels lines lose their edges."""

_SNAP = 0.2
"""Where the logarithm of the scale is nearer to 0 than this (0.82 to 1.22) an image is left as it
is: resizing blurs, and scorers bear more than that."""

PLAIN = 40.0
"""Grey levels that roots stand out by at least: contrast below is raised to this."""

NOISE = 4.0
"""Grey levels, the standard deviation of what noise is left when the contrast is raised: scorers
know little of stronger noise."""

_CLEAN = 1 / 15
"""Noise left where widths are measured, as a share of the roots' contrast: in more they fall into
pieces, which are narrower."""

EIGHTH = 8
"""Large images are resized by 8 / n with a whole n: n of their rows become 8 rows, whatever the
band they are in. No scale is farther from one of these than what `_SNAP` leaves as it is."""

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
    blur : float
        Standard deviation of the Gaussian to smooth it with, px before resizing; 0 where its noise
        is weak.
    """

    scale: float
    gain: float = 1.0
    blur: float = 0.0

    @overload
    def prepared(self, image: Image) -> Image: ...

    @overload
    def prepared(self, image: Strips) -> Strips: ...

    def prepared(self, image: Image | Strips) -> Image | Strips:
        """The image in its own size, smoothed, then its contrast raised."""
        smooth = noise.smoothed(image, self.blur)
        return contrast.raised(smooth, self.gain, REFERENCE_WIDTH / self.scale)

    def __call__(self, image: Image) -> Image:
        """The image as detectors see it: prepared, then resized."""
        return resize(self.prepared(image), self.scale)


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
    if root_width is None:
        scale = 1.0
        roots, wide = _roots(parts)
    else:
        scale, wide = _limited(REFERENCE_WIDTH / root_width, _SMALLEST_OF_WIDE), False
        roots = measured(resize(part, scale) for part in parts)
    if roots is None:
        return Adjustment(scale)
    before = roots.contrast
    level, most = noise.level(parts), _CLEAN * before
    raising = PLAIN / before if PLAIN / before >= _FAINT else 1.0

    def plainer(scale: float) -> Lines | None:
        """Lines of the image resized, its noise smoothed to `most` and faint contrast raised.

        Raising cuts off the darkest and brightest levels, so no contrast comes out lower than what
        was measured before it.
        """
        blur = noise.blur_sigma(level, most, scale)
        # resized first: edges of few grey levels, raised, would make wide lines wider
        small = (resize(noise.smoothed(part, blur), scale) for part in parts)
        lines = measured(contrast.raised(part, raising, REFERENCE_WIDTH) for part in small)
        if lines is None or raising == 1.0:
            return lines
        return replace(lines, contrast=max(lines.contrast / raising, before))

    def again(scale: float) -> tuple[Lines | None, float]:
        """Lines of the image resized, and the scale that they ask for."""
        lines = plainer(scale)
        return lines, 1.0 if lines is None else _limited(scale * REFERENCE_WIDTH / lines.width)

    if not wide and (raising > 1.0 or noise.blur_sigma(level, most, scale) > 0):
        roots = plainer(scale)
    if root_width is None and roots is not None:
        scale = _limited(REFERENCE_WIDTH / roots.width, _SMALLEST_OF_WIDE if wide else SMALLEST)
        # the measure is truest near the reference width, so again there; but where roots are wide
        # it was nearer in a quarter of the size: much smaller, shoots are the only long lines left
        if abs(np.log(scale)) >= _SNAP and not wide:
            roots, scale = again(scale)
            if scale >= _FINE:
                roots, scale = again(scale)
        if abs(np.log(scale)) < _SNAP:
            scale = 1.0
    if roots is None:
        return Adjustment(scale)
    gain = max(1.0, PLAIN / roots.contrast)
    blur = noise.blur_sigma(gain * level, NOISE, scale)
    return Adjustment(scale, gain, blur)


def _roots(parts: Sequence[Image]) -> tuple[Lines | None, bool]:
    """The roots of an image, as wide as they are in it, and whether they are so wide as `_WIDE`.

    Where it has few lines as it is, those may be the texture of such roots.
    """
    roots = measured(parts)
    side = float(np.sqrt(sum(part.shape[0] * part.shape[1] for part in parts)))
    if roots is not None and roots.length >= side:
        return roots, False
    wide = measured(resize(part, _COARSE) for part in parts)
    if (
        wide is not None
        and wide.width >= _COARSE * _WIDE
        and wide.length >= _COARSE * _SOME * side
        and (roots is None or wide.evidence >= _COARSE * _PLAINER * roots.evidence)
    ):
        return replace(wide, width=wide.width / _COARSE), True
    return roots, False


def check_width(root_width: object) -> None:
    """Refuse a width of roots, in px, that can be none; None, which is to be estimated, is fine.

    Raises
    ------
    InputError
        It is no number, or not from `NARROWEST` to `WIDEST`.
    """
    if root_width is not None:
        check_number("root_width", root_width, NARROWEST, WIDEST)


def _limited(scale: float, least: float = SMALLEST) -> float:
    return float(np.clip(scale, least, LARGEST))


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
