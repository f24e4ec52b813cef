from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import roottip
from roottip import bands, detector, windows
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.images import read_image
from roottip.looks import doubted
from roottip.scale import REFERENCE_WIDTH, adjustment
from roottip.scorers import cnn, features, load

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def brightness(image: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """A colleague's scorer: a function of two arguments."""
    grey = image if image.ndim == 2 else image.max(axis=2)
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 3)
    return (smooth / 255)[centres[:, 1], centres[:, 0]]


def dots(shape: tuple[int, ...], at: list[tuple[float, float]]) -> np.ndarray:
    image = np.zeros(shape, np.uint8)
    for x, y in at:
        cv2.circle(image, (round(x * 16), round(y * 16)), 6 * 16, 255, -1, cv2.LINE_AA, 4)
    return image


@given(st.floats(10, 170), st.floats(10, 110))
def test_a_bright_dot_is_found_where_it_is(x, y):
    detector = WindowDetector(brightness, threshold=0.3, radius=20, root_width=REFERENCE_WIDTH)
    points, scores = detector.find(dots((120, 180), [(x, y)]))
    assert len(points) == 1
    assert np.abs(points[0] - (x, y)).max() < 1.5
    assert 0.3 <= scores[0] <= 1


def test_what_scores_the_threshold_counts_where_evaluation_counts_it():
    image = dots((120, 180), [(90, 60)])

    def flat(_, centres):
        near = np.linalg.norm(centres - [90, 60], axis=1) < 3
        return np.where(near, level, 0).astype(np.float32)

    for level in (0.3, 0.35, 0.41, 0.5, 0.7):  # as a 32-bit number some are less, some more
        finder = WindowDetector(flat, threshold=level, radius=20, root_width=REFERENCE_WIDTH)
        all_of_them = finder.detect(image, "a", threshold=0.01)
        assert len(all_of_them) == 1
        scored = roottip.evaluate(all_of_them, all_of_them, ["a"], 5, threshold=level).summary
        assert scored["found"] == len(finder.find(image)[0])


class Pointing:
    """A scorer whose windows within 6 px of a white pixel see the nearest one, where it is."""

    reach = 10

    def __call__(self, image, centres):
        return self.look(image, centres)[0]

    def look(self, image, centres):
        at = np.argwhere(image[..., 0] == 255)[:, ::-1]
        apart = np.linalg.norm(centres[:, None] - at[None], axis=2)
        scores = np.where(apart.min(axis=1) < 6, 0.9 - apart.min(axis=1) / 100, 0)
        return scores.astype(np.float32), at[apart.argmin(axis=1)].astype(float)


@pytest.mark.parametrize("large", [False, True])
def test_two_tips_that_windows_point_to_are_two_points(monkeypatch, large):
    tips = [(60, 30), (67, 30), (63, 127), (63, 133)]  # some at a seam of two bands
    image = np.zeros((250, 128, 3), np.uint8)
    for x, y in tips:
        image[y - 4 : y + 5, x - 4 : x + 5, 1] = 200  # no empty ground
        image[y, x, 0] = 255
    if large:
        monkeypatch.setattr(bands, "WHOLE", 0)
        monkeypatch.setattr(detector, "PIECE", 128)
    finder = WindowDetector(Pointing(), radius=4, root_width=REFERENCE_WIDTH)
    points, _ = finder.find(image)
    assert sorted(map(tuple, points.round(6).tolist())) == sorted(tips)


@pytest.mark.parametrize(("apart", "count"), [(7, 1), (8, 1), (9, 2)])
def test_tips_within_the_radius_are_one(apart, count):
    image = np.zeros((90, 128, 3), np.uint8)
    image[26:35, 56 : 65 + apart, 1] = 200  # no empty ground
    image[30, [60, 60 + apart], 0] = 255
    finder = WindowDetector(Pointing(), radius=8, root_width=REFERENCE_WIDTH)
    assert len(finder.find(image)[0]) == count


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0])
def test_points_come_back_in_pixels_of_the_image_given(factor):
    at = [(100.0, 60.0), (300.0, 200.0)]
    image = dots((400, 600), at)
    detector = WindowDetector(brightness, threshold=0.1, root_width=REFERENCE_WIDTH / factor)
    points, _ = detector.find(image)
    for xy in at:
        assert np.linalg.norm(points - xy, axis=1).min() < 2.5 / factor


@pytest.mark.parametrize(("margin", "count"), [(0, 1), (4, 0)])
def test_a_corner_can_be_found_unless_the_margin_forbids(margin, count):
    detector = WindowDetector(brightness, threshold=0.3, root_width=5, margin=margin)
    points, scores = detector.find(dots((90, 90), [(0, 0)]))
    assert len(points) == len(scores) == count
    assert (np.abs(points) < 3).all()


