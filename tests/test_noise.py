"""A camera's noise: how strong it is taken to be, and what smoothing leaves of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from cut import Cut
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import gaussian_filter

from roottip import noise
from roottip.images import read_image
from roottip.matching import match
from roottip.scale import NOISE, adjustment, resize
from roottip.scorers import load
from roottip.table import check_points, read

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def noisy(image, deviation, seed=0):
    added = image + np.random.default_rng(seed).normal(0, deviation, image.shape)
    return np.clip(np.round(added), 0, 255).astype(np.uint8)


def drawn(number=3):
    return read_image(SAMPLE / "images" / f"plate_{number:04d}.jpg")


@pytest.mark.parametrize("deviation", [5, 8, 12, 20, 30])
@pytest.mark.parametrize("grey", [False, True])
def test_noise_is_measured_as_strong_as_it_is_made(deviation, grey):
    plain = np.full((300, 400) if grey else (300, 400, 3), 120, np.uint8)
    assert noise.level([noisy(plain, deviation)]) == pytest.approx(deviation, rel=0.04)


@pytest.mark.parametrize("height", [8, 256, 257, 258, 263, 264, 513, 769])
def test_a_few_last_rows_do_not_dilute_it(height):
    image = noisy(np.full((height, 2000), 128, np.uint8), 10)
    assert noise.level([image]) == pytest.approx(10, rel=0.05)


def test_slopes_and_edges_are_no_noise():
    across = np.tile(np.linspace(20, 220, 400), (300, 1))
    across[100:200, 150:250] += 30
    plain = across.astype(np.uint8)
    assert noise.level([plain]) < 0.5
    assert noise.level([noisy(plain, 10)]) == pytest.approx(10, rel=0.04)


def test_roots_hardly_count_as_noise():
    image = drawn()
    own = noise.level([image])
    assert noise.level([noisy(image, 12)]) == pytest.approx(np.hypot(own, 12), rel=0.05)


def test_crops_say_what_the_whole_does():
    image = noisy(np.full((600, 600), 90, np.uint8), 9)
    crops = [image[:256, :300], image[256:, 300:]]
    assert noise.level(crops) == pytest.approx(noise.level([image]), rel=0.05)
    quiet, loud = (noisy(np.full((832, 300), 120, np.uint8), strength) for strength in (5, 15))
    assert noise.level([quiet, loud]) == pytest.approx(10, rel=0.04)
    # of its four blocks of rows that are looked at one is quiet
    mixed = np.concatenate([quiet[:200], loud[200:]])
    assert noise.level([mixed]) == pytest.approx((5 + 3 * 15) / 4, rel=0.04)


@pytest.mark.parametrize("deviation", [12, 20, 30])
@pytest.mark.parametrize("scale", [1.0, 0.7, 0.4])
def test_smoothing_and_resizing_leave_as_much_noise_as_was_asked_for(deviation, scale):
    image = noisy(np.full((500, 500), 120, np.uint8), deviation)
    width = noise.blur_sigma(deviation, 4.0, scale)
    left = resize(noise.smoothed(image, width), scale).std()
    assert left == pytest.approx(4.0, rel=0.1)
    assert image.std() * scale > left


@given(st.floats(0, 60), st.floats(1, 10), st.floats(0.2, 2))
def test_stronger_noise_is_smoothed_more_and_weak_noise_not_at_all(deviation, least, scale):
    width = noise.blur_sigma(deviation, least, scale)
    assert noise.blur_sigma(1.5 * deviation, least, scale) >= width
    assert noise.blur_sigma(deviation, least, scale / 2) <= width  # resizing averages it too
    # to enlarge averages nothing
    assert noise.blur_sigma(deviation, least, 1 / scale) == noise.blur_sigma(
        deviation, least, min(1 / scale, 1)
    )
    if deviation * min(scale, 1) <= least:
        assert width == 0


@pytest.mark.parametrize("width", [0.4, 1.0, 2.3])
def test_smoothing_is_scipys_gaussian_of_four_widths(width):
    image = np.zeros((40, 50), np.uint8)
    image[:, 25:] = image[:7] = 255  # edges show how far it reaches
    ours = noise.smoothed(image, width)
    truly = gaussian_filter(image.astype(float), width, mode="mirror", truncate=4)
    assert np.abs(ours - truly).max() < 1.5


def test_an_image_without_noise_is_left_as_it_is():
    image = drawn(5)
    assert adjustment(image).blur == 0
    assert noise.smoothed(image, 0) is image


@given(
    array_shapes(min_dims=2, max_dims=2, max_side=300),
    st.integers(0, 99),
    st.sampled_from([0.3, 0.8, 2.0, 9.0]),
    st.booleans(),
)
def test_rows_at_a_time_are_smoothed_to_the_pixels_of_the_whole(shape, seed, width, grey):
    shape = shape if grey else (*shape, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    rows = noise.smoothed(Cut(image, seed), width)
    assert rows.shape == image.shape
    assert np.array_equal(np.concatenate(list(rows)), noise.smoothed(image, width))


def test_where_contrast_is_raised_so_is_the_noise():
    image = np.full((900, 900), 30, np.uint8)
    for x in range(80, 820, 140):
        cv2.line(image, (x, 90), (x + 60, 810), 46, 5, cv2.LINE_AA)
    faint = noisy(image, 8)
    adjusting = adjustment(faint)
    assert adjusting.gain > 2
    assert adjusting.blur > noise.blur_sigma(8, NOISE, adjusting.scale) > 0
    ground = adjusting(faint)[:, : int(70 * adjusting.scale)]
    assert ground.std() == pytest.approx(NOISE, rel=0.15)


@pytest.mark.parametrize("name", ["baseline", "cnn"])
def test_detectors_see_the_image_smoothed(monkeypatch, name):
    image = noisy(drawn(5), 14)
    detector = load(name, root_width=5)
    points, scores = detector.find(image)
    width = adjustment(image, 5).blur
    assert width > 0
    monkeypatch.setattr(noise, "blur_sigma", lambda *_: 0.0)
    expected, expected_scores = detector.find(noise.smoothed(image, width))
    assert len(points) > 5
    assert np.array_equal(points, expected)
    assert np.array_equal(scores, expected_scores)


def test_more_tips_of_a_noisy_photograph_are_found(shared, monkeypatch):
    tips = check_points(read(shared / "osr" / "tips.csv"), "tips")
    rows = read(shared / "osr" / "images.csv")
    name = rows.loc[rows["split"] == "train", "image"].iloc[0]
    truth = tips.loc[(tips["image"] == name) & (tips["ignore"] == 0), ["x", "y"]].to_numpy()
    left, top = np.quantile(truth, 0.2, axis=0).astype(int)
    part = read_image(shared / "osr" / "images" / name)[top : top + 350, left : left + 350]
    image = noisy(part, 12)
    features = load("features")

    def hits():
        return len(match(features.find(image)[0], truth - (left, top), 10.0)[0])

    found = hits()
    assert found > 4
    monkeypatch.setattr(noise, "blur_sigma", lambda *_: 0.0)
    assert found > 1.3 * hits()


@given(arrays(np.uint8, st.integers(1, 40), elements=st.integers(0, 6)), st.floats(0, 1))
def test_quantiles_are_numpys(levels, share):
    assert noise.quantile(levels.reshape(1, -1), share) == pytest.approx(np.quantile(levels, share))
