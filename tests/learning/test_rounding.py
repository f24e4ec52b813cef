"""Rounded weights: the nearest where inputs are strangers, sums nearer than those elsewhere."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from roottip.learning.rounding import LARGEST, round_weights


def drawn(seed: int, count: int = 24, kernels: int = 8) -> tuple[NDArray[np.float64], ...]:
    """Inputs that go together, and kernels with a scale that spans them."""
    rng = np.random.default_rng(seed)
    inputs = np.maximum(rng.normal(size=(500, 4)) @ rng.normal(size=(4, count)), 0)
    inputs += 0.1 * rng.normal(size=inputs.shape)
    weights = rng.normal(size=(kernels, count))
    return inputs, weights, np.abs(weights).max(axis=1) / LARGEST


@given(seed=st.integers(0, 2**32 - 1))
def test_strangers_are_rounded_to_the_nearest(seed: int) -> None:
    inputs, weights, scale = drawn(seed)
    own = np.diag((inputs**2).sum(axis=0))
    nearest = np.round(weights / scale[:, None])
    np.testing.assert_array_equal(round_weights(weights, scale, own), nearest)


@given(seed=st.integers(0, 2**32 - 1))
def test_sums_change_less_than_by_rounding_each_alone(seed: int) -> None:
    inputs, weights, scale = drawn(seed)
    whole = round_weights(weights, scale, inputs.T @ inputs)
    assert np.abs(whole).max() <= LARGEST

    def change(rounded: NDArray[Any]) -> float:
        sums = inputs @ (rounded * scale[:, None] - weights).T
        return float((sums**2).sum())

    assert change(whole) < 0.5 * change(np.round(weights / scale[:, None]))


@pytest.mark.parametrize("seed", range(5))
def test_hardly_worse_than_the_best_of_all(seed: int) -> None:
    """With five weights all ways of rounding up or down can be tried."""
    inputs, weights, scale = drawn(seed, count=5, kernels=20)
    moments = inputs.T @ inputs
    below = np.floor(weights / scale[:, None])
    ways = np.array(list(itertools.product([0, 1], repeat=5)))
    candidates = below[:, None] + ways

    def change(whole: NDArray[Any]) -> NDArray[np.float64]:
        off = whole * scale[:, None, None] - weights[:, None]
        return np.asarray(np.einsum("kwi,ij,kwj->kw", off, moments, off))

    best = change(candidates).min(axis=1).sum()
    nearest = change(np.round(weights / scale[:, None])[:, None]).sum()
    ours = change(round_weights(weights, scale, moments)[:, None]).sum()
    assert ours - best < 0.5 * (nearest - best)
