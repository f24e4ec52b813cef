from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roottip import windows
from roottip.errors import InputError
from roottip.learning import patches
from roottip.learning.net import STRIDE, WINDOW
from roottip.learning.patches import R1, R2, SIDE, Samples, light
from roottip.learning.plates import Plate, distance, read_plates


@pytest.fixture(scope="module")
def plates(drawn: Path) -> list[Plate]:
    return read_plates([drawn])


@pytest.fixture(scope="module")
def samples(plates: list[Plate]) -> Samples:
    mined = [np.array([[5, 5], [9, 5]], np.int32) for _ in plates]
    return Samples(plates, 120, seed=3, number=1, mined=mined)


def test_augmentation_is_seeded() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    point = np.array([90, 120], np.int32)
    first, place = patches.augment(image, point, 5)
    patches.augment(image, point, 6)
    again, same_place = patches.augment(image, point, 5)
    assert first.tobytes() == again.tobytes()
    assert place.tolist() == same_place.tolist()
    assert any(patches.augment(image, point, i)[0].tobytes() != first.tobytes() for i in range(3))


def test_augmentation_says_where_a_pixel_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "light", lambda: _NoLight())
    image, point = np.zeros((300, 250, 3), np.uint8), np.array([120, 170], np.int32)
    offset = np.array([12, -7])
    x, y = point + offset
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    for seed in range(20):
        sample, place = patches.augment(image, point, seed)
        weight = sample[..., 0].astype(float)
        rows, columns = np.indices(weight.shape)
        centroid = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        expected = place @ [*offset, 1.0]
        assert np.hypot(*(centroid - expected)) < 0.2
        middle = place @ [0.0, 0.0, 1.0]
        assert np.hypot(*(middle - SIDE // 2)) <= patches.SHIFT


class _NoLight:
    def set_random_seed(self, seed: int) -> None:
        pass

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image}


def test_beyond_its_border_the_image_is_reflected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a scan: a sample in a corner is one of the padded image."""
    monkeypatch.setattr(patches, "light", lambda: _NoLight())
    image = cv2.blur(
        np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8), (5, 5)
    )
    point, size = np.array([88, 3], np.int32), 2 * SIDE + 1
    padded = windows.pad(image, size)
    for seed in range(20):
        sample, place = patches.augment(image, point, seed)
        expected, same_place = patches.augment(padded, point + SIDE, seed)
        assert np.array_equal(place, same_place)
        # OpenCV places pixels to some 1/32 of a pixel
        assert np.abs(sample.astype(int) - expected).max() <= 8


def test_labels_by_distance() -> None:
    none = np.empty((0, 2))
    image = np.zeros((100, 100, 3), np.uint8)
    plate = Plate("d", "n", "g", image, np.array([[50.0, 50.0]]), np.array([[50.0, 90.0]]))
    x = np.array([50, 50 + R1, 50 + R1 + 0.1, 50 + R2, 50 + R2 + 0.1, -1, 99, 100])
    places = np.column_stack([x, np.full(len(x), 50.0)])
    expected = [1, 1, np.nan, np.nan, 0, np.nan, 0, np.nan]
    np.testing.assert_array_equal(patches.labels(plate, places), expected)
    near_ignored = np.array([[50.0, 90.0 - R2], [50.0, 90.0 - R2 - 0.1]])
    np.testing.assert_array_equal(patches.labels(plate, near_ignored), [np.nan, 0])
    # in a sample of twice the size distances are twice as long
    np.testing.assert_array_equal(patches.labels(plate, places[1:2] + np.array([1, 0]), 2.0), [0])
    blank = Plate("d", "n", "g", image, none, none)
    np.testing.assert_array_equal(patches.labels(blank, places[:2]), [0, 0])


@given(st.floats(0, 6.3), st.floats(-0.3, 0.3), st.sampled_from([-1.0, 1.0]))
def test_offsets_lead_to_the_nearest_tip_in_the_sample(
    angle: float, log_zoom: float, mirror: float
) -> None:
    zoom = np.exp(log_zoom)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * turn * [mirror, 1.0]
    tips = np.array([[50.0, 50.0], [58.0, 50.0]])
    plate = Plate("d", "n", "g", np.zeros((100, 100, 3), np.uint8), tips, np.array([[50.0, 66.0]]))
    places = np.array([[53.0, 52.0], [55.0, 48.0], [50.0, 58.0], [90.0, 90.0]])
    found = patches.offsets(plate, places, linear)
    to_sample = places @ linear.T + found
    np.testing.assert_allclose(to_sample[:2], tips @ linear.T, atol=1e-4)
    # near an ignored point, and far from all tips
    assert np.isnan(found[2:]).all()
    assert np.isnan(patches.offsets(replace(plate, tips=tips[:0]), places, linear)).all()
    # outside the plate, where a mirrored tip is nearer
    edge = replace(plate, tips=np.array([[3.0, 50.0]]))
    outside = patches.offsets(edge, np.array([[-1.0, 50.0], [1.0, 50.0]]), linear)
    assert np.isnan(outside).all(axis=1).tolist() == [True, False]


def test_a_samples_offsets_fit_its_labels(samples: Samples) -> None:
    for _, label, offset, _ in samples:
        length = np.linalg.norm(offset, axis=0)
        assert (length[label == 1] <= R1 + 1e-4).all()
        assert np.isnan(length[label == 0]).all()


def test_half_have_a_tip_in_the_middle(samples: Samples) -> None:
    middle = np.array([label[patches.MARGIN, patches.MARGIN].item() for _, label, *_ in samples])
    assert (middle[::2] == 1).all()
    # beside the image's edge a shift may put the middle outside, where it counts for nothing
    others = middle[1::2]
    assert np.isnan(others).mean() < 0.05
    assert np.nanmax(others) == 0


def test_samples_depend_on_seed_round_and_index_only(plates: list[Plate]) -> None:
    def third(seed: int, number: int, before: int) -> bytes:
        made = Samples(plates, 9, seed, number)
        for i in range(before):
            made[i]
        return bytes(made[3][0].numpy().tobytes())

    assert third(0, 0, 0) == third(0, 0, 3)
    assert third(0, 0, 0) != third(1, 0, 0)
    assert third(0, 0, 0) != third(0, 1, 0)


def test_mined_points_are_half_of_the_negatives(plates: list[Plate]) -> None:
    mined = [np.array([[5, 5]], np.int32) for _ in plates]
    made = Samples(plates, 1000, seed=0, mined=mined)
    numbers, points = made.places(2000, np.random.default_rng(0))
    tips = [np.round(plates[n].tips) for n in numbers[::2]]
    assert all((xy == own).all(axis=1).any() for own, xy in zip(tips, points[::2], strict=True))
    assert 0.45 < (points[1::2] == 5).all(axis=1).mean() < 0.55


def test_places_are_bounded_and_drawn_from_all_plates(
    plates: list[Plate], monkeypatch: pytest.MonkeyPatch
) -> None:
    mined = [np.tile(np.array([[60, 60]], np.int32), (400, 1)) for _ in plates]
    monkeypatch.setitem(patches.PER_DATASET, "mined", 200)
    few = Samples(plates, 8, 0, mined=mined)
    (pool,) = few._pools["mined"].values()
    assert 140 < len(pool) < 260  # binomial: 200, give or take four standard deviations
    assert set(few._plate_of[pool]) == set(range(len(plates)))


def test_no_negative_near_a_tip_or_an_ignored_point(plates: list[Plate]) -> None:
    for plate in plates:
        kept = patches.negatives(plate, windows.grid(plate.image.shape, 4))
        assert len(kept) > 100
        assert distance(kept, np.concatenate([plate.tips, plate.ignored])).min() > R2


@pytest.mark.parametrize("kind", ["near", "anywhere"])
def test_window_patches_are_balanced(plates: list[Plate], kind: str) -> None:
    images, label = patches.window_patches(plates, 0, kind).tensors
    assert images.shape == (16, 3, WINDOW, WINDOW)
    assert label.mean() == 0.5


def test_nothing_to_tell_apart(plates: list[Plate]) -> None:
    only_ignored = [
        Plate(p.dataset, p.name, p.group, p.image, p.ignored[:0], p.ignored) for p in plates
    ]
    with pytest.raises(InputError, match="nothing to tell apart"):
        Samples(only_ignored, 10, 0)


def test_no_change_of_light_moves_the_picture() -> None:
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    grid = np.arange(41)
    blurs = [one for one in light().transforms[4].transforms if "Blur" in type(one).__name__]
    assert {type(one).__name__ for one in blurs} == {"GaussianBlur", "MotionBlur"}
    for blur in blurs:
        for seed in range(40):
            alone = albumentations.Compose([blur])
            alone.set_random_seed(seed)
            mass = alone(image=image)["image"][..., 0].astype(float)
            middle = (mass.sum(axis=0) @ grid, mass.sum(axis=1) @ grid) / mass.sum()
            assert middle == pytest.approx((20, 20), abs=0.1)


def test_negatives_stay_apart_from_tips_at_any_zoom_and_shift() -> None:
    # (9 + 3) * 1.4 = 16.8 px
    image = np.zeros((100, 100, 3), np.uint8)
    tip, ignored = np.array([[50.0, 20.0]]), np.array([[50.0, 80.0]])
    centres = np.array([[66, 20], [67, 20], [50, 63], [50, 64]], np.int32)
    kept = patches.negatives(Plate("d", "n", "g", image, tip, ignored), centres)
    assert kept.tolist() == [[67, 20], [50, 63]]


def numbered() -> np.ndarray:
    """An image that says of each pixel where it is: ``x, y``."""
    y, x = np.mgrid[:120, :160].astype(np.uint8)
    return np.stack([x, y, np.where(x < 80, 9 * (x + y), 90)], axis=2).astype(np.uint8)


def test_datasets_are_drawn_from_by_their_shares_and_marks_lie_in_the_image() -> None:
    none = np.empty((0, 2))
    outside, near_ignored = np.array([[163.0, 60.0], [30.0, -2.0]]), np.array([[90.0, 60.0]])
    first = Plate("a", "n", "g", numbered(), np.concatenate([outside, near_ignored]), none)
    first = replace(first, ignored=near_ignored + np.array([16.0, 0.0]))
    second = Plate("b", "n", "g", numbered(), np.array([[40.0, 40.0]]), none)
    made = Samples([first, second], 8, seed=0, shares={"a": 3.0})
    numbers, points = made.places(2000, np.random.default_rng(0))
    for kind in (numbers[::2], numbers[1::2]):
        assert 0.71 < (kind == 0).mean() < 0.79
    tips = {tuple(point) for point in points[::2].tolist()}
    # the one beside an ignored point might be that
    assert tips == {(159, 60), (30, 0), (40, 40)}


def test_windows_that_accuracy_is_measured_on_are_of_tips_or_near_something() -> None:
    image = np.full((120, 160, 3), 90, np.uint8)
    image[:, :60] = numbered()[:, :60]
    tips = np.array([[0.0, 0.0], [1.0, 119.0], [30.0, 60.0]])
    plate = Plate("d", "n", "g", image, tips, np.empty((0, 2)))
    windows_of, label = patches.window_patches([plate] * 20, 0).tensors
    middle = windows_of[:, :2, WINDOW // 2, WINDOW // 2].numpy().astype(float)
    assert distance(middle[label.ravel() == 1], tips).max() <= R1
    blank = windows_of[label.ravel() == 0].flatten(1).float().std(dim=1) == 0
    assert not blank.any()


def test_samples_are_turned_mirrored_and_resized_each_otherwise(
    plates: list[Plate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "light", lambda: _NoLight())
    point = np.array([90, 80], np.int32)
    linear = np.array([patches.augment(plates[0].image, point, i)[1][:, :2] for i in range(200)])
    area = np.linalg.det(linear)
    assert 70 < (area < 0).sum() < 130
    zoom = np.log(np.sqrt(np.abs(area))) / np.log(patches.ZOOM)
    assert np.quantile(zoom, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx(
        [-1, -0.5, 0, 0.5, 1], abs=0.2
    )
    angle = np.arctan2(linear[:, 1, 1], linear[:, 0, 1])
    assert np.histogram(angle, 4, (-np.pi, np.pi))[0].min() > 30
    made = Samples(plates, 20, seed=0)
    assert len({sample.numpy().tobytes() for sample, *_ in made}) == 20


def test_offsets_begin_in_the_pixel_that_names_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "light", lambda: _NoLight())
    image, tip = np.full((300, 300, 3), 60, np.uint8), np.array([[150.0, 140.0]])
    image[139:142, 149:152] = 255
    made = Samples([Plate("d", "n", "g", image, tip, np.empty((0, 2)))], 20, seed=0)
    off = []
    for sample, _, offset, _ in list(made)[::2]:
        weight = sample[0].numpy().astype(float) - 60
        rows, columns = np.indices(weight.shape)
        centroid = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        for row, column in np.argwhere(~np.isnan(offset[0].numpy())):
            middle = np.array([column, row]) * STRIDE + WINDOW // 2
            off.append(middle + offset[:, row, column].numpy() - centroid)
    assert np.abs(np.mean(off, axis=0)).max() < 0.1


def test_each_round_varies_the_same_place_otherwise(plates: list[Plate]) -> None:
    # of one tip, so that the first sample is cut around it in every round
    one = replace(plates[0], tips=plates[0].tips[:1])
    first, second = (Samples([one], 4, seed=0, number=number)[0][0] for number in (0, 1))
    assert first.numpy().tobytes() != second.numpy().tobytes()


def test_without_false_alarms_most_negatives_are_near_something() -> None:
    image = np.full((300, 300, 3), 60, np.uint8)
    image[:40, :40] = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    plate = Plate("d", "n", "g", image, np.array([[150.0, 150.0]]), np.empty((0, 2)))
    _, points = Samples([plate], 8, seed=0).places(4000, np.random.default_rng(0))
    # 0.35 of 0.5, and by chance few of the others
    assert 0.66 < (points[1::2] < 80).all(axis=1).mean() < 0.8
