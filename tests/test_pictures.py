from __future__ import annotations

import base64

import cv2
import numpy as np
import pandas as pd
import pytest

from roottip import pictures
from roottip.evaluation import evaluate


def test_marks_are_drawn_where_the_points_are():
    image = np.zeros((200, 300), np.uint8)
    drawn = pictures.overlay(image, pd.DataFrame({"x": [100.0], "y": [50.0]}))
    rows, columns = np.nonzero(drawn.any(axis=2))
    assert abs(rows.mean() - 50) < 1
    assert abs(columns.mean() - 100) < 1
    assert drawn[50, 100].tolist() == [0, 0, 0]  # a ring leaves the tip itself to be seen


def test_marks_are_drawn_in_the_nearest_pixel():
    points = pd.DataFrame({"x": [100.7], "y": [50.8]})
    rows, columns = np.nonzero(pictures.overlay(np.zeros((200, 300), np.uint8), points).any(axis=2))
    assert (columns.mean(), rows.mean()) == pytest.approx((101, 51), abs=0.01)


def test_each_outcome_has_its_colour_and_place():
    truth = pd.DataFrame(
        {"image": "a", "x": [20.0, 100.0, 60.0], "y": [20.0, 100.0, 60.0], "ignore": [0, 0, 1]}
    )
    found = pd.DataFrame({"image": "a", "x": [21.0, 170.0, 62.0], "y": [20.0, 20.0, 60.0]})
    matches = evaluate(found, truth, ["a"], 10).matches
    drawn = pictures.overlay(np.full((200, 200, 3), 128, np.uint8), matches)
    for (x, y), colour in {
        (21, 20): (86, 180, 233),  # hit
        (170, 20): (230, 120, 40),  # false alarm
        (62, 60): (190, 190, 190),  # ignored
        (100, 100): (240, 228, 66),  # miss, drawn at the truth
    }.items():
        near = drawn[y - 9 : y + 10, x - 9 : x + 10].reshape(-1, 3)
        assert (near == colour).all(axis=1).any()


def thumbnail(image):
    data = base64.b64decode(pictures.thumbnail(image).split(",")[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_thumbnail_has_grey_and_colours_where_the_image_has_them():
    grey = np.zeros((40, 80), np.uint8)
    grey[:30, :20] = 200
    colours = np.repeat(grey[:, :, None], 3, axis=2)
    colours[:, 60:] = (250, 100, 30)
    assert np.abs(thumbnail(grey) - grey[:, :, None].astype(int)).mean() < 2
    assert np.abs(thumbnail(colours) - colours.astype(int)).mean() < 3


def test_a_thumbnail_keeps_the_shape_and_never_grows():
    def size(image):
        return thumbnail(image).shape[:2]

    assert size(np.zeros((1000, 500, 3), np.uint8)) == (480, 240)
    assert size(np.zeros((50, 40, 3), np.uint8)) == (50, 40)
    assert size(np.zeros((1, 2000, 3), np.uint8)) == (1, 480)
