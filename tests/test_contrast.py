"""Contrast raised about the ground around each pixel, whatever that ground is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cut import Cut
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from roottip.contrast import raised

ROOM = 70


def with_roots(ground: np.ndarray, contrast: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey roots 5 px wide on a ground, and where they are."""
    mask = np.zeros(ground.shape, np.uint8)
    for x in range(45, ground.shape[1] - 40, 60):
        cv2.line(mask, (x, 30), (x + 30, ground.shape[0] - 30), 1, 5)
    return np.round(ground + contrast * mask.astype(float)).astype(np.uint8), mask == 1


@pytest.mark.parametrize("colour", [(100,), (75, 90, 130)])
@pytest.mark.parametrize("contrast", [8, -8])
def test_roots_stand_out_so_much_more_and_their_ground_stays(colour, contrast):
    grey, mask = with_roots(np.zeros((300, 300)) + 128, contrast)
    image = (grey[..., None].astype(int) - 128 + colour).astype(np.uint8)
    image = image if len(colour) == 3 else image[..., 0]
    after = raised(image, 3.0, 5.0).astype(int)
    expected = np.where(mask[..., None], 3 * contrast, 0) + colour
    assert np.array_equal(after, expected.reshape(after.shape))


@pytest.mark.parametrize("width", [3.0, 5.0, 8.0])
def test_what_is_as_large_as_a_seed_is_no_ground(width):
    image = np.full((500, 500), 120, np.uint8)
    side = round(11 * width)
    image[200 : 200 + side, 200 : 200 + side] = 130
    after = raised(image, 4.0, width)
    assert np.array_equal(after, np.where(image == 130, 160, 120))


@pytest.mark.parametrize("width", [3.0, 5.0, 11.0])
def test_they_do_on_each_side_of_a_shadow_and_on_a_slope(width):
    shadow = np.tile(np.where(np.arange(600) < 300, 80, 150), (400, 1))
    slope = np.tile(np.linspace(80, 180, 600), (400, 1))
    for ground, far in (
        (shadow, np.abs(np.arange(600) - 300) > 10 * width),
        (slope, np.minimum(np.arange(600), np.arange(600)[::-1]) > 10 * width),
    ):
        image, mask = with_roots(ground, 10)
        off = raised(image, 5.0, width) - ground - np.where(mask, 50, 0)
        # on a slope roots may move the median by two levels, which are raised too
        assert np.abs(off[:, far]).max() <= 10


def test_the_ground_lies_where_it_is():
    """A shift by half a pixel would be a step of 2.5 here."""
    slope = np.tile(np.linspace(60, 180, 240), (300, 1))
    for image, expected in ((slope, slope), (slope.T, slope.T)):
        after = raised(np.round(image).astype(np.uint8), 10.0, 4.0).astype(float)
        inside = (slice(100, -100), slice(100, -100))
        # ten times what is rounded, on the average
        assert (after - expected)[inside].mean() == pytest.approx(0, abs=1)


@given(st.integers(0, 255), st.integers(0, 255), st.floats(1.01, 30))
def test_what_stands_out_is_cut_off_only_beyond_the_room_for_it(ground, level, gain):
    image = np.full((60, 60), ground, np.uint8)
    image[30, 30] = level
    after = raised(image, gain, 2.0).astype(float)
    wanted = gain * (level - ground)
    contrast = after[30, 30] - after[0, 0]
    if abs(wanted) <= ROOM:
        assert contrast == pytest.approx(wanted, abs=1)
    else:
        assert contrast * np.sign(wanted) >= ROOM - 1


def test_what_is_plain_is_left_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    assert raised(image, 1.0, 5.0) is image


@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=200)),
    st.integers(0, 9),
    st.floats(0.5, 20),
)
def test_rows_at_a_time_are_raised_to_the_pixels_of_the_whole(image, seed, width):
    rows = raised(Cut(image, seed), 3.0, width)
    assert rows.shape == image.shape
    assert np.array_equal(np.concatenate(list(rows)), raised(image, 3.0, width))