def test_the_table_is_the_points():
    detector = WindowDetector(brightness, threshold=0.3, radius=20, root_width=5)
    tips = detector.detect(dots((90, 90), [(40, 50)]), "a")
    assert list(tips) == ["image", "x", "y", "score"]
    assert tips["image"].tolist() == ["a"]
    assert tips[["x", "y"]].to_numpy()[0] == pytest.approx((40, 50), abs=1.5)


def test_a_higher_threshold_only_removes():
    image = np.random.default_rng(0).integers(0, 256, (150, 200), np.uint8)
    detector = WindowDetector(brightness, radius=12, root_width=5)
    low, low_scores = detector.find(image, threshold=0.4)
    high, high_scores = detector.find(image, threshold=0.55)
    assert len(high) < len(low)
    assert np.array_equal(high, low[low_scores >= 0.55])
    assert np.array_equal(high_scores, low_scores[low_scores >= 0.55])


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 50), (3, 3), (7, 5, 3)])
def test_tiny_images_give_an_answer(shape):
    for value in (0, 255):
        tips = load("baseline").detect(np.full(shape, value, np.uint8))
        assert len(tips) == 0


def test_a_matrix_is_an_image_as_any(plate):
    grey = np.ascontiguousarray(plate[..., 1])
    tips = load("baseline").detect(grey)
    assert len(tips) == 1
    pd.testing.assert_frame_equal(load("baseline").detect(grey.view(np.matrix)), tips)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), float),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        [[1, 2], [3, 4]],
        "plate.jpg",
        Image.new("RGB", (4, 4)),
    ],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError, match=r"an image must be uint8 of shape \(H, W\)"):
        load("baseline").find(image)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"stride": 0}, "stride=0 must be a whole number of at least 1"),
        ({"stride": 2.5}, r"stride=2.5 must be a whole number"),
        ({"threshold": "high"}, "threshold=high must be a number"),
        ({"radius": -1}, "radius=-1 must be a number of at least 0"),
        ({"radius": float("nan")}, "radius=nan must be"),
        ({"root_width": 0}, "root_width=0 must be"),
        ({"root_width": 1000}, "root_width=1000 must be a number .* and at most 200"),
        ({"treshold": 0.5}, "unexpected keyword argument 'treshold'; its settings are stride"),
        ({"scorer": {"sigma": 0}}, "sigma=0 must be"),
        ({"scorer": {"weights": {"bias": 1}}}, "weights do not fit its measures"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, said):
    with pytest.raises(InputError, match=said):
        load("baseline", **setting)


@pytest.mark.parametrize("sizes", [[], "1", [1, 0], [1, True], [1, float("nan")], 1.4])
def test_sizes_that_cannot_work_are_refused(sizes):
    with pytest.raises(InputError, match=r"sizes=.* must be a list of numbers above 0"):
        load("cnn", sizes=sizes)


@pytest.mark.parametrize(("faint", "counted"), [(0.02, True), (0.012, True), (0.008, False)])
def test_a_find_of_one_percent_or_more_in_another_look_counts(faint, counted):
    class Two:
        def __call__(self, image, centres):
            return self.look(image, centres)[0]

        def look(self, image, centres):
            factor, score = (1.0, 0.8) if image.shape[0] == 120 else (0.8, faint)
            at = factor * np.array([50.0, 40.0])
            near = np.linalg.norm(centres - at, axis=1) < 4
            return np.where(near, score, 0).astype(np.float32), np.tile(at, (len(centres), 1))

    image = np.zeros((120, 160, 3), np.uint8)
    image[36:45, 46:55] = 200
    finder = WindowDetector(Two(), root_width=REFERENCE_WIDTH, sizes=[1, 0.8], threshold=0.1)
    assert finder.find(image)[1] == pytest.approx([0.4 + counted * faint / 2])


def test_a_review_may_raise_what_a_single_look_hardly_sees():
    class Believer:
        card: ClassVar = {"window": 16, "sizes": [1.0]}

        def __call__(self, squares):
            return np.full(len(squares), 3.0, np.float32)

    image = dots((120, 160), [(60, 60)]) // 3
    plain = WindowDetector(brightness, threshold=0.5, root_width=REFERENCE_WIDTH)
    assert len(plain.find(image)[0]) == 0
    believing = replace(plain, review=Believer())
    points, scores = believing.find(image)
    assert len(points) > 0
    low, low_scores = believing.find(image, threshold=0.01)
    assert np.array_equal(points, low[low_scores >= 0.5])
    assert np.array_equal(scores, low_scores[low_scores >= 0.5])


