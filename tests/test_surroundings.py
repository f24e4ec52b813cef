"""Squares around finds, and what a review of them does to scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roottip import surroundings as module
from roottip import windows
from roottip.detector import WindowDetector
from roottip.scale import adjustment
from roottip.surroundings import WORTH, reviewed, surroundings
from roottip.windows import Image, Points, Scores


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def squares_of(image: Image, points: Points, sides: list[float], window: int) -> Image:
    cut = np.zeros((len(points), len(sides), window, window, 3), np.uint8)
    times = np.zeros(len(points), int)
    for members, squares in surroundings(image, points, sides, window):
        cut[members], times[members] = squares, times[members] + 1
    assert (times == 1).all()
    return cut


def test_squares_of_a_windows_size_are_patches() -> None:
    image = noise(70, 90)
    centres = windows.grid(image.shape, 7)
    for asked, side in ((16, 16), (17, 17), (16.7, 17)):
        (cut,) = squares_of(image, centres.astype(float), [asked], side).transpose(1, 0, 2, 3, 4)
        np.testing.assert_array_equal(cut, windows.patches(image, centres, side))


@pytest.mark.parametrize("side", [2, 8, 9])
def test_squares_around_corners_are_patches_too(side: int) -> None:
    image = noise(30, 40)
    corners = np.array([(0, 0), (39, 0), (0, 29), (39, 29), (10, 0), (0, 10)], np.int32)
    cut = squares_of(image, corners.astype(float), [side], side)[:, 0]
    np.testing.assert_array_equal(cut, windows.patches(image, corners, side))


def test_larger_squares_are_averages_and_grey_is_every_colour() -> None:
    image = noise(64, 64)[:, :, 0]
    (square,) = squares_of(image, np.array([(31.6, 31.9)]), [32.2], 8)[0]
    blocks = image[16:48, 16:48].reshape(8, 4, 8, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(square, np.repeat(blocks[:, :, None], 3, axis=2), atol=0.51)


@pytest.mark.parametrize("side", [180.3, 366.0, 60.0])
def test_a_point_lies_in_the_middle_where_reviews_learn(side: float) -> None:
    """As `roottip.learning.review.Finds` puts finds between pixels 63 and 64 of 128."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(500), np.arange(500))
    off = []
    for point in rng.uniform(230, 260, (12, 2)):
        blob = 200 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 2 / 15**2)
        ((square,),) = squares_of(blob.astype(np.uint8), point[None], [side], 128)
        weight = square[:, :, 0].astype(float)
        place = [(weight.sum(axis=axis) @ np.arange(128)) / weight.sum() for axis in (0, 1)]
        off.append(np.array(place) - 63.5)
    # a square begins at a whole pixel of the image
    assert np.abs(off).max() < 0.5 * 128 / side + 0.1
    assert np.abs(np.mean(off, axis=0)).max() < 0.25 * 128 / side


def test_smaller_squares_are_enlarged() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[18:22, 18:22] = 200
    (square,) = squares_of(image, np.array([(20.0, 20.0)]), [8.0], 32)[0]
    assert square[12:20, 12:20].min() > 150
    assert square[[0, -1]].max() < 30


