"""Straight lines right across an image, both ways: a dish's grid, squared paper. Roots bend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CELLS = 256
"""Cells along the image's longer side: straight lines stay in one row of them, roots do not."""

_COVERED = 0.4
"""Share of the image's side that a line is seen on, at least: roots cross it, and dirt hides it."""

_PLAIN = 1.7
"""And so many times what most rows of cells are covered by: dense roots cover them all."""

_SLANT = 0.05
"""How far a line leans at most, across per along: a dish lies as straight as hands put it."""

_FEWEST = 3
"""So many lines in each direction are a grid: main roots may hang straight, but only down."""

_APART = 4
"""Cells between two lines, at least."""


def on_lines(
    x: NDArray[np.int32], y: NDArray[np.int32], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Tell which pixels lie on the lines of a grid whose directions are nearly the image's sides'.

    Each direction that is nearly a side's is tried, and of each line counted on how much of its
    way there are pixels: a Hough transform (Duda and Hart 1972, doi.org/10.1145/361237.361242)
    of few angles.

    Parameters
    ----------
    x, y : (N,) int32
        Pixels of thin structures, such as their centre lines.
    shape : (height, width)
        Of the image.

    Returns
    -------
    (N,) bool
        All False where there are fewer lines than a grid has.
    """
    cell = max(1.0, max(shape) / _CELLS)
    column, row = (x / cell).astype(int), (y / cell).astype(int)
    columns, rows = int(shape[1] / cell) + 1, int(shape[0] / cell) + 1
    upright, count = _along(row, column, rows, columns)
    if count < _FEWEST:
        return np.zeros(len(x), dtype=bool)
    level, count = _along(column, row, columns, rows)
    on: NDArray[np.bool_] = (upright | level) & (count >= _FEWEST)
    return on


def _along(
    along: NDArray[np.int_], across: NDArray[np.int_], length: int, width: int
) -> tuple[NDArray[np.bool_], int]:
    """Which pixels lie on lines along one of the sides, and how many lines there are."""
    cells = np.zeros((length, width), dtype=bool)
    cells[along, across] = True
    cells[:, 1:-1] |= cells[:, :-2] | cells[:, 2:]  # half a line may be in the next cell
    place, beside = np.nonzero(cells)
    place -= length // 2
    most = int(_SLANT * length / 2)
    seen, lean = np.zeros(width), np.zeros(width)
    # by how many cells a line leans on half of its way
    for end in range(-most, most + 1):
        slope = 2 * end / length
        middle = beside - np.round(slope * place).astype(int)
        inside = (middle >= 0) & (middle < width)
        share = np.bincount(middle[inside], minlength=width) / length
        more = share > seen
        seen[more], lean[more] = share[more], slope
    on = np.zeros(len(along), dtype=bool)
    count, least = 0, max(_COVERED, _PLAIN * float(np.median(seen)))
    while seen.max() >= least:
        line = int(seen.argmax())
        at = line + lean[line] * (along - length // 2)
        on |= np.abs(across - at) <= 1.5
        seen[max(0, line - _APART) : line + _APART + 1] = 0
        count += 1
    return on, count
