from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from roottip import table, windows
from roottip.errors import InputError
from roottip.images import read_image
from roottip.scale import adjustment

lengths = st.integers(1, 200)
strides = st.integers(1, 17)


@given(lengths, strides)
def test_every_pixel_is_within_half_a_stride_of_a_centre(length, stride):
    centres = windows.lattice(length, stride)
    distance = np.abs(np.arange(length)[:, None] - centres[None]).min(axis=1)
    assert distance.max() <= stride / 2
    assert (np.diff(centres) == stride).all()
    assert centres[0] >= 0
    assert centres[-1] < length


@given(lengths, lengths, strides)
def test_grid_goes_row_by_row_over_both_axes(height, width, stride):
    expected = [
        (x, y) for y in windows.lattice(height, stride) for x in windows.lattice(width, stride)
    ]
    assert windows.grid((height, width, 3), stride).tolist() == [list(p) for p in expected]


def test_one_pixel_has_one_window():
    assert windows.grid((1, 1), 4).tolist() == [[0, 0]]


@pytest.mark.parametrize(("length", "stride"), [(0, 4), (5, 0), (5, -1)])
def test_a_grid_without_extent_is_refused(length, stride):
    with pytest.raises(InputError, match="at least 1 px"):
        windows.lattice(length, stride)


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    st.integers(1, 30),
)
def test_patches_equal_slices_of_numpys_reflected_image(image, size):
    centres = windows.grid(image.shape, 1)
    before = size // 2
    padded = np.pad(image, ((before, size), (before, size)), mode="reflect")
    expected = [padded[y : y + size, x : x + size] for x, y in centres]
    assert np.array_equal(windows.patches(image, centres, size), np.stack(expected))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9))
def test_scoring_a_patch_by_its_centre_gives_back_the_image(height, width, size):
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    centres = windows.grid(image.shape, 1)
    middle = windows.patches(image, centres, size)[:, size // 2, size // 2]
    assert np.array_equal(middle.reshape(image.shape), image)


points = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), unique=True, max_size=40)


@given(points, st.floats(0, 20), st.randoms(use_true_random=False))
def test_suppression_does_not_depend_on_the_order(xy, radius, random):
    xy = np.array(xy, dtype=float).reshape(-1, 2)
    scores = np.round((xy @ [3, 7]) % 5 / 5, 1).astype(np.float32)  # many equal scores
    kept = xy[windows.suppress(xy, scores, radius)]
    shuffle = np.array(random.sample(range(len(xy)), len(xy)), dtype=int)
    again = xy[shuffle][windows.suppress(xy[shuffle], scores[shuffle], radius)]
    assert np.array_equal(kept, again)


@given(points, st.floats(0, 20))
def test_what_is_kept_is_apart_and_what_is_not_has_a_better_one_near(xy, radius):
    xy = np.array(xy, dtype=float).reshape(-1, 2)
    scores = np.random.default_rng(len(xy)).random(len(xy)).astype(np.float32)
    kept = windows.suppress(xy, scores, radius)
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    assert (distance[np.ix_(kept, kept)] + np.eye(len(kept)) * 1e9 > radius).all()
    assert (np.diff(scores[kept]) <= 0).all()
    for i in set(range(len(xy))) - set(kept.tolist()):
        assert (scores[kept[distance[i, kept] <= radius]] > scores[i]).any()


@given(st.floats(-1.9, 1.9), st.floats(-1.9, 1.9))
def test_refinement_moves_towards_the_true_peak(dx, dy):
    centres = windows.grid((41, 41), 4)
    peak = np.array([20 + dx, 20 + dy])
    scores = np.exp(-((centres - peak) ** 2).sum(axis=1) / (2 * 3.0**2)).astype(np.float32)
    kept = windows.suppress(centres, scores, 100.0)
    refined = windows.refine(centres, centres.astype(float), scores, kept, 4)[0]
    before = np.abs(centres[kept[0]] - peak)
    assert (np.abs(refined - peak) <= before + 0.05).all()
    assert np.abs(refined - peak).max() < 0.5