def test_an_image_is_looked_at_in_each_size_but_never_larger_than_it_is():
    seen = []

    def scorer(image, centres):
        seen.append(image.shape[1::-1])
        return brightness(image, centres)

    image = dots((240, 360), [(200.5, 180.5)])
    single = WindowDetector(scorer, threshold=0.3, radius=20, root_width=10)
    several = WindowDetector(
        scorer, threshold=0.3, radius=20, root_width=10, sizes=[1, 0.8, 1.6, 3, 4]
    )
    points, scores = several.find(image)
    assert seen == [(180, 120), (144, 96), (288, 192), (360, 240)]
    looks = [
        WindowDetector(scorer, threshold=0.01, radius=20, root_width=width).find(image)
        for width in (10, 12.5, 6.25, 5)
    ]
    expected = np.average([look[1] for look in looks], axis=0, weights=[1, 1, 1, 2])
    assert points.tolist() == single.find(image)[0].tolist() == looks[0][0].tolist()
    assert scores == pytest.approx(expected, abs=1e-6)
    assert len(several.find(image, threshold=float(scores[0]) + 0.01)[0]) == 0


@pytest.mark.parametrize("surest", [-0.1, 1, "0.5", True, float("nan")])
def test_a_surest_that_cannot_be_is_refused(surest):
    with pytest.raises(InputError, match=r"surest=.* must be a number from 0 to less than 1"):
        load("cnn", surest=surest)


def test_an_image_without_a_sure_find_has_lower_scores():
    image = dots((500, 600), [(50, 60), (120, 60)])
    image[:, 90:] //= 2
    looking = {
        surest: WindowDetector(
            brightness, threshold=0.2, radius=20, root_width=REFERENCE_WIDTH, surest=surest
        )
        for surest in (0, 0.6, 0.95)
    }
    _, scores = looking[0].find(image)
    assert len(scores) == 2
    assert 0.6 < scores[0] < 0.95
    assert looking[0.6].find(image)[1].tolist() == scores.tolist()
    points, lower = looking[0.95].find(image, threshold=0)
    assert points[:2].tolist() == looking[0].find(image)[0].tolist()
    assert lower[:2] == pytest.approx(doubted(scores, 0.95, 500 * 600))
    assert len(looking[0.95].find(image)[0]) < 2
    # a cut-out that holds little else is asked for less
    assert len(looking[0.95].find(image[:120, :180])[0]) == 2


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(InputError, match="no detector called 'basline'; did you mean baseline"):
        load("basline")
    with pytest.raises(InputError, match="no detector called 'CNN'; did you mean cnn"):
        load("CNN")


def test_weights_of_your_own_are_a_detector():
    image = read_image(SAMPLE / "images" / "plate_0001.jpg")
    for name, shipped in (("cnn", cnn.SHIPPED), ("features", features.SHIPPED)):
        ours = load(str(shipped), threshold=0.5).detect(image)
        assert len(ours)
        pd.testing.assert_frame_equal(ours, load(name, threshold=0.5).detect(image))
    with pytest.raises(InputError, match="nowhere"):
        load("nowhere.onnx")


