"""Bands: the same pixels, the same windows and the same tips as all of an image at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from cut import Cut
from hypothesis import example, given
from hypothesis import strategies as st

from roottip import bands, detector, windows
from roottip.errors import InputError
from roottip.images import read_image
from roottip.scale import REFERENCE_WIDTH, adjustment, resized
from roottip.scorers import load

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "images"


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def drawn(height, width, eighths=8):
    """Drawn plates side by side, their roots 5 * eighths / 8 px wide; some tips lie at seams."""
    names = [SAMPLE / f"plate_{n:04d}.jpg" for n in (3, 5, 7, 11)]  # of about 5 px
    first, second, third, fourth = (read_image(name) for name in names)
    four = np.concatenate([np.hstack([first, second]), np.hstack([third, fourth])])
    eight = np.concatenate([four, four[::-1, ::-1]])
    size = [side * eighths // 8 for side in eight.shape[1::-1]]
    sized = cv2.resize(eight, size, interpolation=cv2.INTER_LINEAR)
    repeats = (-(-height // size[1]), -(-width // size[0]), 1)
    return np.ascontiguousarray(np.tile(sized, repeats)[:height, :width])


@pytest.fixture
def all_large(monkeypatch):
    monkeypatch.setattr(bands, "WHOLE", 0)
    monkeypatch.setattr(bands, "LARGE", 0)
    monkeypatch.setattr(detector, "PIECE", 256)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 15), st.integers(0, 9))
def test_bands_are_the_image_with_their_neighbours(height, step, halo, seed):
    image = noise((height, 3), seed)
    tops = []
    for top, start, band in bands.in_bands(Cut(image, seed), step, halo):
        tops.append(top)
        assert start == max(0, top - halo)
        assert np.array_equal(band, image[start : top + step + halo])
    assert tops == list(range(0, height, step))


@example(417, 1, 13)  # a last band of a single row
@given(st.integers(1, 700), st.integers(1, 90), st.sampled_from([4, 5, 8, 9, 13, 40]))
def test_pieces_are_resized_to_the_pixels_of_the_whole(height, width, eighths):
    image = noise((height, width))
    ours = np.concatenate(list(resized(Cut(image), height, eighths)))
    padded = cv2.copyMakeBorder(
        image, 0, -height % eighths, 0, -width % eighths, cv2.BORDER_REFLECT_101
    )
    size = [side * 8 // eighths for side in padded.shape[::-1]]
    method = cv2.INTER_AREA if eighths > 8 else cv2.INTER_CUBIC
    whole = cv2.resize(padded, size, interpolation=method)
    # OpenCV places the pixels of an enlarged image to some 1/2000 of a pixel only
    assert np.abs(ours.astype(int) - whole).max() <= (2 if eighths < 8 else 0)
    again = np.concatenate(list(resized([image], height, eighths)))
    assert np.array_equal(again, ours)


def test_crops_are_parts_of_the_image(monkeypatch):
    monkeypatch.setattr(bands, "_SIDE", 50)
    y, x = np.mgrid[:900, :700].astype(np.uint16)
    image = np.stack([x // 3, y // 4, x % 3 + y % 4 * 4], axis=2).astype(np.uint8)
    corners = []
    for crop in bands.crops(Cut(image)):
        thirds, quarters, rest = map(int, crop[0, 0])
        left, top = 3 * thirds + rest % 4, 4 * quarters + rest // 4
        assert np.array_equal(crop, image[top : top + 50, left : left + 50])
        corners.append((left, top))
    assert len(set(corners)) == 36
    assert np.ptp(corners, axis=0).tolist() == [630 - 50, 810 - 50]


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (300, 2, 3), (64, 64, 3)])
def test_thin_images_have_crops_and_a_small_copy(shape):
    image = noise(shape)
    assert all(crop.size for crop in bands.crops(image))
    small = bands.shrunk(Cut(image), 50)
    assert max(small.shape[:2]) <= 50
    assert min(small.shape[:2]) >= 1


def test_a_small_copy_is_the_average():
    image = noise((640, 480, 3))
    expected = image.reshape(40, 16, 30, 16, 3).mean(axis=(1, 3))
    assert np.abs(bands.shrunk(Cut(image), 40) - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("shape", "eighths"),
    [((1400, 2000), 8), ((1703, 1300), 13), ((800, 1000), 5)],
    ids=["as it is", "made smaller", "enlarged"],
)
def test_bands_find_the_points_of_the_whole(all_large, monkeypatch, shape, eighths):
    image = drawn(*shape, eighths)
    # pieces are resized in eighths, as the image is here; a second look's size is between them
    width = REFERENCE_WIDTH * eighths / 8
    found = load("cnn", root_width=width, threshold=0.3, sizes=[1])
    points, scores = found.find(Cut(image))
    monkeypatch.setattr(bands, "WHOLE", 10**9)
    expected, expected_scores = found.find(image)
    assert len(expected) > 10
    # tips whose suppression and sub-pixel step reach over a seam
    scaled = expected[:, 1] * 8 / eighths
    assert (np.abs(scaled - 256 * np.round(scaled / 256)) < 8).sum() > 1
    assert points.shape == expected.shape
    assert np.abs(points - expected).max() < 1e-3
    assert np.abs(scores - expected_scores).max() < 1e-5


def test_bands_in_several_sizes_find_the_points_of_the_whole(all_large, monkeypatch):
    # of so small an image the crops' noise is not that of the whole
    monkeypatch.setattr(windows, "typical", lambda maps: 3.0)
    image = drawn(1232, 1936)  # whole blocks of 8 and of 11 px
    found = load("cnn", root_width=REFERENCE_WIDTH, threshold=0.2, sizes=[1, 8 / 11])
    points, scores = found.find(Cut(image))
    monkeypatch.setattr(bands, "WHOLE", 10**9)
    expected, expected_scores = found.find(image)
    assert len(expected) > 10
    assert np.abs(points - expected).max() < 1e-3
    assert np.abs(scores - expected_scores).max() < 1e-5


@pytest.mark.parametrize("strength", [0, 12])
def test_bands_of_any_height_give_one_result(all_large, monkeypatch, strength):
    image = drawn(1241, 1507)[3:, 5:]  # no multiples of anything
    grain = np.random.default_rng(0).normal(0, strength, image.shape)
    image = np.clip(image + grain, 0, 255).astype(np.uint8)
    assert (adjustment(bands.crops(image)).blur > 0) == (strength > 0)
    found = load("cnn", threshold=0.3)
    points, scores = found.find(Cut(image))
    monkeypatch.setattr(detector, "PIECE", 10_000)
    whole_points, whole_scores = found.find(image)
    assert len(points) > 10
    assert np.abs(points - whole_points).max() < 1e-3
    assert np.abs(scores - whole_scores).max() < 1e-5
    assert (points >= 0).all()
    assert (points <= np.array(image.shape[1::-1]) - 1).all()


def test_a_crowd_over_a_seam_is_one_point(all_large):
    """A scorer that scores the seam's rows alike: the best is found once, and refined."""

    def bright(image, centres):
        return image[centres[:, 1], centres[:, 0]].astype(np.float32) / 255

    bright.reach = 0
    image = np.zeros((800, 800), np.uint8)
    cv2.circle(image, (401, 256), 9, 200, -1)
    image[253:255, 401] = 255
    points, _ = detector.WindowDetector(bright, root_width=5, radius=30).find(image)
    assert len(points) == 1
    assert np.abs(points[0] - (401, 255)).max() < 4


