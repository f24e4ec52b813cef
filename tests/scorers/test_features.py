"""The features detector: what its features must equal, and what weights it must refuse."""

from __future__ import annotations

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.feature import hog

from roottip import windows
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.scorers import descriptors, features
from roottip.scorers.descriptors import COUNT, DEFINITION, GROUPS, STRIDE, WINDOW, describe
from roottip.scorers.features import FeaturesScorer, Net, load, save

HALF = WINDOW // 2


def random_net(seed: int = 0, inputs: int = COUNT) -> Net:
    rng = np.random.default_rng(seed)
    sides = [inputs, 8, 1]
    return Net(
        [
            (rng.normal(0, 3 / np.sqrt(rows), (rows, columns)), rng.normal(0, 0.1, columns))
            for rows, columns in pairwise(sides)
        ]
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "net.npz"
    save(random_net(), path, {"threshold": 0.5, "radius": 8.0})
    return path


def groups_of(matrix: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(GROUPS, np.split(matrix, np.cumsum([*GROUPS.values()])[:-1], 1), strict=True))


def texture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Colour noise with some structure, and no two levels alike on a plain ground."""
    noise = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(120 + 220 * smooth + 4 * noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("tile", [16, 512])
def test_a_window_is_its_cut_patch(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # tiles of 16 px: nearly every window lies on a seam
    monkeypatch.setattr(features, "_TILE", tile)
    monkeypatch.setattr(features, "on_ridge", lambda image, centres: np.ones(len(centres), bool))
    image = texture((101, 130, 3))
    rng = np.random.default_rng(1)
    centres = rng.permutation(windows.grid(image.shape, 7))[:60]
    scores = FeaturesScorer(random_net())(image, centres)
    patches = windows.patches(image, centres, WINDOW)
    middle = np.array([[HALF, HALF]], np.int32)
    cut = np.concatenate([random_net()(describe(patch, middle)) for patch in patches])
    assert scores.dtype == np.float32
    assert scores.std() > 0.01
    np.testing.assert_allclose(scores, cut, atol=1e-5, rtol=0)


def test_no_feature_depends_on_a_pixel_outside_the_window() -> None:
    image = texture((160, 160, 3))
    other = texture((160, 160, 3), seed=5)
    inside = slice(80 - HALF, 80 + HALF)
    other[inside, inside] = image[inside, inside]
    middle = np.array([[80, 80]], np.int32)
    np.testing.assert_allclose(describe(image, middle), describe(other, middle), atol=1e-4)


def test_windows_without_a_ridge_are_not_described(plate: np.ndarray) -> None:
    on_root, beside = [100, 80], [40, 200]
    centres = np.array([on_root, beside], np.int32)
    assert descriptors.on_ridge(plate, centres).tolist() == [True, False]
    assert FeaturesScorer(random_net())(plate, centres)[1] == 0


def test_grey_images_and_no_windows() -> None:
    grey = texture((90, 90))
    centres = windows.grid(grey.shape, 16)
    scorer = FeaturesScorer(random_net())
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(scorer(grey, centres), scorer(colour, centres))
    assert scorer(grey, np.empty((0, 2), np.int32)).shape == (0,)


def test_a_quarter_turn_changes_no_feature(plate: np.ndarray) -> None:
    image = cv2.GaussianBlur(plate, (0, 0), 1.2)
    centres = np.array([[100, 150], [97, 146], [101, 100], [104, 154]], np.int32)
    turned = np.ascontiguousarray(np.rot90(image))
    there = np.stack([centres[:, 1], image.shape[1] - 1 - centres[:, 0]], axis=1)
    before, after = describe(image, centres), describe(turned, there)
    # the heading may differ by a rounding error, which moves some places by 1/32 px
    assert np.abs(before - after).mean() < 0.01
    assert np.quantile(np.abs(before - after), 0.99) < 0.1
    elsewhere = describe(image, centres + np.array([0, -40], np.int32))
    assert np.abs(before[0] - elsewhere[0]).mean() > 0.2


def test_roots_may_be_dark(plate: np.ndarray) -> None:
    middle = np.array([[101, 148]], np.int32)
    bright, dark = (groups_of(describe(image, middle)) for image in (plate, 255 - plate))
    assert (bright["ridge"][0, -1], dark["ridge"][0, -1]) == (1, -1)
    # the ridge filter's kernel is cut off, so it responds a little to plain brightness
    np.testing.assert_allclose(bright["ridge"][:, :-1], dark["ridge"][:, :-1], atol=0.05)
    for group in ("ring", "coarse", "hog", "tensor", "grey"):
        np.testing.assert_allclose(bright[group], dark[group], atol=0.05)


def test_the_axis_points_along_the_root(plate: np.ndarray) -> None:
    """At a tip: ridges along the axis on its side and none on the other."""
    ridge = groups_of(describe(plate, np.array([[100, 149]], np.int32)))["ridge"]
    angles = DEFINITION["ridge"]["angles"]
    away = ridge[0, 1 : 1 + angles * 7].reshape(7, angles)
    # the nearest ring is still on the tip itself
    assert (away[1:].argmax(axis=1) == 0).all()
    assert (away[1:, 0] > away[1:, angles // 2] + 1).all()


def test_a_turned_tip_has_nearly_the_same_features() -> None:
    middle = np.array([[80, 80]], np.int32)

    def tip(degrees: float) -> dict[str, np.ndarray]:
        image = np.full((160, 160, 3), 60, np.uint8)
        turn = np.deg2rad(degrees)
        far = (round(16 * (80 + 120 * np.cos(turn))), round(16 * (80 + 120 * np.sin(turn))))
        cv2.line(image, (80 * 16, 80 * 16), far, (200, 190, 180), 5, cv2.LINE_AA, 4)
        return groups_of(describe(cv2.GaussianBlur(image, (0, 0), 1), middle))

    first = tip(0)
    for degrees in (17, 45, 130, 231):
        turned = tip(degrees)
        for group in ("ridge", "hog"):
            assert np.corrcoef(first[group][0], turned[group][0])[0, 1] > 0.985


def test_gradient_harmonics_are_those_of_scikit_images_hog() -> None:
    row, column = np.indices((70, 70), dtype=np.float64)
    plane = 128 + 60 * np.sin(column / 9 + row / 17) + 40 * np.sin(row / 11 - column / 23)
    image = np.round(plane).astype(np.uint8)
    cell, bins = DEFINITION["cell"], 180
    histograms = hog(image, bins, (cell, cell), (1, 1), "L1", feature_vector=False)[:, :, 0, 0]
    angle = np.deg2rad((np.arange(bins) + 0.5) * 180 / bins)
    magnitude, *harmonics = descriptors._Channel.of(image).gradient
    middles = cell // 2 + cell * np.arange(1, 9)
    at = np.ix_(middles, middles)
    total = histograms[1:9, 1:9].sum(axis=2)
    for order, (cos, sin) in zip((2, 4), (harmonics[:2], harmonics[2:]), strict=True):
        expected = (histograms[1:9, 1:9] @ np.exp(1j * order * angle)) / total
        ours = (cos[at] + 1j * sin[at]) / magnitude[at]
        # scikit-image takes plain differences, we Sobel's; whole grey levels add some noise
        assert np.abs(ours - expected).max() < 0.1
        assert np.abs(ours - expected).mean() < 0.03


def test_structure_tensor_of_a_slope() -> None:
    row, column = np.indices((60, 60))
    channel = descriptors._Channel.of((2 * column + row).astype(np.uint8))
    for xx, xy, yy in channel.tensors:
        assert (xx[30, 30], xy[30, 30], yy[30, 30]) == pytest.approx((4, 2, 1))


@pytest.mark.parametrize("reach", [1, 2])
def test_patterns_by_their_definition(reach: int) -> None:
    grey = np.random.default_rng(0).integers(0, 6, (14, 17), dtype=np.uint8)
    label = descriptors.uniform_patterns(grey, reach)
    circle = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    for y in range(reach, 14 - reach):
        for x in range(reach, 17 - reach):
            ring = [grey[y + reach * dy, x + reach * dx] >= grey[y, x] for dx, dy in circle]
            arcs = sum(ring[i] != ring[i - 1] for i in range(8))
            assert label[y, x] == (sum(ring) if arcs <= 2 else 9)
    turned = descriptors.uniform_patterns(np.ascontiguousarray(np.rot90(grey)), reach)
    np.testing.assert_array_equal(turned, np.rot90(label))


def test_what_is_saved_is_read(weights: Path) -> None:
    net, what = load(weights)
    x = np.random.default_rng(2).normal(size=(5, COUNT)).astype(np.float32)
    np.testing.assert_array_equal(net(x), random_net()(x))
    assert what["features"] == DEFINITION
    found = features.detector(weights)
    assert isinstance(found, WindowDetector)
    assert (found.stride, found.threshold, found.radius) == (STRIDE, 0.5, 8.0)
    told = features.detector(weights, threshold=0.2, radius=3.0, root_width=9.0)
    assert (told.threshold, told.radius, told.root_width) == (0.2, 3.0, 9.0)


def test_missing_truncated_and_tampered_weights(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz cannot be read"):
        load(tmp_path / "none.npz")
    content = weights.read_bytes()
    for changed in (b"", content[:100], content[:-1] + bytes([content[-1] ^ 1])):
        weights.write_bytes(changed)
        with pytest.raises(InputError, match="SHA-256"):
            load(weights)
    weights.unlink()
    with pytest.raises(InputError, match=r"net\.npz cannot be read"):
        load(weights)


def change_card(weights: Path, **changes: object) -> None:
    path = weights.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": {**DEFINITION, "cell": 9}}, "computes otherwise"),
        ({"features": "hog"}, "'features'"),
        ({"window": 64}, "computes otherwise"),
        ({"stride": 2}, "computes otherwise"),
        ({"card_version": 99}, "version 99"),
        ({"threshold": 1.5}, "cannot be"),
        ({"root_width": 7.0}, r"7\.0 px wide"),
    ],
    ids=str,
)
def test_cards_that_do_not_fit(weights: Path, change: dict[str, object], message: str) -> None:
    change_card(weights, **change)
    with pytest.raises(InputError, match=message):
        load(weights)


def foreign(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"these are no weights", "holds no net"),
        (foreign(a=np.zeros(3), b=np.zeros(3)), "holds no net"),
        (foreign(weight0=np.array([{}]), bias0=np.zeros(1)), "holds no net"),
        (foreign(weight0=np.zeros(3), bias0=np.zeros(1)), "holds no net"),
        (foreign(weight0=np.zeros((7, 1)), bias0=np.zeros(1)), "none for"),
        (foreign(weight0=np.zeros((COUNT, 2)), bias0=np.zeros(2)), "none for"),
    ],
    ids=["text", "names", "pickle", "flat", "inputs", "outputs"],
)
def test_foreign_files_with_a_card_made_for_them(
    weights: Path, content: bytes, message: str
) -> None:
    weights.write_bytes(content)
    change_card(weights, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(InputError, match=message):
        load(weights)


def test_shipped_net_finds_a_drawn_tip(plate: np.ndarray) -> None:
    points, scores = features.detector().find(plate, threshold=0.3)
    assert len(points) == 1
    assert np.hypot(*(points[0] - (100, 150))) < 6
    assert 0 <= scores[0] <= 1


def test_rings_say_whether_a_root_ends_and_colour_what_is_no_root() -> None:
    image = np.full((160, 160, 3), 60, np.uint8)
    cv2.line(image, (-9, 80), (170, 80), (200, 200, 200), 5, cv2.LINE_AA)
    middle, rings = np.array([[80, 80]], np.int32), len(DEFINITION["ring"]["rings"])
    through = groups_of(describe(image, middle))["ring"][0]
    ranked, waves = np.split(through, [rings * len(DEFINITION["ring"]["ranks"])])
    assert (np.diff(ranked.reshape(rings, -1), axis=1) <= 0).all()
    # a root that goes on crosses each ring twice
    once, twice = waves.reshape(rings, 4)[1:, :2].T
    assert (twice > 4 * once).all()
    wide = cv2.line(np.full_like(image, 60), (-9, 80), (170, 80), (200, 200, 200), 13)
    in_wide = groups_of(describe(wide, middle))
    assert in_wide["coarse"][0, 0] > in_wide["ridge"][0, 0] + 1
    image[:, 80:] = 60
    ended = groups_of(describe(image, middle))["ring"][0, -4 * rings :].reshape(rings, 4)
    assert (ended[:, 1] < 1.5 * ended[:, 0]).all()
    cv2.circle(image, (80, 80), 5, (200, 100, 100), -1)
    near, *_, around = groups_of(describe(image, middle))["colour"][0]
    assert near == pytest.approx(100 / 64 - around, abs=0.02)
    assert around == pytest.approx(81 * 100 / 65**2 / 64, rel=0.1)


def test_a_net_is_ramps_between_matrix_products() -> None:
    net = random_net(inputs=5)
    features = np.random.default_rng(1).normal(0, 2, (9, 5)).astype(np.float32)
    (first, bias), (last, end) = net.layers
    for row, score in zip(features, net(features), strict=True):
        hidden = [max(0.0, float(row @ first[:, i] + bias[i])) for i in range(8)]
        expected = 1 / (1 + np.exp(-float(hidden @ last[:, 0] + end[0])))
        assert score == pytest.approx(expected, rel=1e-4)


def test_features_stay_those_that_weights_of_this_version_learnt() -> None:
    """Where these numbers change so must `DEFINITION`, or old weights are no more refused."""
    image = np.full((120, 120, 3), (60, 70, 90), np.uint8)
    cv2.line(image, (60, 62), (75, 119), (210, 200, 190), 5, cv2.LINE_AA)
    cv2.line(image, (20, 0), (0, 80), (190, 205, 150), 4, cv2.LINE_AA)
    cv2.circle(image, (85, 40), 6, (150, 60, 40), -1, cv2.LINE_AA)
    grain = np.random.default_rng(0).normal(0, 4, image.shape)
    image = np.clip(image + grain, 0, 255).astype(np.uint8)
    found = describe(image, np.array([[58, 60], [62, 64], [66, 78], [44, 50]], np.int32))
    assert DEFINITION["version"] == 1
    expected = {  # mean and standard deviation
        "ridge": (0.0184, 0.8219),
        "ring": (0.4437, 0.7668),
        "coarse": (-0.0403, 1.1375),
        "hog": (-0.0591, 0.5608),
        "tensor": (0.3103, 1.2048),
        "lbp": (0.1, 0.0923),
        "grey": (0.3314, 1.2505),
        "colour": (-0.0182, 0.1368),
    }
    for name, group in groups_of(found).items():
        assert (group.mean(), group.std()) == pytest.approx(expected[name], abs=0.003)