def test_the_public_names_are_there():
    assert set(roottip.__all__) <= set(dir(roottip))
    for name in roottip.__all__:
        assert getattr(roottip, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = roottip.nothing


class Marked:
    """Windows within 6 px of the brightest pixels see their middle, where it is."""

    def __call__(self, image, centres):
        return self.look(image, centres)[0]

    def look(self, image, centres):
        at = np.argwhere(image[..., 0] == 255)[:, ::-1]
        if len(at) == 0:
            return np.zeros(len(centres), np.float32), centres.astype(float)
        far = np.linalg.norm(centres[:, None] - at[None], axis=2)
        return np.where(far.min(axis=1) < 6, 0.9, 0).astype(np.float32), at[
            far.argmin(axis=1)
        ].astype(float)


def marked(shape, left, top, side):
    image = np.zeros((*shape, 3), np.uint8)
    image[max(0, top - 4) : top + 5, max(0, left - 4) : left + 5, 1] = 200
    image[top : top + side, left : left + side, 0] = 255
    return image


def test_points_keep_to_pixels_centres_when_resized():
    # of 2 x 2 px one is left: its centre is between theirs
    image = marked((120, 160), 60, 40, 2)
    points, _ = WindowDetector(Marked(), root_width=2 * REFERENCE_WIDTH).find(image)
    assert points.tolist() == [[60.5, 40.5]]


@pytest.mark.parametrize(("left", "top"), [(3, 60), (156, 60), (80, 3), (80, 116)])
@pytest.mark.parametrize(("margin", "count"), [(3, 1), (3.5, 0)])
def test_the_margin_is_as_wide_on_every_side(left, top, margin, count):
    image = marked((120, 160), left, top, 1)  # 3 px from one edge's pixels
    found = WindowDetector(Marked(), root_width=REFERENCE_WIDTH, margin=margin)
    assert len(found.find(image)[0]) == count


@pytest.mark.parametrize(("left", "count"), [(3, 0), (4, 1)])
def test_unless_told_points_are_4_px_from_the_border(left, count):
    image = marked((120, 160), left, 60, 1)
    assert len(WindowDetector(Marked(), root_width=REFERENCE_WIDTH).find(image)[0]) == count


class Corner:
    def __call__(self, image, centres):
        return self.look(image, centres)[0]

    def look(self, image, centres):
        near = np.linalg.norm(centres, axis=1) < 8
        return np.where(near, 0.9, 0).astype(np.float32), np.where(near[:, None], 0.0, centres)


def test_points_of_an_enlarged_image_are_inside_the_given_one():
    image = marked((60, 60), 0, 0, 1)
    points, _ = WindowDetector(Corner(), root_width=REFERENCE_WIDTH / 2, margin=0).find(image)
    assert points.tolist() == [[0, 0]]


def test_how_much_an_image_must_hold_is_asked_in_px_of_the_resized_one():
    image = marked((240, 320), 100, 100, 2)
    plain, asking = (WindowDetector(Marked(), root_width=10, surest=s) for s in (0, 0.99))
    (score,) = plain.find(image)[1]
    (lower,) = asking.find(image, threshold=0)[1]
    assert lower == doubted(np.array([score]), 0.99, 120 * 160)[0]


def test_looks_are_one_tip_within_px_of_the_resized_image():
    # 10 px in the image, 5 px where roots are of reference width
    class Off:
        def __call__(self, image, centres):
            return self.look(image, centres)[0]

        def look(self, image, centres):
            at = np.array([50.0, 40.0]) if image.shape[0] == 120 else np.array([44.0, 32.0])
            far = np.linalg.norm(centres - at, axis=1)
            return np.where(far < 4, 0.8, 0).astype(np.float32), np.tile(at, (len(centres), 1))

    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    points, scores = WindowDetector(Off(), root_width=10, sizes=[1, 0.8], threshold=0.1).find(image)
    assert len(points) == 1
    assert scores[0] == pytest.approx(0.8)


@pytest.mark.parametrize(("apart", "count"), [(7.6, 1), (8.4, 2)])
def test_finds_of_two_looks_within_8_px_are_one_tip(apart, count):
    class Off:
        def __call__(self, image, centres):
            return self.look(image, centres)[0]

        def look(self, image, centres):
            # half of the size, so that half a pixel more is in the middle of a pixel
            at = (50, 40) if image.shape[0] == 120 else (24.75 + apart / 2, 19.75)
            far = np.linalg.norm(centres - np.array(at), axis=1)
            return np.where(far < 4, 0.8, 0).astype(np.float32), np.tile(at, (len(centres), 1))

    image = np.zeros((120, 160, 3), np.uint8)
    image[34:47, 44:68] = 200
    finder = WindowDetector(Off(), root_width=REFERENCE_WIDTH, sizes=[1, 0.5], threshold=0.1)
    assert finder.find(image)[1] == pytest.approx([0.8 / count] * count)


def test_what_a_review_leaves_without_a_sure_find_is_doubted():
    class Against:
        card: ClassVar = {"window": 16, "sizes": [1.0]}

        def __call__(self, squares):
            return np.full(len(squares), -3.0, np.float32)

    image = marked((600, 600), 100, 100, 1)
    one = WindowDetector(Marked(), root_width=REFERENCE_WIDTH, review=Against()).find(image, 0)[1]
    two = WindowDetector(Marked(), root_width=REFERENCE_WIDTH, review=Against(), surest=0.8).find(
        image, 0
    )[1]
    assert two == pytest.approx(doubted(one, 0.8, 600 * 600))
    assert two[0] < one[0]


def test_the_halo_reaches_as_far_as_the_scorer(monkeypatch):
    class Far:
        reach = 52

        def __call__(self, image, centres):
            x = centres[:, 0] - 52
            inside = image[centres[:, 1], np.maximum(x, 0), 0].astype(np.float32) / 255
            return np.where(x >= 0, inside, 0).astype(np.float32)

    image = np.full((128, 512, 3), 0, np.uint8)
    image[..., 1] = np.random.default_rng(0).integers(0, 256, (128, 512))
    image[60:70, 200:216, 0] = 255
    finder = WindowDetector(Far(), root_width=REFERENCE_WIDTH, threshold=0.5)
    whole = finder.find(image)[0]
    monkeypatch.setattr(bands, "WHOLE", 0)
    monkeypatch.setattr(detector, "PIECE", 256)
    pieces = finder.find(image)[0]
    assert len(whole)
    assert pieces == pytest.approx(whole, abs=1e-6)


def test_faint_and_noisy_images_are_seen_smoothed_and_raised_in_pieces(monkeypatch):
    class Watching:
        reach = 8

        def __call__(self, image, centres):
            self.image, self.centres = image, centres
            return np.zeros(len(centres), np.float32)

    rng = np.random.default_rng(0)
    image = 100 + 8 * cv2.GaussianBlur(rng.normal(0, 1, (512, 512)), (0, 0), 3)
    for x in range(25, 30):
        image[:, x::60] += 16
    image = np.clip(np.round(image + rng.normal(0, 8, image.shape)), 0, 255).astype(np.uint8)
    monkeypatch.setattr(bands, "WHOLE", 0)
    watching = Watching()
    WindowDetector(watching, root_width=REFERENCE_WIDTH).find(image)
    crops = bands.crops(image)
    adjusting = adjustment(crops, REFERENCE_WIDTH)
    assert adjusting.gain > 1
    assert adjusting.blur > 0
    assert np.array_equal(watching.image, adjusting(image))
    level = windows.typical([windows.structures(adjusting(crop)) for crop in crops])
    centres = windows.grid(image.shape, 4)
    kept = windows.foreground(adjusting(image), centres, noise=level)
    assert np.array_equal(watching.centres, centres[kept])
    assert 0.5 < kept.mean() < 0.95


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            lambda n: np.zeros(3),
            r"returned \(3,\) for \d+ windows; it must return one number for each",
        ),
        (lambda n: np.zeros((n, 1)), r"returned \(\d+, 1\) for \d+ windows"),
        (lambda n: None, r"returned NoneType for \d+ windows"),
        (lambda n: np.full(n, np.nan), "gave a window nan; scores are from 0 to 1"),
        (lambda n: [7.0] * n, "gave a window 7; scores are from 0 to 1"),
    ],
)
def test_what_no_scorer_may_return_is_said(given, said):
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    found = WindowDetector(lambda image, centres: given(len(centres)), root_width=5)
    with pytest.raises(InputError, match=said):
        found.find(image)
    as_list = WindowDetector(lambda image, centres: [0.0] * len(centres), root_width=5)
    assert len(as_list.find(image)[0]) == 0


