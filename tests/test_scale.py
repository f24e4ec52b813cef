from __future__ import annotations

import cv2
import numpy as np
import pytest

from roottip import table
from roottip.images import read_image
from roottip.scale import REFERENCE_WIDTH, measured_width, normalising_scale, resize


def roots(width: int, side: int = 900) -> np.ndarray:
    image = np.full((side, side, 3), (40, 60, 150), np.uint8)
    for x in range(80, side - 80, 140):
        cv2.line(image, (x, 90), (x + 60, side - 90), (210, 210, 210), width, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("width", [8, 12, 16, 20])
def test_wide_roots_become_the_reference_width(width):
    scaled = resize(roots(width), normalising_scale(roots(width)))
    assert measured_width([scaled]) == pytest.approx(REFERENCE_WIDTH, rel=0.25)


def test_wider_roots_are_made_smaller():
    scales = [normalising_scale(roots(width)) for width in (4, 8, 12, 16, 20)]
    assert scales == sorted(scales, reverse=True)
    assert scales[0] == 1


def test_the_side_that_is_bright_does_not_matter():
    image = roots(12)
    assert normalising_scale(255 - image) == pytest.approx(normalising_scale(image), rel=0.05)


@pytest.mark.parametrize("level", [110, 140, 200])
def test_shoots_do_not_make_roots_wider(level):
    image = np.full((900, 900, 3), 40, np.uint8)
    for x in range(80, 820, 140):
        cv2.line(image, (x, 90), (x + 60, 810), (90, 90, 90), 3, cv2.LINE_AA)
    grown = image.copy()
    for x in range(80, 820, 140):
        cv2.line(grown, (x, 60), (x, 270), (level,) * 3, 20, cv2.LINE_AA)
    assert measured_width([grown]) == pytest.approx(measured_width([image]), rel=0.1)


def test_a_known_width_is_taken_as_it_is():
    assert normalising_scale(roots(5), root_width=20) == REFERENCE_WIDTH / 20
    assert normalising_scale(roots(5), root_width=0.5) == 2  # no further than LARGEST


@pytest.mark.parametrize("shape", [(1, 1), (3, 2, 3), (200, 300), (200, 300, 3)])
def test_without_roots_nothing_is_resized(shape):
    image = np.full(shape, 90, np.uint8)
    assert measured_width([image]) is None
    assert normalising_scale(image) == 1
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert normalising_scale(noise) == 1


@pytest.mark.parametrize(("name", "low", "high"), [("osr", 1, 1), ("tillmore", 0.28, 0.6)])
def test_photographs_of_one_set_get_nearly_one_scale(shared, name, low, high):
    images = table.read(shared / name / "images.csv")
    for image in images.loc[images["split"] == "train", "image"].iloc[::12]:
        assert low <= normalising_scale(read_image(shared / name / "images" / image)) <= high
