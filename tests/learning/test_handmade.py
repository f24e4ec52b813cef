from __future__ import annotations

import cv2
import numpy as np
import pytest

from roottip.learning import handmade

SIDE = 6
UNIT = np.eye(3 * SIDE * SIDE)
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


@pytest.fixture(scope="module")
def known() -> handmade.Family:
    return handmade.family(SIDE)


def planted(small: np.ndarray, colour: tuple[float, ...]) -> np.ndarray:
    kernel = np.zeros((1, 3, SIDE, SIDE))
    kernel[0, :, 2:5, 1:4] = np.multiply.outer(colour, small)
    return kernel


@pytest.mark.parametrize(
    ("small", "angle"), [(SOBEL, 90), (SOBEL.T, 0), ([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]], 135)]
)
@pytest.mark.parametrize("colour", ["grey", "red", "yellow against blue"])
def test_a_sobel_kernel_is_named_so(known, small, angle, colour):
    kernel = -3.7 * planted(np.array(small), handmade.COLOURS[colour])
    table, alike = handmade.nearest(kernel, known, UNIT)
    row = table.iloc[0]
    assert (row["kind"], row["angle"], row["colour"]) == ("Sobel", angle, colour)
    assert row["likeness"] == pytest.approx(1)
    np.testing.assert_allclose(alike, kernel, atol=1e-12)


def test_an_edge_kernel_finds_the_edge_that_it_is_named_after(known):
    """Angles are as seen: the step of an image whose edge rises to the right, y down."""
    y, x = np.mgrid[:SIDE, :SIDE]
    step = (x > y).astype(float) - 0.5  # the edge runs down to the right: 135 degrees
    table, _ = handmade.nearest(np.stack([step] * 3)[None], known, UNIT)
    assert (table["kind"][0], table["angle"][0], table["colour"][0]) == ("edge", 135, "grey")


@pytest.mark.parametrize("whitened", [False, True])
def test_likeness_is_what_regression_says(whitened):
    """An independent reference: R² of the answers, regressed on a shape's in each colour."""
    known = handmade.family(4)
    rng = np.random.default_rng(1)
    kernels = rng.normal(size=(3, 3, 4, 4))
    pieces = rng.normal(size=(300, 48)) @ rng.normal(size=(48, 48))
    pieces -= pieces.mean(axis=0)
    metric = pieces.T @ pieces / len(pieces) if whitened else np.eye(48)
    seen = pieces if whitened else np.eye(48)
    table, _ = handmade.nearest(kernels, known, metric)
    for kernel, likeness in zip(kernels, table["likeness"], strict=True):
        answer = seen @ kernel.ravel()
        best = 0.0
        for shape in known.kernels:
            theirs = seen @ np.kron(np.eye(3), shape.ravel()[:, None])
            rest = answer - theirs @ np.linalg.lstsq(theirs, answer, rcond=None)[0]
            best = max(best, 1 - (rest @ rest) / (answer @ answer))
        assert likeness == pytest.approx(np.sqrt(best))


def test_chance_is_below_one_and_what_is_planted_is_above_it(known):
    kernel = planted(SOBEL, (1, 1, 1))
    median, high = handmade.chance(kernel, known, UNIT, seed=0)
    assert 0 < median < high < 1
    assert handmade.chance(kernel, known, UNIT, seed=0) == (median, high)


def root(end: tuple[int, int], width: int = 5) -> np.ndarray:
    """A bright root from the left edge to `end`."""
    image = np.full((200, 200, 3), (40, 60, 90), np.uint8)
    cv2.line(image, (-9, end[1]), end, (220, 220, 200), width, cv2.LINE_AA)
    return image


def test_quantities_are_what_one_sees():
    places = np.array([[140, 100], [70, 100], [30, 30]], np.int32)  # tip, along the root, ground
    tip, along, ground = handmade.quantities(root((140, 100)), places).to_dict("records")
    assert tip["end-ness"] > 0.7 > 0.2 > along["end-ness"]
    assert tip["arm to the right"] < -10
    assert abs(tip["arm downwards"]) < 0.3 * tip["arm"]
    assert along["contrast"] > 80 > 5 > ground["contrast"]
    assert ground["warmth"] == pytest.approx(-50)
    assert ground["saturation"] == pytest.approx(50)
    assert handmade.quantities(root((140, 100), 9), places)["width"][1] > along["width"]


def test_end_ness_does_not_depend_on_where_the_tip_points():
    turned = [np.rot90(root((140, 100)), turns) for turns in range(4)]
    ends = [(140, 100), (100, 59), (59, 99), (99, 140)]
    values = [
        handmade.quantities(np.ascontiguousarray(image), np.array([end], np.int32))["end-ness"][0]
        for image, end in zip(turned, ends, strict=True)
    ]
    np.testing.assert_allclose(values, values[0], atol=0.05)


def test_zones():
    image = root((140, 100))
    image[130:135, 90:190] = 230  # another root
    mask = handmade.structure(image)[60:140, 100:180]
    zone = handmade.zones(mask, 5.0)
    assert zone[40, 40] == 0
    assert zone[40, 44] == 0
    assert zone[40, 46] == 3
    assert zone[40, 5] == 1
    assert zone[72, 40] == 2
    assert zone[10, 40] == 3


def root_down(end: tuple[int, int], width: int = 5) -> np.ndarray:
    """One from the upper edge."""
    return np.ascontiguousarray(root(end[::-1], width).transpose(1, 0, 2))


def test_arms_point_down_the_picture():
    (tip,) = handmade.quantities(root_down((100, 140)), np.array([[100, 140]])).to_dict("records")
    assert tip["arm downwards"] < -10  # the root comes from above
    assert abs(tip["arm to the right"]) < 0.3 * tip["arm"]


@pytest.mark.parametrize(("width", "measured"), [(3, 4.0), (5, 5.6), (9, 8.0)])
def test_widths_are_px_to_a_step_of_the_scales(width, measured):
    image = np.full((200, 200, 3), (40, 60, 90), np.uint8)
    image[:140, 100 - width // 2 : 101 + width // 2] = (220, 220, 200)
    assert handmade.quantities(image, np.array([[100, 70]]))["width"][0] == measured


def test_dark_and_bright_things_crowd_alike():
    image = root_down((100, 140))
    bright = handmade.quantities(image, np.array([[115, 70]], np.int32))["crowd"][0]
    dark = handmade.quantities(255 - image, np.array([[115, 70]], np.int32))["crowd"][0]
    assert bright == pytest.approx(dark, rel=0.1)
    assert dark > 5


def test_empty_ground_is_what_most_of_an_image_is():
    image = root_down((100, 140), 21)
    assert handmade.empty_ground(image).tolist() == [40, 60, 90]