def test_refinement_counts_a_missing_neighbour_as_nothing():
    centres = np.array([[0, 0], [4, 0]], dtype=np.int32)
    scores, kept = np.array([0.75, 0.25], np.float32), np.array([0])
    refined = windows.refine(centres, centres.astype(float), scores, kept, 4)
    assert refined.tolist() == [[1.0, 0.0]]


def test_refinement_counts_only_neighbours_that_see_the_same_tip():
    centres = np.array([[0, 0], [4, 0], [0, 4]], dtype=np.int32)
    places = np.array([[1.0, 1.0], [2.0, 3.0], [1.0, 9.0]])
    scores = np.array([0.75, 0.25, 0.5], np.float32)
    refined = windows.refine(centres, places, scores, np.array([0]), 4)
    assert refined.tolist() == [[1.25, 1.5]]


def test_nothing_found_refines_to_nothing():
    centres, nowhere = np.empty((0, 2), np.int32), np.empty((0, 2))
    none = windows.refine(centres, nowhere, np.empty(0, np.float32), np.empty(0, int), 4)
    assert none.shape == (0, 2)


def test_empty_background_is_dropped_and_windows_at_a_root_stay(plate):
    centres = windows.grid(plate.shape, 4)
    kept = windows.foreground(plate, centres)
    at_tip = np.hypot(*(centres - (100, 150)).T) <= 8
    assert kept[at_tip].all()
    # the root and its surroundings are some 50 px by 175 px of 200 by 240
    assert kept.mean() < 0.35


@pytest.mark.parametrize("invert", [False, True])
def test_foreground_does_not_care_which_side_is_bright(plate, invert):
    image = 255 - plate if invert else plate
    centres = windows.grid(plate.shape, 4)
    same = windows.foreground(image, centres) == windows.foreground(plate, centres)
    assert same.mean() > 0.99  # averaging rounds halves up, so inversion is not exact


def test_a_blank_image_has_no_foreground():
    image = np.full((50, 60), 128, np.uint8)
    assert not windows.foreground(image, windows.grid(image.shape, 4)).any()


def test_one_pixel_has_a_foreground_answer():
    image = np.zeros((1, 1), np.uint8)
    assert windows.foreground(image, windows.grid(image.shape, 4)).tolist() == [False]


@pytest.mark.parametrize("name", ["osr", "tillmore"])
def test_no_window_near_a_marked_tip_is_dropped(shared, name):
    rows = table.read(shared / name / "images.csv")
    tips = table.check_points(table.read(shared / name / "tips.csv"), name)
    for image_name in rows.loc[rows["split"] == "train", "image"].iloc[:6]:
        image = read_image(shared / name / "images" / image_name)
        scaled = adjustment(image)(image)
        factor = np.array(scaled.shape[1::-1]) / image.shape[1::-1]
        marked = tips[(tips["image"] == image_name) & (tips["ignore"] == 0)]
        xy = (marked[["x", "y"]].to_numpy() + 0.5) * factor - 0.5
        nearest = np.round(xy).astype(np.int32).clip(0, np.array(scaled.shape[1::-1]) - 1)
        assert windows.foreground(scaled, nearest).all()


def test_reflection_is_opencvs_and_numpys():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(windows.pad(image, 12), np.pad(image, (6, 5), mode="reflect"))
    assert np.array_equal(windows.pad(image, 11), np.pad(image, (5, 5), mode="reflect"))
    assert windows.BORDER == cv2.BORDER_REFLECT_101


