from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from roottip import compare, windows
from roottip.errors import InputError
from roottip.interchange import Dataset, read_dataset
from roottip.scorers import load
from roottip.scorers.baseline import (
    MEASURES,
    BaselineScorer,
    _Ridges,
    _to_half_contrast,
    ridge_ends,
)
from roottip.scorers.filters import ridge_strength, second_derivatives

SCORER = BaselineScorer()


def plate(lines, shape=(300, 300), width=5, noise=2.0) -> np.ndarray:
    image = np.full((*shape, 3), (60, 62, 64), np.uint8)
    for a, b in lines:  # round caps: the visible end is width / 2 further
        cv2.line(image, a, b, (205, 205, 205), width, cv2.LINE_AA)
    grain = np.random.default_rng(1).normal(0, noise, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def found(image, threshold=0.5) -> np.ndarray:
    points, _ = load("baseline", root_width=5, threshold=threshold).find(image)
    return points


def nearest(points, xy) -> float:
    return float(np.linalg.norm(points - xy, axis=1).min())


LINE = plate([((60, 150), (230, 170))])


def test_the_strength_of_ridges_is_by_the_eigenvalues_of_the_second_derivatives():
    maps = second_derivatives(LINE[..., 0].astype(np.float32), 2.5)
    hessian = np.stack([maps[0], maps[1], maps[1], maps[2]], axis=-1).reshape(-1, 2, 2)
    least, greatest = np.linalg.eigvalsh(hessian).T
    bright, dark = ridge_strength(maps)
    assert np.allclose(bright.ravel(), -least, atol=1e-3)
    assert np.allclose(dark.ravel(), greatest, atol=1e-3)
    assert np.unravel_index(bright.argmax(), bright.shape)[0] in range(148, 173)  # on the line


def test_the_strength_of_a_ridge_is_that_of_the_pixel_alone_to_the_last_bit():
    maps = np.stack(second_derivatives(LINE[:, :20, 0].astype(np.float32), 2.5)).reshape(3, -1)
    alone = [ridge_strength(tuple(pixel[:, None])) for pixel in maps.T]
    np.testing.assert_array_equal(np.stack(ridge_strength(tuple(maps))), np.hstack(alone))


def test_a_line_has_two_ends_and_nothing_between():
    points = found(LINE)
    assert len(points) == 2
    assert nearest(points, (57.5, 150)) < 3
    assert nearest(points, (232.5, 170)) < 3


def test_the_response_is_high_at_ends_and_zero_in_the_middle():
    response = SCORER.response(LINE)
    assert response[150, 58] > 0.9
    assert response[170, 232] > 0.9
    assert response[:, 90:200].max() < 0.05


def test_the_scorer_reads_its_map_at_the_centres():
    centres = windows.grid(LINE.shape, 7)
    assert np.array_equal(
        SCORER(LINE, centres), SCORER.response(LINE)[centres[:, 1], centres[:, 0]]
    )


def test_a_tip_on_another_root_is_found():
    points = found(plate([((150, 20), (150, 280)), ((40, 150), (147, 150))], (301, 301)))
    assert nearest(points, (37.5, 150)) < 3
    crossing = plate([((150, -9), (150, 309)), ((40, 150), (190, 150))], (301, 301))
    assert nearest(found(crossing), (192.5, 150)) < 3


def test_two_tips_side_by_side_are_two():
    points = found(plate([((100, -9), (100, 150)), ((118, -9), (118, 150))]))
    assert nearest(points, (100, 152.5)) < 3
    assert nearest(points, (118, 152.5)) < 3


def test_lone_small_specks_of_dirt_score_less_than_ends():
    image = plate([((60, -9), (60, 200))])
    for n, (x, y) in enumerate((x, y) for x in (120, 190, 260) for y in (120, 190, 260)):
        cv2.circle(image, (x, y), 1 + n % 2, (190, 190, 190), -1, cv2.LINE_AA)
    response = SCORER.response(image)
    assert response[202, 60] > 0.8
    assert response[90:, 90:].max() < 0.5


@pytest.mark.parametrize("change", ["invert", "flip", "transpose", "rotate", "grey"])
def test_the_score_of_an_end_does_not_depend_on(change):
    changed = {
        "invert": 255 - LINE,
        "flip": LINE[:, ::-1],
        "transpose": LINE.transpose(1, 0, 2),
        "rotate": np.rot90(LINE, 2),
        "grey": LINE[..., 0],
    }[change]
    _, measures = ridge_ends(LINE, 1.5)
    _, again = ridge_ends(np.ascontiguousarray(changed), 1.5)
    best = np.sort(SCORER.response(LINE), axis=None)[-20:]
    best_changed = np.sort(SCORER.response(np.ascontiguousarray(changed)), axis=None)[-20:]
    assert len(measures)
    assert len(again)
    assert best_changed == pytest.approx(best, abs=0.02)


def test_plain_ground_around_a_plate_leaves_strengths_as_they_are():
    framed = cv2.copyMakeBorder(LINE, 50, 50, 50, 50, cv2.BORDER_CONSTANT, value=(12, 12, 14))
    ridge = [
        measures[np.linalg.norm(points - (57.5 + by, 150 + by), axis=1) < 6][:, 0].max()
        for by, (points, measures) in ((0, ridge_ends(LINE)), (50, ridge_ends(framed)))
    ]
    assert MEASURES[0] == "ridge"
    assert ridge[1] == pytest.approx(ridge[0], abs=0.2)  # a logarithm


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 40), (64, 64), (64, 64, 3)])
def test_a_blank_image_scores_zero(shape):
    for value in (0, 100, 255):
        assert (SCORER.response(np.full(shape, value, np.uint8)) == 0).all()


