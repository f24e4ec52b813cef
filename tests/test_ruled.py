"""The lines of a grid are told from roots, and do not say how wide roots are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roottip.lines import measured
from roottip.ruled import on_lines
from roottip.scale import adjustment

SIDES = (700, 900)


def grid(pitch: int, degrees: float = 0.0, width: int = 1, both: bool = True) -> np.ndarray:
    """(700, 900) uint8, 255 on lines turned about the middle."""
    height, breadth = SIDES
    turn = cv2.getRotationMatrix2D((breadth / 2, height / 2), degrees, 1)
    drawn = np.zeros(SIDES, np.uint8)
    for at in range(-1000, 2000, pitch):
        ends = [((at, -1000), (at, 2000)), ((-1000, at), (2000, at))][: 1 + both]
        for line in ends:
            first, last = (np.round(turn @ [*end, 1]).astype(int).tolist() for end in line)
            cv2.line(drawn, first, last, 255, width)
    return drawn


def bent(width: int, count: int = 7) -> np.ndarray:
    """(700, 900) uint8, 255 on roots that hang down and wind."""
    y = np.arange(60, 640, 4)
    drawn = np.zeros(SIDES, np.uint8)
    for number in range(count):
        x = 90 + 110 * number + 50 * np.sin(y / 70 + number)
        path = np.round(np.column_stack([x, y])).astype(np.int32)
        cv2.polylines(drawn, [path], False, 255, width, cv2.LINE_AA)
    return drawn


@settings(deadline=None, max_examples=15)
@given(st.integers(100, 200), st.floats(-2.5, 2.5), st.integers(0, 2**32 - 1))
def test_lines_of_a_grid_are_told_from_roots_that_wind(pitch, degrees, seed):
    lines, roots = grid(pitch, degrees) > 0, bent(1) > 0
    seen = np.random.default_rng(seed).random(SIDES) < 0.8  # dirt hides some
    y, x = np.nonzero((lines | roots) & seen)
    on = on_lines(x, y, SIDES)
    assert on[lines[y, x]].mean() > 0.95
    near = cv2.dilate(lines.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert on[~near[y, x]].mean() < 0.2


def test_roots_alone_lie_on_no_lines():
    y, x = np.nonzero(bent(1, count=8))
    assert not on_lines(x, y, SIDES).any()
    assert on_lines(x[:0], y[:0], SIDES).shape == (0,)


@pytest.mark.parametrize("seed", range(4))
def test_roots_so_dense_that_they_fill_the_image_are_no_grid(seed):
    rng = np.random.default_rng(seed)
    drawn = np.zeros(SIDES, np.uint8)
    for x in rng.uniform(40, 860, 15):
        y = np.arange(40, 660, 6)
        path = x + 30 * np.sin(y / rng.uniform(60, 200)) + np.cumsum(rng.normal(0, 1, len(y)))
        cv2.polylines(drawn, [np.column_stack([path, y]).astype(np.int32)], False, 255, 1)
        for start in rng.integers(0, len(y), 6):
            along = rng.choice([-1, 1]) * np.arange(0, rng.integers(80, 250), 6)
            lateral = np.column_stack([path[start] + along, y[start] + 0.1 * np.abs(along)])
            cv2.polylines(drawn, [lateral.astype(np.int32)], False, 255, 1)
    y, x = np.nonzero(drawn)
    assert not on_lines(x, y, SIDES).any()


@pytest.mark.parametrize(
    ("down", "over", "share", "ruled"),
    [(3, 3, 1, True), (2, 9, 1, False), (9, 2, 1, False), (9, 9, 0.3, False)],
)
def test_a_grid_has_three_lines_each_way_and_they_go_right_across(down, over, share, ruled):
    drawn = np.zeros(SIDES, bool)
    drawn[: int(share * 700), 90 * np.arange(1, down + 1)] = True
    drawn[70 * np.arange(1, over + 1), : int(share * 900)] = True
    y, x = np.nonzero(drawn)
    on = on_lines(x, y, SIDES)
    assert on.all() == on.any() == ruled


def painted(roots: np.ndarray, lines: np.ndarray, level: int) -> np.ndarray:
    image = np.full((*SIDES, 3), (60, 80, 120), float)
    image += 100 * (roots / 255)[..., None] + level * (lines / 255)[..., None]
    image += np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("level", [-40, 60, 120])
@pytest.mark.parametrize(("root", "line"), [(5, 1), (5, 2), (10, 4), (4, 8)])
def test_a_grid_does_not_say_how_wide_roots_are(level, root, line):
    roots = bent(root)
    plain = adjustment(painted(roots, np.zeros(SIDES), 0))
    ruled = adjustment(painted(roots, grid(130, 0.8, line), level))
    assert ruled.scale == pytest.approx(plain.scale, rel=0.3)


def test_where_nothing_else_is_long_a_grid_is_measured(monkeypatch):
    image = painted(np.zeros(SIDES), grid(130, width=5), 90)
    found = measured([image])
    monkeypatch.setattr("roottip.lines.on_lines", lambda x, y, shape: np.zeros(len(x), bool))
    assert found is not None
    assert found == measured([image])
