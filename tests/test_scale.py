from __future__ import annotations

import cv2
import numpy as np
import pytest

from roottip import table
from roottip.images import read_image
from roottip.lines import measured
from roottip.scale import PLAIN, REFERENCE_WIDTH, Adjustment, adjustment


def roots(width: int, side: int = 900) -> np.ndarray:
    image = np.full((side, side, 3), (40, 60, 150), np.uint8)
    for x in range(80, side - 80, 140):
        cv2.line(image, (x, 90), (x + 60, side - 90), (210, 210, 210), width, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("width", [8, 12, 16, 20])
def test_wide_roots_become_the_reference_width(width):
    scaled = adjustment(roots(width))(roots(width))
    assert measured([scaled]).width == pytest.approx(REFERENCE_WIDTH, rel=0.25)


@pytest.mark.parametrize("width", [22, 30, 40, 60, 80])
def test_roots_wider_than_their_backgrounds_window_become_the_reference_width(width):
    image = np.full((1600, 1600, 3), (40, 60, 150), np.uint8)
    for x in range(300, 1300, 400):
        cv2.line(image, (x, 200), (x + 80, 1400), (210, 210, 210), width, cv2.LINE_AA)
    added = image + np.random.default_rng(0).normal(0, 6, image.shape)
    image = np.clip(cv2.GaussianBlur(added, (0, 0), 1.2), 0, 255).astype(np.uint8)
    assert adjustment(image).scale == pytest.approx(REFERENCE_WIDTH / width, rel=0.15)


@pytest.mark.parametrize("share", [0.04, 0.08])
@pytest.mark.parametrize("width", [8, 12, 16])
def test_the_faintest_roots_are_as_wide_as_plain_ones(width, share):
    plain = np.full((900, 900, 3), (40, 60, 150), np.uint8)
    for x in range(80, 820, 140):
        cv2.line(plain, (x, 90), (x + 60, 810), (210, 210, 210), width, cv2.LINE_AA)
    faint = np.round(share * plain + 90).astype(np.uint8)
    assert adjustment(faint).scale == pytest.approx(adjustment(plain).scale, rel=0.01)


@pytest.mark.parametrize("width", [1.7, 2.0, 2.2])
def test_fine_roots_are_made_as_wide_as_plain_ones(width):
    wide = roots(12, side=1800)
    factor = width * adjustment(wide).scale / REFERENCE_WIDTH
    fine = cv2.resize(wide, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    assert adjustment(fine).scale == pytest.approx(REFERENCE_WIDTH / width, rel=0.1)


def test_wider_roots_are_made_smaller():
    scales = [adjustment(roots(width)).scale for width in (4, 8, 12, 16, 20)]
    assert scales == sorted(scales, reverse=True)
    assert scales[0] == 1


def test_the_side_that_is_bright_does_not_matter():
    image = roots(12)
    assert adjustment(255 - image).scale == pytest.approx(adjustment(image).scale, rel=0.05)


@pytest.mark.parametrize("deviation", [10, 20, 25])
@pytest.mark.parametrize("width", [8, 12, 16, 20])
def test_noise_does_not_make_roots_narrower(width, deviation):
    plain = 70 + 0.33 * roots(width)
    added = np.random.default_rng(1).normal(0, deviation, plain.shape)
    faint, noisy = (np.clip(image, 0, 255).astype(np.uint8) for image in (plain, plain + added))
    assert adjustment(noisy).scale == pytest.approx(adjustment(faint).scale, rel=0.15)


@pytest.mark.parametrize("level", [110, 140, 200])
def test_shoots_do_not_make_roots_wider(level):
    image = np.full((900, 900, 3), 40, np.uint8)
    for x in range(80, 820, 140):
        cv2.line(image, (x, 90), (x + 60, 810), (90, 90, 90), 3, cv2.LINE_AA)
    grown = image.copy()
    for x in range(80, 820, 140):
        cv2.line(grown, (x, 60), (x, 270), (level,) * 3, 20, cv2.LINE_AA)
    assert measured([grown]).width == pytest.approx(measured([image]).width, rel=0.1)


def test_a_known_width_is_taken_as_it_is():
    assert adjustment(roots(5), root_width=20).scale == REFERENCE_WIDTH / 20
    assert adjustment(roots(5), root_width=0.5).scale == 3  # no further than LARGEST
    assert adjustment(roots(50), root_width=50).scale == 0.1


@pytest.mark.parametrize("shape", [(1, 1), (3, 2, 3), (200, 300), (200, 300, 3)])
def test_without_roots_nothing_is_resized(shape):
    image = np.full(shape, 90, np.uint8)
    assert measured([image]) is None
    assert adjustment(image) == Adjustment(1)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert adjustment(noise) == Adjustment(1)


@pytest.mark.parametrize(("name", "low", "high"), [("osr", 1, 1), ("tillmore", 0.28, 0.6)])
def test_photographs_of_one_set_get_nearly_one_scale(shared, name, low, high):
    images = table.read(shared / name / "images.csv")
    for image in images.loc[images["split"] == "train", "image"].iloc[::12]:
        assert low <= adjustment(read_image(shared / name / "images" / image)).scale <= high


@pytest.mark.parametrize("rim", [0, 255])
@pytest.mark.parametrize("share", [0.08, 0.33])
def test_what_a_plate_lies_on_does_not_matter(share, rim):
    image = roots(10)
    image[:, :6] = 255  # the sheet's own edge is a line too
    wide = int(share * 900)
    framed = cv2.copyMakeBorder(image, *[wide] * 4, cv2.BORDER_CONSTANT, value=(rim,) * 3)
    assert adjustment(framed).scale == pytest.approx(adjustment(roots(10)).scale, rel=0.1)


@pytest.mark.parametrize(("share", "level"), [(0.2, 0), (0.2, 180), (0.1, 30)])
@pytest.mark.parametrize("grey", [False, True])
def test_faint_roots_are_made_plain(share, level, grey):
    image = roots(5) if not grey else cv2.cvtColor(roots(5), cv2.COLOR_RGB2GRAY)
    faint = np.round(share * image + level).astype(np.uint8)
    adjusting = adjustment(faint)
    assert measured([faint]).contrast < 0.9 * PLAIN
    assert measured([adjusting(faint)]).contrast == pytest.approx(PLAIN, rel=0.15)
    # the ground stays as it is, but for room to stand out, of which there may be none
    corner = np.mean(faint[200:700, :60], axis=(0, 1))
    low, high = (np.minimum(adjusting.gain * free, 70) for free in (corner, 255 - corner))
    kept = np.clip(corner, low, 255 - high)
    assert np.mean(adjusting(faint)[200:700, :60], axis=(0, 1)) == pytest.approx(kept, abs=4)


def test_plain_roots_are_left_as_they_are():
    image = roots(5)
    assert adjustment(image).prepared(image) is image


def test_faint_roots_are_made_plain_on_both_sides_of_a_shadow():
    ground = np.where(np.arange(900) < 450, 40, 160)
    faint = np.round(0.1 * roots(5) + ground[:, None]).astype(np.uint8)
    plain = adjustment(faint)(faint)
    for half in (plain[:, :400], plain[:, 500:]):
        assert measured([half]).contrast == pytest.approx(PLAIN, rel=0.2)


def test_a_dark_photograph_is_read_as_well_as_a_light_one(shared):
    image = read_image(next((shared / "osr" / "images").glob("*")))
    dark = (0.25 * image.astype(np.float64)).astype(np.uint8)
    light, raised = adjustment(image), adjustment(dark)
    assert light.gain == 1 < raised.gain
    assert raised.scale == pytest.approx(light.scale, rel=0.2)


@pytest.mark.parametrize("width", [5, 7, 9])
def test_a_width_is_measured_in_pixels(width):
    image = np.full((900, 900, 3), (40, 60, 150), np.uint8)
    for x in range(80, 820, 140):
        image[90:810, x : x + width] = 210
    assert measured([image]).width == pytest.approx(width / 0.95, abs=0.1)


@pytest.mark.parametrize(("low", "high"), [(110, 150), (90, 170)])
def test_uneven_light_does_not_make_faint_roots_fainter(low, high):
    image = np.tile(np.linspace(low, high, 900)[:, None], (1, 900))
    for x in range(80, 820, 140):
        image[90:810, x : x + 9] += 12
    found = adjustment(np.round(image).astype(np.uint8))
    assert found.gain == pytest.approx(PLAIN / 12, rel=0.05)
    assert found.scale == pytest.approx(REFERENCE_WIDTH / 9, rel=0.35)


@pytest.mark.parametrize(("width", "scale"), [(6.8, 1.0), (7.0, 0.78)])
def test_only_what_is_within_a_fifth_of_its_size_is_left_as_it_is(width, scale):
    fine = np.full((1, 7000), 80, np.uint8)  # ten times as wide, for parts of a pixel
    for x in range(800, 6200, 1000):
        fine[:, x : x + round(10 * width)] = 210
    row = cv2.resize(fine, (700, 1), interpolation=cv2.INTER_AREA)
    image = cv2.copyMakeBorder(np.tile(row, (580, 1)), 60, 60, 0, 0, cv2.BORDER_CONSTANT, value=80)
    assert adjustment(image).scale == pytest.approx(scale, abs=0.015)


@pytest.mark.parametrize(("long", "seen"), [(81, False), (99, True)])
def test_a_root_is_ten_times_longer_than_wide(long, seen):
    image = np.full((600, 900), 80, np.uint8)
    for x in range(100, 820, 120):
        image[200 : 200 + long, x : x + 9] = 210
    assert (measured([image]) is not None) == seen


@pytest.mark.parametrize(("long", "seen"), [(38, False), (54, True)])
def test_what_is_shorter_than_40_px_is_no_root(long, seen):
    image = np.full((600, 900), 80, np.uint8)
    for x in range(100, 820, 120):  # slanted: what lies straight above and below is ground
        cv2.line(image, (x, 200), (x + long, 200 + long), 210, 3)
    assert (measured([image]) is not None) == seen


@pytest.mark.parametrize(("wide", "counted"), [(7, True), (11, False)])
def test_what_is_over_three_times_as_wide_as_most_is_no_root(wide, counted):
    image = np.full((900, 900), 80, np.uint8)
    for n, x in enumerate(range(80, 820, 100)):
        image[90:810, x : x + (wide if n % 4 == 3 else 3)] = 210
    expected = np.sqrt((3 * 3**2 + wide**2) / 4) if counted else 3
    assert measured([image]).width == pytest.approx(expected / 0.95, rel=0.03)