def test_noise_alone_gives_no_tip():
    noise = np.random.default_rng(0).normal(100, 12, (400, 400)).clip(0, 255).astype(np.uint8)
    assert len(load("baseline").find(noise)[0]) == 0


def test_the_same_image_gives_the_same_map():
    assert np.array_equal(SCORER.response(LINE), SCORER.response(LINE.copy()))


# floors a little below what docs/baseline.md states for all training images
@pytest.mark.parametrize(
    ("name", "tolerance", "floor"), [("osr", 10, 0.75), ("tillmore", 20, 0.75)]
)
def test_it_finds_most_tips_of_photographs(shared, name, tolerance, floor):
    data = read_dataset(shared / name, "train")
    images = data.images.iloc[:: 1 if name == "osr" else 6].iloc[:10].reset_index(drop=True)
    truth = data.truth[data.truth["image"].isin(images["image"])]
    few = Dataset(data.root, images, truth)
    evaluations, _ = compare.compare(few, {"baseline": load("baseline")}, tolerance)
    assert evaluations["baseline"].summary["f1"] >= floor


@pytest.mark.parametrize(("gap", "seen"), [(7, 1), (10, 2), (14, 2)])
def test_of_ends_within_8_px_only_the_best_is_painted(gap, seen):
    lines = [((60, y), (230, y)) for y in (150, 150 + gap)]
    response = SCORER.response(plate(lines, width=3))[[150, 150 + gap], 231]
    assert (response > 0.9).sum() == seen
    assert (response < 0.3).sum() == 2 - seen


def test_settings_of_the_file_are_those_of_the_code():
    file = Path(__file__).parents[2] / "conf" / "detector" / "baseline.yaml"
    told = yaml.safe_load(file.read_text())
    assert load(told.pop("name"), **told) == load("baseline")


def test_beyond_an_end_there_is_less_than_on_it():
    points, measures = ridge_ends(LINE)
    for end in ((57.5, 150), (232.5, 170)):
        row = measures[np.linalg.norm(points - end, axis=1).argmin()]
        told = dict(zip(MEASURES, row, strict=True))
        assert told["ridge_ahead"] < 0.3 * told["ridge"]
        assert told["surroundings_ahead"] < told["surroundings"]
        assert told["cone_far"] < 0.3 * told["ridge"]
        assert told["length"] == 1


def test_a_setting_of_the_scorer_that_is_none_is_said():
    with pytest.raises(InputError, match=r"scorer\.sigmaa is no setting; there is sigma, "):
        load("baseline", scorer={"sigmaa": 2})


def test_the_visible_end_is_the_last_pixel_of_half_the_roots_contrast():
    level = np.zeros((9, 50), np.float32)
    level[:, :21] = 10
    x, y, tx, ty = (np.array([value], np.float32) for value in (18, 4, 1, 0))
    assert _to_half_contrast(_Ridges(*[level] * 5), x, y, tx, ty) == 2
