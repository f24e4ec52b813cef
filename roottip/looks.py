"""One image looked at in several sizes, and what the looks agree on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from roottip.windows import Points, Scores


def agreed(
    looks: Sequence[tuple[Points, Scores]], weights: Sequence[float], radius: float
) -> tuple[Points, Scores]:
    """Bring together what several looks at one image found.

    The find with the highest score takes from every other look the best find within `radius` that
    is still free, and so on: they are one tip. Its score is the weighted mean of all looks', where
    one that found nothing there counts 0; its place is that in the first look that found it.

    Parameters
    ----------
    looks : sequence of ((N, 2) float64, (N,) float32)
        Points ``x, y`` in px of one image, and their scores; the most trusted look first.
    weights : sequence of float
        One for each look.
    radius : float
        px

    Returns
    -------
    points : (K, 2) float64
        Best first.
    scores : (K,) float32
        At most the highest of the looks'.
    """
    points = np.concatenate([found for found, _ in looks])
    scores = np.concatenate([score for _, score in looks]).astype(np.float64)
    if len(points) == 0:
        return points, scores.astype(np.float32)
    look = np.repeat(np.arange(len(looks)), [len(found) for found, _ in looks])
    # best first, equal scores from the top-left, as `windows.suppress` takes them
    order = np.lexsort((look, points[:, 0], points[:, 1], -scores))
    points, scores, look = points[order], scores[order], look[order]
    share = np.asarray(weights, dtype=np.float64) / sum(weights)
    near = cKDTree(points).query_ball_point(points, radius, return_sorted=True)
    free = np.ones(len(points), dtype=bool)
    tips: list[tuple[int, float]] = []
    for best in range(len(points)):
        if not free[best]:
            continue
        members = {int(look[best]): best}
        for other in near[best]:
            if free[other]:
                members.setdefault(int(look[other]), other)
        together = list(members.values())
        free[together] = False
        first = members[min(members)]
        tips.append((first, float((share[look[together]] * scores[together]).sum())))
    places, means = (np.array(column) for column in zip(*tips, strict=True))
    kept: NDArray[np.intp] = np.argsort(-means, kind="stable")
    return points[places[kept]], means[kept].astype(np.float32)