@settings(deadline=None, max_examples=30)
@given(st.integers(5, 80), st.integers(1, 40), st.integers(1, 50), st.integers(0, 99))
def test_bands_of_any_height_give_one_result(height: int, width: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = noise(height, width, seed)
    points = rng.uniform(0, 1, (9, 2)) * [width - 1, height - 1]
    whole = squares_of(image, points, [12.0, 31.0], 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", rows)
        patch.setattr(module, "_BATCH", 4)
        np.testing.assert_array_equal(squares_of(image, points, [12.0, 31.0], 8), whole)


class Bright:
    """A review that believes in bright squares only."""

    card: Mapping[str, Any] = {"window": 8, "sizes": [1.0, 0.5]}

    def __init__(self) -> None:
        self.seen: list[Image] = []

    def __call__(self, squares: Image, /) -> Scores:
        self.seen.append(squares)
        return np.where(squares.mean(axis=(1, 2, 3, 4)) > 128, 2.0, -2.0).astype(np.float32)


def test_a_review_changes_the_odds_of_what_is_worth_it() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 255
    points = np.array([(15.0, 20.0), (60.0, 20.0), (65.0, 20.0)])
    scores = np.array([0.6, 0.5, WORTH / 2], np.float32)
    review = Bright()
    after, changed = reviewed(review, image, points, scores, 1.0)
    np.testing.assert_array_equal(after, points[[1, 0, 2]])
    odds = np.array([1.0, 1.5, WORTH / 2 / (1 - WORTH / 2)]) * np.exp([2, -2, 0])
    np.testing.assert_allclose(changed, odds / (1 + odds), rtol=1e-5)
    assert sum(len(squares) for squares in review.seen) == 2


def test_finds_of_two_percent_are_worth_a_review_and_fainter_ones_are_not() -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    points, scores = np.full((2, 2), 20.0), np.array([0.021, 0.019], np.float32)
    _, changed = reviewed(Bright(), image, points, scores, 1.0)
    odds = 0.021 / 0.979 * np.exp(2)
    np.testing.assert_allclose(changed, [odds / (1 + odds), 0.019], rtol=1e-5)


def test_certain_scores_stay_numbers() -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    points = np.array([(15.0, 20.0), (25.0, 20.0)])
    certain = np.array([1, 1], np.float32)
    _, changed = reviewed(Bright(), image, points, certain, 1.0)
    assert np.isfinite(changed).all()
    assert (changed > 0.999).all()
    # and may be doubted
    _, changed = reviewed(Bright(), np.zeros_like(image), points, certain, 1.0)
    assert (changed < 1).all()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_roots_are_as_large_in_the_squares_as_the_card_says(scale: float) -> None:
    review = Bright()
    image = np.zeros((400, 400, 3), np.uint8)
    image[197:203] = 255  # 6 px wide
    reviewed(review, image, np.array([(200.0, 199.5)]), np.array([0.5], np.float32), scale)
    for square, size in zip(review.seen[0][0], (1.0, 0.5), strict=True):
        assert square[:, 4, 0].sum() / 255 == pytest.approx(6 * scale * size, abs=0.3)


def test_a_detector_asks_its_review(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((120, 240, 3), np.uint8)
    image[:, 120:] = 160
    image[58:63, 58:63] = image[58:63, 178:183] = 255

    def scorer(seen: Image, centres: windows.Centres) -> Scores:
        dots = np.array([(60, 60), (180, 60)])
        far = np.abs(centres[:, None] - dots).max(axis=2).min(axis=1)
        return np.where(far < 2, 0.5, 0).astype(np.float32)

    plain = WindowDetector(scorer, threshold=0.1, root_width=5.0)
    points, scores = plain.find(image)
    assert scores.tolist() == [0.5, 0.5]
    reviewing = WindowDetector(scorer, threshold=0.1, root_width=5.0, review=Bright())
    after, changed = reviewing.find(image)
    assert set(map(tuple, after)) == set(map(tuple, points))
    assert after[0, 0] > 120
    np.testing.assert_allclose(changed, [np.exp(2) / (1 + np.exp(2)), 1 / (1 + np.exp(2))])
    # the threshold is for what comes out
    assert len(reviewing.find(image, 0.2)[0]) == 1
    # in pieces too
    scorer.reach = 8  # type: ignore[attr-defined]
    monkeypatch.setattr("roottip.bands.WHOLE", 1)
    pieces, theirs = reviewing.find(image)
    np.testing.assert_allclose(pieces, after)
    np.testing.assert_allclose(theirs, changed)


def test_finds_may_come_in_any_order():
    class Dark:
        card: ClassVar = {"window": 8, "sizes": [1.0]}

        def __call__(self, squares):
            return np.where(squares.mean(axis=(1, 2, 3, 4)) > 128, 2.0, -2.0).astype(np.float32)

    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 255
    points = np.array([(65.0, 20.0), (15.0, 20.0), (60.0, 20.0)])
    after, changed = reviewed(
        Dark(), image, points, np.array([WORTH / 2, 0.6, 0.5], np.float32), 1.0
    )
    assert after.tolist() == [[60, 20], [15, 20], [65, 20]]
    assert changed[2] == pytest.approx(WORTH / 2)


def test_a_review_sees_the_contrast_that_the_detector_saw() -> None:
    review = Bright()
    image = np.full((400, 400, 3), 60, np.uint8)
    for x in range(20, 380, 40):
        image[20:380, x : x + 5] = 75
    adjusting = adjustment(image, 5.0)
    assert adjusting.gain > 2

    def scorer(_: Image, centres: windows.Centres) -> Scores:
        return (np.abs(centres - 182).max(axis=1) < 3).astype(np.float32) / 2

    found, _ = WindowDetector(scorer, root_width=5.0, threshold=0.02, review=review).find(image)
    expected = squares_of(adjusting.prepared(image), found, [8.0, 16.0], 8)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(review.seen[0], expected)
