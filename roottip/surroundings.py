"""A second look at each find, and at what lies around it, in an image of any size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from roottip import bands
from roottip.bands import Strips
from roottip.windows import BORDER, Image, Points, Scores

WORTH = 0.02
"""Score from which a find is reviewed: fainter ones are many, and hardly ever tips."""

_ROWS = 256
"""Rows of an image whose points are worked through at a time: few, for they are as wide as a scan,
and what lies above and below them is in memory too."""

_BATCH = 32
"""Points whose squares are in memory, and looked at, together."""


class Reviewer(Protocol):
    """Looks at finds again, with more of what is around them."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What to show it.

        ``window`` is the side in px of the squares that it looks at, ``sizes`` how large roots are
        in each of them, times `scale.REFERENCE_WIDTH`.
        """
        ...

    def __call__(self, squares: Image, /) -> Scores:
        """Return what to add to N scores' logits, for ``(N, S, window, window, 3)`` squares."""
        ...


def reviewed(
    review: Reviewer, image: Image | Strips, points: Points, scores: Scores, scale: float
) -> tuple[Points, Scores]:
    """Change the scores of finds by what a review says of them.

    Parameters
    ----------
    review : Reviewer
    image : (H, W) or (H, W, 3) uint8, or Strips
    points : (N, 2) float64
        ``x, y``, px, in the image.
    scores : (N,) float32
        In [0, 1]; those from `WORTH` on are reviewed.
    scale : float
        By what factor the image was resized where the points were found.

    Returns
    -------
    points : (N, 2) float64
        Best first.
    scores : (N,) float32
    """
    worth = np.flatnonzero(scores >= WORTH)
    if len(worth) == 0:
        return points, scores
    evidence = np.zeros(len(points))
    window = review.card["window"]
    sides = [window / (size * scale) for size in review.card["sizes"]]
    for members, squares in surroundings(image, points[worth], sides, window):
        evidence[worth[members]] = review(squares)
    certain = np.finfo(np.float32).eps
    belief = logit(np.clip(scores.astype(np.float64), certain, 1 - certain)) + evidence
    order = np.argsort(-belief, kind="stable")
    return points[order], expit(belief[order]).astype(np.float32)


def surroundings(
    image: Image | Strips, points: Points, sides: Sequence[float], window: int
) -> Iterator[tuple[NDArray[np.intp], Image]]:
    """Cut squares of several sizes around points, in one pass through the image.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8, or Strips
    points : (N, 2) float64
        ``x, y``, px, in the image.
    sides : sequence of float
        Of the S squares around each point, px; rounded to whole pixels.
    window : int
        px that each square's side is resized to.

    Yields
    ------
    members : (n,) intp
        Indices of points; every one once.
    squares : (n, S, window, window, 3) uint8
        Beyond the image's border it is reflected.
    """
    whole = [max(1, round(side)) for side in sides]
    row = np.clip(np.floor(points[:, 1] + 0.5), 0, image.shape[0] - 1)
    members: list[int] = []
    squares: list[list[Image]] = []
    for top, above, band in bands.in_bands(bands.pieces(image), _ROWS, max(whole) // 2 + 1):
        for member in np.flatnonzero((row >= top) & (row < top + _ROWS)).tolist():
            members.append(member)
            place = points[member] - (0, above)
            squares.append([_square(band, place, side, window) for side in whole])
            if len(members) == _BATCH:
                yield np.array(members), _coloured(squares)
                members, squares = [], []
    if members:
        yield np.array(members), _coloured(squares)


def _coloured(squares: list[list[Image]]) -> Image:
    together = np.array(squares)
    return together if together.shape[-1] == 3 else np.repeat(together, 3, axis=-1)


def _square(band: Image, point: Points, side: int, window: int) -> Image:
    """(window, window, 3 or 1): the square around a point, reflected beyond the band's border."""
    left, top = (math.ceil(middle - side / 2) for middle in point)  # as `windows.patches` cuts
    height, width = band.shape[:2]
    # one pixel more than is shown, for half of the square to be reflected in the other half
    end = top + side + 1, left + side + 1
    part = band[max(0, top) : end[0], max(0, left) : end[1]]
    edges = (-top, end[0] - height, -left, end[1] - width)
    above, below, before, after = (max(0, edge) for edge in edges)
    whole = cv2.copyMakeBorder(part, above, below, before, after, BORDER)[:side, :side]
    how = cv2.INTER_AREA if side > window else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(whole, (window, window), interpolation=how), np.uint8)
    return resized if resized.ndim == 3 else resized[:, :, None]
