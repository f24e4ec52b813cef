"""Rounding a layer's weights to whole numbers so that its sums change least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST = 64
"""The largest weight in 7 bits."""

DAMPING = 0.1
"""Share of the mean square of the inputs that is added to each: with less, what inputs that were
seen hardly or never have in common decides."""


def round_weights(
    weights: NDArray[np.floating], scale: NDArray[np.floating], moments: NDArray[np.floating]
) -> NDArray[np.int8]:
    """Round the weights of a layer's kernels to multiples of a scale.

    Weights are rounded one after another, those of the largest inputs first, and what rounding one
    adds to the sum, those that are still to come take off again as well as inputs that go together
    allow (GPTQ: Frantar et al. 2022, https://arxiv.org/abs/2210.17323, after the optimal brain
    surgeon of Hassibi and Stork 1993).

    Parameters
    ----------
    weights : (K, N) float
        K kernels of N weights.
    scale : (K,) float
        What 1 stands for in each.
    moments : (N, N) float
        Sums of the products of any two inputs, over what the layer typically sees.

    Returns
    -------
    (K, N) int8
        No further than `LARGEST` from 0. Times `scale`, near `weights`; each the nearest where
        inputs have nothing in common.
    """
    order = np.argsort(-np.diag(moments), kind="stable")
    left = np.asarray(weights, np.float64)[:, order] / scale[:, None]
    damped = moments[np.ix_(order, order)] + DAMPING * np.diag(moments).mean() * np.eye(len(order))
    # row j, over its first, says how those after j make up for a change of j
    follow = np.linalg.cholesky(np.linalg.inv(damped)).T
    whole = np.empty(left.shape, np.int8)
    for j in range(len(order)):
        rounded = np.clip(np.round(left[:, j]), -LARGEST, LARGEST)
        whole[:, order[j]] = rounded
        added = (rounded - left[:, j]) / follow[j, j]
        left[:, j + 1 :] += np.outer(added, follow[j, j + 1 :])
    return whole