class Looking:
    """A scorer whose answer with places is the one given."""

    def __init__(self, answer):
        self._answer = answer

    def look(self, image, centres):
        return self._answer(centres)

    def __call__(self, image, centres):
        raise AssertionError("look is asked")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda c: (np.full(len(c), 7.0), c), "gave a window 7; scores are from 0 to 1"),
        (lambda c: (np.ones(3), c), r"returned \(3,\) for \d+ windows"),
        (lambda c: (np.ones(len(c)), c[:3]), r"look returned places of \(3, 2\) for \d+ windows"),
        (lambda c: (np.ones(len(c)), c * np.nan), "x and y, finite, for each"),
        (lambda c: (np.ones(len(c)), None), "places of NoneType for"),
    ],
)
def test_what_no_look_may_return_is_said(answer, said):
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    with pytest.raises(InputError, match=said):
        WindowDetector(Looking(answer), root_width=5).find(image)
    plain = Looking(lambda c: ([0.7] * len(c), c.tolist()))
    scores = WindowDetector(plain, root_width=5).find(image)[1]
    assert scores.dtype == np.float32
    assert set(scores) == {np.float32(0.7)}


@pytest.mark.parametrize("threshold", ["0.5", 50, -1, float("nan")])
def test_a_threshold_that_cannot_be_is_refused_where_an_image_is_looked_at(threshold):
    image = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(InputError, match=f"threshold={threshold} must be a number"):
        load("baseline").detect(image, threshold=threshold)


def test_a_stride_may_be_any_whole_number():
    assert load("baseline", stride=np.int64(8)).stride == 8


def test_a_detectors_file_may_be_a_path():
    with pytest.raises(InputError, match=r"own\.onnx cannot be read: there is no such file"):
        load(Path("own.onnx"))
    with pytest.raises(InputError, match="no detector called 'cnm'; did you mean cnn"):
        load(Path("cnm"))
    assert load(Path("baseline")).threshold == load("baseline").threshold
