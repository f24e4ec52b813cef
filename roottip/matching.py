"""Which found point is which truth point, and the rates that follow.

A found point and a truth point can be a pair when they are at most `tolerance` apart; each
belongs to one pair at most. Of all pairings the one with the most pairs is taken, and among
those the one with the smallest sum of distances. A paired found point is a **hit**; an
unpaired one is **ignored** when a truth point with ``ignore`` = 1 is within the tolerance
(nobody could see what is there), else a **false alarm**; an unpaired truth point is a
**miss**. Of two found points equally near a truth point the one that is no such excused one is
its pair, so that counts never hang on the order of rows. Undefined ratios, such as the precision
of nothing found, are NaN.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from roottip.errors import InputError, check_number

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]
Numbers = TypeVar("Numbers", float, Floats)

_APART = 1e9
"""px from one image to the next in `apart`."""

_HARDLY = 1e-9
"""px that an excused point counts as farther away: less than any difference of distances."""

HIT, MISS, FALSE_ALARM, IGNORED = "hit", "miss", "false alarm", "ignored"


def rates(hits: Numbers, misses: Numbers, false_alarms: Numbers) -> dict[str, Numbers]:
    """``precision, recall, f1`` of counts, numbers or arrays; NaN where undefined."""
    with np.errstate(invalid="ignore"):
        return {
            "precision": np.divide(hits, np.add(hits, false_alarms, dtype=float)),
            "recall": np.divide(hits, np.add(hits, misses, dtype=float)),
            "f1": np.divide(2 * hits, np.add(2 * hits, misses + false_alarms, dtype=float)),
        }


def match(
    found: Floats, truth: Floats, tolerance: float, excused: NDArray[np.bool_] | None = None
) -> tuple[Indices, Indices]:
    """Pair found with truth points: most pairs first, then the least total distance.

    Parameters
    ----------
    found : (N, D) float
        ``x, y``; a third coordinate may hold the points of several images apart.
    truth : (M, D) float
        Same coordinates, same units.
    tolerance : float
        Largest distance of a pair, inclusive, same units.
    excused : (N,) bool, optional
        Found points that are no false alarm when unpaired; of equally short pairings the one with
        the fewest of them is taken.

    Returns
    -------
    found_index, truth_index : (K,) intp
        The pairs.

    Raises
    ------
    InputError
        The tolerance is no number of at least 0, or the points are no two arrays of finite
        numbers with as many coordinates.
    """
    check_number("tolerance", tolerance, 0)
    found, truth = _points("found", found), _points("truth", truth)
    if len(found) and len(truth) and found.shape[1] != truth.shape[1]:
        raise InputError(
            f"found has {found.shape[1]} coordinates a point and truth {truth.shape[1]}; give "
            "both the same"
        )
    lone, crowds = _crowds(found, truth, tolerance)
    if excused is None:
        excused = np.zeros(len(found), dtype=bool)
    pairs = [lone]
    for in_found, in_truth, distance in crowds:
        i, j = _assign(distance, excused[in_found])
        pairs.append(np.stack([in_found[i], in_truth[j]], axis=1))
    both = np.concatenate(pairs)
    return both[:, 0], both[:, 1]


def steps(
    found: Floats, score: Floats, excused: NDArray[np.bool_], truth: Floats, tolerance: float
) -> NDArray[np.int64]:
    """How hits and false alarms change as the threshold falls past each found point.

    Parameters
    ----------
    found, truth, tolerance
        As in `match`.
    score : (N,) float
        Of the found points.
    excused : (N,) bool
        Found points that are no false alarm when unpaired.

    Returns
    -------
    (N, 2) int64
        Change of hits, change of false alarms. The sums over all points that score at least
        some threshold are the counts that `match` gives for those points alone.
    """
    changes = np.stack([np.zeros(len(found), np.int64), (~excused).astype(np.int64)], axis=1)
    lone, crowds = _crowds(found, truth, tolerance)
    changes[lone[:, 0]] = 1, 0
    for in_found, _, distance in crowds:
        order = np.argsort(-score[in_found], kind="stable")
        in_found, distance = in_found[order], distance[order]
        counts = np.zeros((len(in_found) + 1, 2), np.int64)
        for n in range(1, len(in_found) + 1):
            alone = np.ones(n, dtype=bool)
            free = excused[in_found[:n]]
            alone[_assign(distance[:n], free)[0]] = False
            counts[n] = n - alone.sum(), (alone & ~free).sum()
        changes[in_found] = np.diff(counts, axis=0)
    return changes


def apart(xy: Floats, image: Indices) -> Floats:
    """Points of many images in one space, ``x, y, z``, too far apart to meet across images."""
    return np.column_stack([np.asarray(xy, dtype=np.float64).reshape(-1, 2), image * _APART])


def nearest(points: Floats, targets: Floats, rank: int = 1) -> tuple[Floats, Indices]:
    """How far the nearest target of each point is, and which; infinitely far where none is.

    `rank` = 2 asks for the second nearest: of a point that is a target itself, the neighbour.
    """
    if len(points) == 0 or len(targets) < rank:
        return np.full(len(points), np.inf), np.zeros(len(points), np.intp)
    _, index = cKDTree(targets).query(points, [rank])
    # the distance anew: the tree rounds otherwise than `match` does
    distance = np.linalg.norm(points - targets[index[:, 0]], axis=1)
    return np.where(distance < _APART, distance, np.inf), index[:, 0]


def _points(name: str, given: object) -> Floats:
    """Points that a user's own code hands over, checked; without any there may be no columns."""
    try:
        points = np.asarray(given, np.float64)
    except (TypeError, ValueError):  # of names, or ragged
        points = np.full(1, np.nan)
    if points.shape != (0,) and (points.ndim != 2 or not np.isfinite(points).all()):
        raise InputError(
            f"{name} must be an array of finite numbers of shape (N, D), a row for each point, as "
            'tips[["x", "y"]] of a table is'
        )
    return points