def test_an_empty_image_has_no_points(all_large):
    points, scores = load("cnn").find(np.full((700, 500), 90, np.uint8))
    assert points.shape == (0, 2)
    assert scores.shape == (0,)


@pytest.mark.parametrize("name", ["baseline", "features"])
def test_scorers_that_look_at_all_of_an_image_are_refused(all_large, name):
    with pytest.raises(InputError, match="use detector=cnn, or cut the image into parts"):
        load(name).find(noise((50, 50, 3)))


def test_scorers_that_look_at_all_of_an_image_are_given_all_that_can_be_read(monkeypatch):
    image, found = drawn(300, 400), load("baseline")
    expected, _ = found.find(image)
    monkeypatch.setattr(bands, "WHOLE", 0)
    assert len(expected) > 0
    assert np.array_equal(found.find(image)[0], expected)


def test_windows_of_the_pieces_are_those_of_the_image():
    whole = windows.grid((103, 41), 4)
    parts = [windows.grid((103, 41), 4, rows=(top, top + 10)) for top in range(0, 103, 10)]
    assert np.array_equal(np.concatenate(parts), whole)
    columns = [windows.grid((103, 41), 4, columns=(left, left + 7)) for left in range(0, 41, 7)]
    assert sorted(np.concatenate(columns).tolist()) == sorted(whole.tolist())


MEMORY = """
import sys
import numpy as np
import psutil
from roottip import bands
from roottip.bands import Strips
from roottip.scorers import load

class Large(Strips):
    def __init__(self, height, width):
        self.shape = (height, width, 3)
        self.part = np.random.default_rng(0).integers(90, 99, (50, width, 3), np.uint8)
        self.part[25:, 1500:1505] = 220
    def __iter__(self):
        return (self.part.copy() for _ in range(self.shape[0] // 50))

bands.WHOLE = 0
found, image = load("cnn", root_width=5), Large(*map(int, sys.argv[1:]))
found.find(image)
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the peak")
def test_memory_does_not_grow_with_the_image():
    def peak(*shape):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *map(str, shape)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout) / 1024

    small = peak(4_000, 3_000)
    # 108 MB more of pixels
    assert peak(16_000, 3_000) < small + 40
    # besides the piece that is searched a band is held, of 1,120 rows
    assert peak(4_000, 12_000) < small + 60


def test_windows_beyond_a_seam_too_faint_to_be_found_move_the_find_beside_it(monkeypatch):
    def two(image, centres):
        level = image[centres[:, 1], centres[:, 0], 0]
        return np.select([level == 255, level == 200], [0.9, 0.4], 0).astype(np.float32)

    two.reach = 8
    monkeypatch.setattr(detector, "PIECE", 128)
    image = np.zeros((256, 256, 3), np.uint8)
    image[..., 1] = noise((256, 256))  # no empty ground
    places = windows.lattice(256, 4)
    before, after = places[places < 128][-1], places[places >= 128][0]
    image[after, [after, after + 40], 0] = 255
    image[after, before, 0] = image[before, after + 40, 0] = 200
    found = detector.WindowDetector(two, root_width=REFERENCE_WIDTH)
    whole, _ = found.find(image)
    assert len(whole) == 2
    monkeypatch.setattr(bands, "WHOLE", 0)
    assert found.find(image)[0] == pytest.approx(whole, abs=1e-6)
