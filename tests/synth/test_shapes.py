from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roottip.synth.shapes import area, disc, ellipse, lay, letter, line

SQUARE = [(10, 10), (30, 10), (30, 30), (10, 30)]


def empty(height=60, width=50):
    return np.zeros((height, width, 4), np.uint8)


def test_a_thing_lies_over_what_is_there():
    paint = empty()
    lay(paint, [area(SQUARE, (200, 100, 0))], 1.0)
    lay(paint, [disc(20, 20, 5, (0, 50, 100))], 0.25)
    assert paint[12, 12].tolist() == [200, 100, 0, 255]
    assert paint[20, 20].tolist() == [150, 88, 25, 255]  # a cover stays one: no hole is cut
    lay(paint, [disc(40, 50, 5, (0, 50, 100))], 0.5)
    lay(paint, [disc(40, 50, 5, (100, 0, 100))], 0.5)
    assert np.abs(paint[50, 40] - np.array([50, 12.5, 75, 191.25])).max() <= 1


def test_where_a_thing_overlaps_itself_it_is_no_more_opaque():
    paint = empty()
    part, covered = lay(paint, [area(SQUARE, (40, 80, 120)), disc(20, 20, 5, (300, -5, 200))], 0.5)
    assert paint[20, 20].tolist() == [128, 0, 100, 128]  # the later shape, its colour cut off
    assert paint[12, 12].tolist() == [20, 40, 60, 128]
    whole = np.zeros((60, 50), bool)
    whole[part] = covered
    assert (whole == (paint[..., 3] > 64))[2:-2, 2:-2].all()


places = st.floats(90, 130)
points = st.tuples(places, places)
shapes = st.one_of(
    st.builds(area, st.lists(points, min_size=3, max_size=6), st.just((9, 9, 9))),
    st.builds(
        line, st.lists(points, min_size=2, max_size=6), st.integers(1, 4), st.just((9, 9, 9))
    ),
    st.builds(
        ellipse,
        places,
        places,
        st.tuples(st.floats(0.2, 40), st.floats(0.2, 40)),
        st.floats(-180, 180),
        st.just((9, 9, 9)),
        st.sampled_from([-1, 1, 3]),
    ),
    st.builds(
        letter,
        st.sampled_from("gQy-W"),
        st.integers(90, 130),
        st.integers(90, 130),
        st.sampled_from([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX]),
        st.floats(0.5, 2.2),
        st.integers(1, 3),
        st.just((9, 9, 9)),
    ),
)


@settings(deadline=None, max_examples=300)
@given(shapes)
def test_nothing_of_a_shape_is_cut_off(shape):
    # drawn on all of the picture, against drawn on the part of it that `lay` takes
    paint, large = empty(220, 240), empty(220, 240)
    whole = np.zeros((220, 240), bool)
    part, covered = lay(paint, [shape], 1.0)
    whole[part] = covered
    shape.fill(large, (9.0, 9.0, 9.0, 255.0), (0, 0))
    assert np.array_equal(paint, large)
    assert np.array_equal(whole, large[..., 3] >= 64)


def test_what_reaches_out_of_the_picture_is_cut_there():
    paint, large = empty(), empty(120, 100)
    lay(paint, [disc(47, 3, 9, (9, 9, 9))], 1.0)
    lay(large, [disc(67, 33, 9, (9, 9, 9))], 1.0)
    assert paint.any()
    assert np.array_equal(
        paint[2:, :-2], large[32:90, 20:68]
    )  # at the edge OpenCV cuts smooth lines


@pytest.mark.parametrize(
    "shape", [disc(-90, 20, 5, (1, 2, 3)), line([(0, 300), (50, 400)], 2, (1, 2, 3))]
)
def test_what_is_outside_draws_nothing(shape):
    paint = empty()
    _, covered = lay(paint, [shape], 1.0)
    assert not paint.any()
    assert not covered.any()