def _crowds(
    found: Floats, truth: Floats, tolerance: float
) -> tuple[Indices, list[tuple[Indices, Indices, Floats]]]:
    """The found and truth points that could be paired, in crowds that cannot be paired across.

    Assignment is cubic in the number of points; crowds are a few points each.

    Returns
    -------
    lone : (K, 2) intp
        Crowds of one found and one truth point: their indices.
    crowds : list of (found_index, truth_index, distance)
        The others; ``distance[i, j]`` is between the i-th found and the j-th truth point of the
        crowd, infinite beyond the tolerance.
    """
    if len(found) == 0 or len(truth) == 0:
        return np.empty((0, 2), np.intp), []
    # a hair wider than the tolerance: the tree rounds otherwise than the norm does
    near = cKDTree(found).sparse_distance_matrix(
        cKDTree(truth), tolerance * (1 + 1e-9), output_type="coo_matrix"
    )
    distance = np.linalg.norm(found[near.row] - truth[near.col], axis=1)
    close = distance <= tolerance
    i, j, distance = (
        near.row[close].astype(np.intp),
        near.col[close].astype(np.intp),
        distance[close],
    )
    n = len(found) + len(truth)
    graph = coo_array((np.ones(len(i)), (i, len(found) + j)), shape=(n, n))
    label = connected_components(graph, False)[1][i]
    order = np.argsort(label, kind="stable")
    edges = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    lone = np.array([edge[0] for edge in edges if len(edge) == 1], dtype=np.intp)
    crowds = []
    for edge in edges:
        if len(edge) > 1:
            in_found, row = np.unique(i[edge], return_inverse=True)
            in_truth, column = np.unique(j[edge], return_inverse=True)
            between = np.full((len(in_found), len(in_truth)), np.inf)
            between[row, column] = distance[edge]
            crowds.append((in_found, in_truth, between))
    return np.stack([i[lone], j[lone]], axis=1), crowds


def _assign(distance: Floats, excused: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Most pairs at a finite distance, of those the shortest in sum, with fewest excused rows."""
    possible = np.isfinite(distance)
    distance = distance + _HARDLY * excused[:, None]
    # an impossible pair costs more than all possible ones together, so none is taken
    # where a larger set of possible pairs exists
    impossible = (distance[possible].max(initial=0) + 1) * (min(distance.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(possible, distance, impossible))
    taken = possible[rows, columns]
    return rows[taken], columns[taken]
