"""The sliding window that every detector shares.

A window is a square cut of the image and is named by its centre pixel ``(x, y)``; the centre
of the top-left pixel is ``(0, 0)``. The image's border is reflected (without repeating the
edge pixel), so that every pixel, a corner too, can be a centre.

All functions here are plain: arrays in, arrays out.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from roottip.errors import InputError

Image = NDArray[np.uint8]
Centres = NDArray[np.int32]
Points = NDArray[np.float64]
Scores = NDArray[np.float32]

BORDER = cv2.BORDER_REFLECT_101

NEAR = 12
"""px of a centre within which something must be for its window to be foreground."""

BLOCK = 4
"""px of the blocks over which an image is averaged to find its foreground: it keeps the filter
cheap and is finer than any root's surroundings."""

FOREGROUND_REACH = NEAR + 9 * BLOCK
"""How far around a centre `foreground` looks, px: 8 blocks of its blur, and the centre's own."""


def lattice(length: int, stride: int) -> NDArray[np.int32]:
    """Window centres along one axis: ``stride`` apart, the remainder shared by both ends.

    Parameters
    ----------
    length : int
        Pixels along the axis, at least 1.
    stride : int
        Pixels from one centre to the next, at least 1.

    Returns
    -------
    (n,) int32
        Rising; every pixel is at most ``stride / 2`` from one of them.

    Raises
    ------
    InputError
        One of them is less than 1.
    """
    if length < 1 or stride < 1:
        raise InputError(
            f"a grid needs a length and a stride of at least 1 px, not {length} and {stride}"
        )
    return np.arange((length - 1) % stride // 2, length, stride, dtype=np.int32)


def grid(
    shape: tuple[int, ...],
    stride: int,
    rows: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
) -> Centres:
    """Centres of all windows over an image, row by row.

    Parameters
    ----------
    shape : tuple
        The image's shape, ``(H, W)`` or ``(H, W, 3)``.
    stride : int
        Pixels between neighbouring centres, along both axes.
    rows, columns : (first, end), optional
        Only those with ``first <= y < end``, or ``x``, of the very same grid.

    Returns
    -------
    (N, 2) int32
        ``x, y`` of each centre; along each axis every pixel is within half a stride of one.
    """
    along = []
    for length, limits in ((shape[1], columns), (shape[0], rows)):
        centres = lattice(length, stride)
        first, last = np.searchsorted(centres, limits or (0, length))
        along.append(centres[first:last])
    x, y = np.meshgrid(*along)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def foreground(
    image: Image, centres: Centres, contrast: float = 2.25, noise: float | None = None
) -> NDArray[np.bool_]:
    """Which windows have anything in their middle: those on empty background are dropped.

    Empty is where no channel differs from its surroundings (a difference of Gaussians, 2 px
    against 8 px) by more than `contrast` times the image's own noise, anywhere within
    `NEAR` px of the centre. The noise is the median absolute response, which plain background
    sets in any photograph of roots; it is never taken below one grey level, so that a smooth
    drawing has an empty background too.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    centres : (N, 2) int32
    contrast : float
        Multiples of the noise. `scripts/measure_foreground.py` prints what each value
        keeps and loses on annotated images.
    noise : float, optional
        The image's own, where `image` is a band of it; measured where not given.

    Returns
    -------
    (N,) bool
    """
    height, width = image.shape[:2]
    structure = structures(image)
    if noise is None:
        noise = typical([structure])
    side = 2 * -(-NEAR // BLOCK) + 1
    mask = cv2.dilate((structure > contrast * noise).astype(np.uint8), np.ones((side, side)))
    rows, columns = structure.shape
    centres = centres.astype(np.int64)  # a scan's width times its blocks is beyond 32 bits
    column = np.minimum(centres[:, 0] * columns // width, columns - 1)
    row = np.minimum(centres[:, 1] * rows // height, rows - 1)
    return np.asarray(mask[row, column] > 0)


def structures(image: Image) -> NDArray[np.float32]:
    """How much each block of `BLOCK` px differs from its surroundings, as `foreground` says."""
    height, width = image.shape[:2]
    small_size = (max(1, round(width / BLOCK)), max(1, round(height / BLOCK)))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = cv2.GaussianBlur(small, (0, 0), 2 / BLOCK, borderType=BORDER)
    coarse = cv2.GaussianBlur(small, (0, 0), 8 / BLOCK, borderType=BORDER)
    channels = cv2.split(cv2.absdiff(fine, coarse))
    return np.asarray(functools.reduce(cv2.max, channels), dtype=np.float32)


def typical(maps: Sequence[NDArray[np.float32]]) -> float:
    """The noise of an image by the `structures` of it or of its crops; never below 1."""
    return max(1.0, float(np.median(np.concatenate([part.ravel() for part in maps]))))


def in_colour(image: Image) -> Image:
    """Itself, or a grey image with three equal channels."""
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def pad(image: Image, size: int) -> Image:
    """The image with its border reflected, as far as a window of `size` px around a pixel reaches.

    The window of the centre ``(x, y)`` starts at its pixel ``[y, x]``.
    """
    before, after = size // 2, size - 1 - size // 2
    return np.asarray(
        cv2.copyMakeBorder(image, before, after, before, after, BORDER), dtype=np.uint8
    )


def patches(image: Image, centres: Centres, size: int) -> Image:
    """Cut one patch for each window.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    centres : (N, 2) int32
        Pixels of the image.
    size : int
        Side of a patch, px. The centre is the patch's pixel ``[size // 2, size // 2]``.

    Returns
    -------
    (N, size, size) or (N, size, size, 3) uint8
        Copies, in the order of `centres`.
    """
    padded = pad(image, size)
    views = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(0, 1))
    cut = views[centres[:, 1], centres[:, 0]]
    return np.ascontiguousarray(np.moveaxis(cut, 1, -1) if image.ndim == 3 else cut)


def tiles(centres: Centres, side: int) -> list[NDArray[np.intp]]:
    """Split windows by where they are, to work through an image piece by piece.

    Parameters
    ----------
    centres : (N, 2) int32
    side : int
        Of the square tiles that hold the centres, px.

    Returns
    -------
    list of (n,) intp
        Indices of the windows in each tile that has any; every window once.
    """
    if len(centres) == 0:
        return []
    column, row = centres.T // side
    tile = row * (column.max() + 1) + column
    order = np.argsort(tile, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(tile[order])) + 1)


def suppress(points: Points | Centres, scores: Scores, radius: float) -> NDArray[np.intp]:
    """Keep the best of each crowd: greedy non-maximum suppression on points.

    The highest score stays and removes all others within `radius`, then the next. Equal
    scores are taken from the top-left, so the result does not depend on the input's order.

    Parameters
    ----------
    points : (N, 2)
        ``x, y``, px.
    scores : (N,)
    radius : float
        px; a point at exactly this distance is removed.

    Returns
    -------
    (K,) intp
        Indices of those kept, best first.
    """
    order = np.lexsort((points[:, 0], points[:, 1], -scores))
    if len(order) == 0:
        return order
    tree = cKDTree(points)
    alive = np.ones(len(points), dtype=bool)
    kept = []
    for i in order:
        if alive[i]:
            kept.append(i)
            alive[tree.query_ball_point(points[i], radius)] = False
    return np.asarray(kept, dtype=np.intp)


def clusters(centres: Centres, stride: int, reach: int) -> list[NDArray[np.intp]]:
    """Split windows of one grid into those that touch, along an axis or a diagonal.

    Parameters
    ----------
    centres : (N, 2) int32
        On one grid of `stride`.
    stride : int
        px
    reach : int
        Each window is taken to be larger by so many steps of the grid on each side.

    Returns
    -------
    list of (n,) intp
        Indices of the windows of each cluster; every window once.
    """
    if len(centres) == 0:
        return []
    grown, cell = _grown(centres, np.ones(len(centres), np.bool_), stride, reach)
    _, labels = cv2.connectedComponents(grown, connectivity=8)
    own = labels[cell[:, 0], cell[:, 1]]
    order = np.argsort(own, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(own[order])) + 1)


def around(centres: Centres, chosen: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    """Which windows are at most a step of the grid, along each axis, from a chosen one.

    Parameters
    ----------
    centres : (N, 2) int32
        On one grid of `stride`.
    chosen : (N,) bool
    stride : int
        px

    Returns
    -------
    (N,) bool
    """
    near, cell = _grown(centres, chosen, stride, 1)
    return np.asarray(near[cell[:, 0], cell[:, 1]] > 0)


def _grown(
    centres: Centres, chosen: NDArray[np.bool_], stride: int, reach: int
) -> tuple[cv2.typing.MatLike, Centres]:
    """A mask of the grid, 1 up to `reach` steps from chosen windows, and each window's place."""
    cell = (centres - centres.min(axis=0)) // stride
    table = np.zeros(cell.max(axis=0) + 1, dtype=np.uint8)
    table[cell[:, 0], cell[:, 1]] = chosen
    side = 2 * reach + 1
    return cv2.dilate(table, np.ones((side, side), np.uint8)), cell


def refine(
    centres: Centres,
    places: Points,
    scores: Scores,
    kept: NDArray[np.intp],
    stride: int,
) -> Points:
    """Move each kept place to the score-weighted mean of those of the windows around it.

    The eight neighbours on the grid count with their score; one that is no window (beyond the
    border, on empty background) counts as nothing, and so does one whose place is farther off
    than neighbours are: it sees another tip.

    Parameters
    ----------
    centres : (N, 2) int32
        All windows, on one grid of `stride`.
    places : (N, 2) float64
        Where each sees a tip, px; the centres themselves where nobody knows better.
    scores : (N,)
        Not negative.
    kept : (K,) intp
        Indices into `centres`.
    stride : int
        px

    Returns
    -------
    (K, 2) float64
        ``x, y`` in px; less than ``1.5 * stride`` from the place.
    """
    if len(kept) == 0:
        return np.empty((0, 2))
    some = scores > 0  # of all windows few are likely to be tips, and no other weighs anything
    some[kept] = True
    kept = np.cumsum(some)[kept] - 1
    centres, places, scores = centres[some], places[some], scores[some]
    column, row = (centres.astype(np.int64) - centres.min(axis=0)).T // stride
    row_length = column.max() + 3  # so that no row goes on in the next
    cell = row * row_length + column
    steps = np.arange(-1, 2)
    beside = cell[kept, None, None] + steps[:, None] + row_length * steps
    # looked up in a list: a map of all windows would be as large as the scan that they are of
    wanted, place = np.unique(beside, return_inverse=True)
    at = np.minimum(np.searchsorted(wanted, cell), len(wanted) - 1)
    asked = wanted[at] == cell
    number = np.full(len(wanted), -1)  # where there is no window
    number[at[asked]] = np.flatnonzero(asked)
    around = number[place].reshape(beside.shape)
    shift = places[around] - places[kept, None, None]
    near = (around >= 0) & (np.linalg.norm(shift, axis=-1) < 1.5 * stride)
    weight = np.where(near, scores[around], 0.0)
    # as doubles: NumPy 1 would make of the least of these a float32, which is 0
    total = np.maximum(weight.sum(axis=(1, 2)).astype(np.float64), np.finfo(np.float64).tiny)
    return np.asarray(places[kept] + (weight[..., None] * shift).sum(axis=(1, 2)) / total[:, None])