@given(arrays(np.int32, st.tuples(st.integers(0, 40), st.just(2)), elements=st.integers(0, 99)))
def test_tiles_hold_every_window_once(centres):
    members = windows.tiles(centres, 16)
    assert sorted(i for tile in members for i in tile) == list(range(len(centres)))
    tiles = [np.unique(centres[tile] // 16, axis=0) for tile in members]
    assert all(len(tile) == 1 for tile in tiles)
    assert len({tuple(tile[0]) for tile in tiles}) == len(tiles)


@given(
    arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    st.integers(1, 6),
    st.integers(0, 9),
    st.integers(0, 3),
)
def test_clusters_are_scipys_components(chosen, stride, offset, reach):
    rows, columns = np.nonzero(chosen)
    centres = (np.stack([columns, rows], axis=1) * stride + offset).astype(np.int32)
    members = windows.clusters(centres, stride, reach)
    side = 2 * reach + 1
    grown = ndimage.maximum_filter(chosen, size=side, mode="constant")
    labels, count = ndimage.label(grown, structure=np.ones((3, 3)))
    assert len(members) == count
    ours = {frozenset(map(tuple, centres[cluster])) for cluster in members}
    theirs = {
        frozenset(map(tuple, np.argwhere((labels == n + 1) & chosen)[:, ::-1] * stride + offset))
        for n in range(count)
    }
    assert ours == theirs


def test_of_equal_scores_the_topmost_then_the_leftmost_stays():
    points = np.array([[0.0, 5.0], [5.0, 0.0], [1.0, 0.0]])
    assert windows.suppress(points, np.ones(3, np.float32), 10).tolist() == [2]


def test_a_point_at_the_radius_is_removed():
    points = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert len(windows.suppress(points, np.array([0.9, 0.8], np.float32), 5.0)) == 1


def test_a_strip_wider_than_32_bits_hold_has_its_foreground_where_it_is():
    image = np.zeros((8, 100_000), np.uint8)
    image[:, 99_900:99_905] = 255
    centres = np.array([[99_902, 4], [50_000, 4], [14_000, 4]], np.int32)
    assert windows.foreground(image, centres).tolist() == [True, False, False]


def test_what_scores_nothing_is_refined_to_where_it_is():
    centres = windows.grid((12, 12), 4)
    kept = np.array([4])
    refined = windows.refine(centres, centres.astype(float), np.zeros(9, np.float32), kept, 4)
    assert refined.tolist() == [centres[4].tolist()]


@pytest.mark.parametrize("grey", [False, True])
def test_structures_are_scipys_difference_of_gaussians(grey):
    image = np.random.default_rng(0).integers(
        0, 256, (160, 200) if grey else (160, 200, 3), np.uint8
    )
    blocks = image.reshape(40, 4, 50, 4, -1).mean(axis=(1, 3))
    fine, coarse = (
        ndimage.gaussian_filter(blocks, px / 4, mode="mirror", truncate=4, axes=(0, 1))
        for px in (2, 8)
    )
    expected = np.abs(fine - coarse).max(axis=2)
    assert windows.structures(image) == pytest.approx(expected, abs=0.6)  # blocks are rounded


@pytest.mark.parametrize(("brightness", "kept"), [(3, False), (5, True)])
def test_what_is_12_px_off_is_in_a_windows_middle_and_what_is_16_is_not(brightness, kept):
    image = np.zeros((120, 160), np.uint8)
    image[60:64, 80:84] = brightness  # a block, 0.54 times as bright under the filter
    y, x = np.mgrid[:120, :160].reshape(2, -1).astype(np.int32)
    found = windows.foreground(image, np.stack([x, y], axis=1))
    near = (np.abs(x // 4 - 20) <= 3) & (np.abs(y // 4 - 15) <= 3)
    assert np.array_equal(found, near & kept)


def test_nothing_beyond_its_reach_changes_a_windows_foreground():
    image = np.zeros((40, 400), np.uint8)
    image[:, 200:] = 255
    reach = windows.FOREGROUND_REACH
    for x in range(100, 300, 4):
        (whole,) = windows.foreground(image, np.array([[x, 20]], np.int32), noise=0.01)
        piece = image[:, x - reach : x + reach + 4]
        (alone,) = windows.foreground(piece, np.array([[reach, 20]], np.int32), noise=0.01)
        assert alone == whole == (160 <= x < 240)
