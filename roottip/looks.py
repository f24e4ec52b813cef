"""What an image's finds say of each other: where looks in several sizes agree, and doubts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit, logit

from roottip.windows import Points, Scores

_DOUBT = 4
"""How many times the logit by which an image's surest find falls short weighs on all its finds."""

_ROOM = 250_000.0
"""px², roots being `scale.REFERENCE_WIDTH` px wide: from this area on an image with roots must hold
a plain tip; of a smaller one lower odds are asked, in proportion."""

_ENLARGED = 1.5
"""Of an image that is enlarged by more, higher odds are asked, by the fourth power: print, fibres
and grain that were taken for the finest roots are most often seen so."""


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


def doubted(scores: Scores, surest: float, area: float, scale: float = 1.0) -> Scores:
    """Lower all scores of an image in which nothing is plainly a tip.

    Roots are many and most of their tips are plain, so where even the surest find is a doubtful one
    there are likely no roots, and what was seen is print, fibres or dirt. A small image, or a
    piece cut from a large one, holds few, so none of them need be plain. What else an image
    holds says something about each find, as in the contextual rescoring of Felzenszwalb et al.
    2010, https://doi.org/10.1109/TPAMI.2009.167.

    Parameters
    ----------
    scores : (N,) float32
        Of all finds in one image.
    surest : float
        In [0, 1). The image's highest score m must have the odds
        o = surest / (1 - surest) * min(1, area / 250,000) * max(1, scale / 1.5) ** 4. If it has
        less, every find's odds s / (1 - s) are multiplied by (m / (1 - m) / o) ** 4.
    area : float
        Of the image, px² once its roots are `scale.REFERENCE_WIDTH` px wide.
    scale : float
        By what factor it was resized for that.

    Returns
    -------
    (N,) float32
        In the same order.
    """
    # in float32 a slight doubt would be lost in rounding, or even raise a score
    evidence = logit(scores.astype(np.float64))
    highest = evidence.max(initial=-np.inf)
    if not (highest > -np.inf and surest > 0):
        return scores
    asked = logit(surest) + np.log(min(1.0, area / _ROOM)) + 4 * np.log(max(1.0, scale / _ENLARGED))
    doubt = _DOUBT * (highest - asked)
    if doubt >= 0:
        return scores
    return np.asarray(expit(evidence + doubt), dtype=np.float32)
