from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roottip.scalebar import scale_bar


def plate(seed: int = 0) -> np.ndarray:
    """Grey paper with a root, grain and a word."""
    rng = np.random.default_rng(seed)
    image = np.full((400, 600, 3), 120, np.uint8)
    cv2.line(image, (300, 40), (320, 300), (250, 250, 250), 7, cv2.LINE_AA)
    cv2.putText(image, "5 mm", (60, 350), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255,) * 3, 2)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@settings(max_examples=25)
@example(60.0, 4, 0.9375, 255)  # its outer rows are about as bright as counts as plain
@given(st.floats(60, 300), st.integers(4, 8), st.floats(0.3, 1.0), st.sampled_from([0, 255]))
def test_length_of_a_drawn_bar(length, height, blur, colour):
    # drawn ten times as large, so that its ends need not lie between two pixels
    image = plate()
    large = cv2.resize(image[355:395, 20:380], None, fx=10, fy=10)
    left = 205
    large[150 : 150 + 10 * height, left : left + round(10 * length)] = colour
    small = cv2.resize(large, (360, 40), interpolation=cv2.INTER_AREA)
    image[355:395, 20:380] = cv2.GaussianBlur(small, (0, 0), blur)
    assert scale_bar(image) == pytest.approx(round(10 * length) / 10, abs=0.5)


def test_what_touches_a_bar_at_a_corner_only_is_none_of_it():
    image = plate()
    image[360:366, 100:220] = 255
    image[366:369, 220:223] = 255
    assert scale_bar(image) == pytest.approx(120, abs=0.5)


def test_no_bar_and_what_is_none():
    assert scale_bar(plate()) is None
    assert scale_bar(np.full((1, 1), 255, np.uint8)) is None
    edge = plate()
    edge[390:400, 100:300] = 255  # a plate's rim goes on outside
    assert scale_bar(edge) is None
    several = plate()
    several[360:364, 50:150] = several[380:384, 50:250] = 255
    assert scale_bar(several) is None
    faint = np.full((400, 600), 210, np.uint8)
    faint[360:364, 50:150] = 250
    assert scale_bar(faint) is None
    upright = plate()
    upright[50:250, 500:505] = 255
    assert scale_bar(upright) is None
    bar = plate()
    bar[376:382, 40:190] = 255
    assert scale_bar(bar) == pytest.approx(150, abs=0.5)
    assert scale_bar(bar[:383]) is None  # a pixel from the edge
    stepped = bar.copy()
    stepped[382:388, 115:265] = 255
    assert scale_bar(stepped) is None
    crowded = bar.copy()
    crowded[370:374, 80:140] = 210
    assert scale_bar(crowded) is None
    for length, height in ((15, 3), (450, 6)):  # of 600 px
        one = plate()
        one[376 : 376 + height, 40 : 40 + length] = 255
        assert scale_bar(one) is None


def barred(length: int, height: int, level: int = 255, ground: int = 120) -> np.ndarray:
    image = np.full((400, 600), ground, np.uint8)
    image[340 : 340 + height, 40 : 40 + length] = level
    return image


@pytest.mark.parametrize(
    ("length", "height", "level", "ground"),
    [
        (24, 4, 255, 120),  # 4 % of the width
        (400, 6, 255, 120),  # two thirds of it
        (100, 17, 255, 120),  # nearly six times as long as high
        (100, 2, 255, 120),
        (100, 6, 222, 120),  # 33 grey levels from white
        (100, 6, 33, 120),
        (100, 6, 255, 180),  # 75 grey levels brighter than the ground
    ],
)
def test_bars_near_the_limits_are_found(length, height, level, ground):
    assert scale_bar(barred(length, height, level, ground)) == pytest.approx(length, abs=0.5)


def test_what_is_just_beyond_the_limits_is_no_bar():
    assert scale_bar(barred(100, 24)) is None  # four times as long as high
    assert scale_bar(barred(100, 6, 205)) is None  # 50 grey levels from white
    assert scale_bar(barred(100, 6, 255, 205)) is None
    slanted = np.full((400, 600), 120, np.uint8)
    cv2.fillPoly(slanted, [np.array([(40, 340), (160, 340), (136, 351), (40, 351)])], 255)
    assert scale_bar(slanted) is None  # it fills nine tenths of its box


def test_a_high_bar_stands_free_for_half_its_height():
    bar = barred(200, 20)
    bar[368:372, 60:220] = 210  # eight px below it
    assert scale_bar(bar) is None
    thin = barred(200, 4)
    thin[347, 60:220] = 210  # three px below it
    assert scale_bar(thin) is None


def test_two_bars_a_few_px_apart_in_length_say_nothing_and_alike_ones_their_mean():
    bars = barred(100, 6)
    bars[370:376, 40:143] = 255
    assert scale_bar(bars) is None
    bars[370:376, 141:143] = 120
    assert scale_bar(bars) == pytest.approx(100.5, abs=0.1)


def test_grain_as_bright_as_a_bar_takes_no_time_and_hides_no_dark_bar():
    rng = np.random.default_rng(0)
    for level, spread in ((216, 4), (224, 6), (228, 6), (232, 5)):
        paper = np.clip(rng.normal(level, spread, (1500, 1500)), 0, 255).astype(np.uint8)
        begun = time.perf_counter()
        assert scale_bar(paper) is None
        assert time.perf_counter() - begun < 2  # outlining every speck takes 3 to 15 s
        paper[1400:1412, 100:400] = 0
        assert scale_bar(paper) == pytest.approx(300, abs=0.5)
