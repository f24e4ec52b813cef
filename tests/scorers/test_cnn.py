"""The scan: what it must equal, and what it must refuse. No torch here."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roottip import windows
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.scorers import cnn
from roottip.scorers.cnn import CnnScorer, GlancingScorer

WINDOW, STRIDE = 20, 4


def write_net(
    path: Path, window: int = WINDOW, stride: int = STRIDE, seed: int = 0, **card: object
) -> Path:
    """A net of two random convolutions: window = 8 + 4 * (side of the second - 1)."""
    side = (window - 8) // STRIDE + 1
    rng = np.random.default_rng(seed)
    first = rng.normal(0, 0.002, (6, 3, 8, 8)).astype(np.float32)
    second = rng.normal(0, 0.3, (1, 6, side, side)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["level"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["level", "first"], ["a"], strides=[stride, stride]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["d"]),
        helper.make_node("Squeeze", ["d", "channel"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", "R", "C"])],
        [
            numpy_helper.from_array(first, "first"),
            numpy_helper.from_array(second, "second"),
            numpy_helper.from_array(np.array([1]), "channel"),
        ],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    content = model.SerializeToString()
    path.write_bytes(content)
    write_card(path, window=window, stride=stride, **card)
    return path


def write_card(path: Path, **changes: object) -> None:
    card = {
        "card_version": cnn.CARD_VERSION,
        "window": WINDOW,
        "stride": STRIDE,
        "root_width": 5.0,
        "threshold": 0.5,
        "radius": 8.0,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps({**card, **changes}))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_net(tmp_path / "net.onnx")


@pytest.fixture
def scorer(weights: Path) -> CnnScorer:
    return CnnScorer(weights)


def cut(scorer: CnnScorer, image: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The scores of patches cut one by one, the definition of a window's score."""
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=-1)
    parts = [windows.patches(image, centre[None], WINDOW) for centre in centres]
    return np.array([scorer.score_patches(part)[0] for part in parts])


@pytest.mark.parametrize(
    "shape",
    [(61, 47, 3), (64, 48, 3), (61, 47), (1, 1, 3), (1, 1), (3, 90, 3), (7, 5), (20, 20, 3)],
    ids=str,
)
@pytest.mark.parametrize("tile", [3, 1000])
def test_scan_equals_cutting_each_window(
    scorer: CnnScorer, shape: tuple[int, ...], tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tiles of 3 windows: nearly every window lies on a seam
    monkeypatch.setattr(cnn, "_TILE", tile)
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    centres = windows.grid(shape, STRIDE)
    scores = scorer(image, centres)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, cut(scorer, image, centres), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 20, 200, 900])  # of 1254: few in pieces, many whole tiles
def test_scan_of_some_windows_in_any_order(scorer: CnnScorer, count: int) -> None:
    image = np.random.default_rng(2).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    rng = np.random.default_rng(3)
    centres = rng.permutation(windows.grid(image.shape, STRIDE))[:count]
    np.testing.assert_allclose(
        scorer(image, centres), cut(scorer, image, centres), atol=1e-5, rtol=0
    )


def test_windows_of_no_common_grid(scorer: CnnScorer) -> None:
    image = np.random.default_rng(4).integers(0, 256, (50, 60), dtype=np.uint8)
    centres = np.array([[0, 0], [59, 49], [1, 7], [33, 20], [33, 21]], dtype=np.int32)
    np.testing.assert_allclose(
        scorer(image, centres), cut(scorer, image, centres), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("centres", "pixels"),
    [
        ([(3, 3), (1995, 1995)], 2 * WINDOW**2),  # in two tiles
        ([(3, 3), (7, 3), (495, 495)], WINDOW * (WINDOW + STRIDE) + WINDOW**2),  # in one
    ],
)
def test_places_without_windows_are_not_computed(
    scorer: CnnScorer,
    centres: list[tuple[int, int]],
    pixels: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed = []
    net = scorer._net

    def counted(images: np.ndarray) -> list[np.ndarray]:
        computed.append(images[..., 0].size)
        return net(images)

    monkeypatch.setattr(scorer, "_net", counted)
    scorer(np.zeros((2000, 2000, 3), dtype=np.uint8), np.array(centres, dtype=np.int32))
    assert sum(computed) == pixels


@pytest.mark.parametrize("count", [1, 20, 200, 900])
@pytest.mark.parametrize("aside", [0, 1])
def test_each_window_gets_its_own_answer_and_place(
    scorer: CnnScorer, count: int, aside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(images: np.ndarray) -> list[np.ndarray]:
        middle = slice(WINDOW // 2, 1 - WINDOW // 2, STRIDE)
        inside = images[:, middle, middle] / np.float32(255)
        return [inside[..., 0], inside[..., 1:]]

    monkeypatch.setattr(scorer, "_net", told)  # it answers with the pixel in the middle
    image = np.random.default_rng(2).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    centres = np.random.default_rng(3).permutation(windows.grid(image.shape, STRIDE))[:count]
    centres[0, 0] ^= aside  # off the grid: all are cut
    scores, places = scorer.look(image, centres)
    own = image[centres[:, 1], centres[:, 0]] / np.float32(255)
    assert np.array_equal(scores, own[:, 0])
    assert np.array_equal(places, centres + own[:, 1:].astype(float))


def test_no_windows(scorer: CnnScorer) -> None:
    scores = scorer(np.zeros((9, 9, 3), np.uint8), np.empty((0, 2), np.int32))
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


@pytest.fixture
def glance(scorer: CnnScorer, tmp_path: Path) -> CnnScorer:
    """Another net, made for the first one."""
    sha = scorer.card["sha256"]
    path = write_net(tmp_path / "net.glance.onnx", seed=1, threshold=0.5, glance_of=sha)
    return CnnScorer(path)


def test_a_glance_decides_where_the_net_looks(scorer: CnnScorer, glance: CnnScorer) -> None:
    image = np.random.default_rng(5).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    centres = windows.grid(image.shape, STRIDE)
    scores = GlancingScorer(scorer, glance)(image, centres)
    seen = glance(image, centres) >= 0.5
    assert 0.05 < seen.mean() < 0.95
    assert (scores[~seen] == 0).all()
    np.testing.assert_allclose(scores[seen], scorer(image, centres)[seen], atol=1e-5, rtol=0)


def test_detector_glances_where_a_glance_lies_beside_the_net(
    weights: Path, glance: CnnScorer
) -> None:
    found = cnn.detector(weights)
    assert isinstance(found.scorer, GlancingScorer)
    assert found.scorer.card["glance"] == glance.card["sha256"]
    assert found.threshold == 0.5
    assert isinstance(cnn.detector(weights, glance=False).scorer, CnnScorer)
    assert isinstance(pickle.loads(pickle.dumps(found)).scorer, GlancingScorer)


@pytest.mark.parametrize("change", [{"glance_of": "another"}, {}, {"stride": 2}], ids=str)
def test_glance_of_another_net(weights: Path, scorer: CnnScorer, change: dict[str, object]) -> None:
    own = {"glance_of": scorer.card["sha256"]} if "stride" in change else {}
    window = 8 if "stride" in change else WINDOW
    write_net(weights.with_suffix(".glance.onnx"), **{"window": window, **own, **change})
    with pytest.raises(InputError, match=r"made for another net"):
        cnn.detector(weights)


@pytest.mark.parametrize("window", [12, 24])
def test_a_glance_may_see_less_or_more_than_the_net(
    weights: Path, scorer: CnnScorer, window: int
) -> None:
    image = np.random.default_rng(5).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    centres = windows.grid(image.shape, STRIDE)
    path = write_net(weights.with_suffix(".glance.onnx"), window, seed=1)
    seen = CnnScorer(path)(image, centres)
    least = float(np.median(seen))
    write_card(path, window=window, threshold=least, glance_of=scorer.card["sha256"])
    both = cnn.scorer(weights)
    expected = np.where(seen >= least, scorer(image, centres), 0)
    np.testing.assert_allclose(both(image, centres), expected, atol=1e-5, rtol=0)
    assert both.reach == max(WINDOW, window) // 2


def test_detector_computes_with_the_twin_that_lies_beside_the_net(
    weights: Path, scorer: CnnScorer, glance: CnnScorer
) -> None:
    sha = scorer.card["sha256"]
    twin = CnnScorer(write_net(cnn.int8_of(weights), seed=2, threshold=0.5, int8_of=sha))
    image = np.random.default_rng(5).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    centres = windows.grid(image.shape, STRIDE)
    of_net, of_twin = scorer(image, centres), twin(image, centres)
    assert np.abs(of_net - of_twin).max() > 0.1
    for int8, expected in ((True, of_twin), (False, of_net)):
        alone = cnn.scorer(weights, glance=False, int8=int8)
        assert np.array_equal(alone(image, centres), expected)
        scores = cnn.scorer(weights, int8=int8)(image, centres)
        seen = glance(image, centres) >= 0.5
        np.testing.assert_allclose(scores, np.where(seen, expected, 0), atol=1e-5, rtol=0)
    assert cnn.detector(weights).scorer.card["sha256"] == twin.card["sha256"]


def test_twin_of_another_net(weights: Path) -> None:
    write_net(cnn.int8_of(weights), int8_of="another")
    with pytest.raises(InputError, match=r"net.int8.onnx was made of another net than net.onnx"):
        cnn.detector(weights)


def test_detector_takes_the_card_unless_told(tmp_path: Path) -> None:
    path = write_net(tmp_path / "net.onnx", threshold=0.7, radius=6.0, sizes=[1.0, 0.5], surest=0.9)
    found = cnn.detector(path)
    assert isinstance(found, WindowDetector)
    assert (found.stride, found.threshold, found.radius) == (STRIDE, 0.7, 6.0)
    assert (found.sizes, found.surest) == ((1.0, 0.5), 0.9)
    assert found.threshold_from == "given in training"
    told = cnn.detector(path, 0.2, 3.0, root_width=9.0, sizes=[0.8], surest=0)
    assert (told.threshold, told.radius, told.root_width) == (0.2, 3.0, 9.0)
    assert (told.sizes, told.surest, told.threshold_from) == ((0.8,), 0, "given")
    # nets trained before there was either
    older = cnn.detector(write_net(tmp_path / "older.onnx"))
    assert (older.sizes, older.surest) == ((1.0,), 0.0)


def test_shipped_net_finds_a_drawn_tip(plate: np.ndarray) -> None:
    points, scores = cnn.detector().find(plate, threshold=0.5)
    assert len(points) == 1
    assert np.hypot(*(points[0] - (100, 150))) < 6
    assert 0 <= scores[0] <= 1


def test_missing_weights_and_card(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx cannot be read"):
        CnnScorer(tmp_path / "none.onnx")
    with pytest.raises(InputError, match=r"is a folder; give the weights, a file$"):
        CnnScorer(weights.parent)
    (weights.parent / "model.onnx").touch()
    with pytest.raises(InputError, match=r"is a folder; give .*model\.onnx$"):
        CnnScorer(weights.parent)
    with pytest.raises(InputError, match=r"net\.json is a card; give the weights"):
        CnnScorer(weights.with_suffix(".json"))
    weights.unlink()
    with pytest.raises(InputError, match=r"net\.onnx cannot be read"):
        CnnScorer(weights)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_truncated_weights(weights: Path, keep: int) -> None:
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(InputError, match="cut short or changed"):
        CnnScorer(weights)


def test_tampered_weights(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(InputError, match="SHA-256"):
        CnnScorer(weights)


def test_foreign_file_with_a_card_made_for_it(weights: Path) -> None:
    weights.write_bytes(b"these are no weights")
    write_card(weights)
    with pytest.raises(InputError, match="is no net that roottip can use"):
        CnnScorer(weights)


def test_foreign_net_with_a_card_made_for_it(weights: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), weights)
    write_card(weights)
    with pytest.raises(InputError, match="is no net that roottip can use"):
        CnnScorer(weights)


@pytest.mark.parametrize("change", [{"window": 16}, {"window": 24}, {"stride": 2}, {"stride": 8}])
def test_card_of_another_net(weights: Path, change: dict[str, int]) -> None:
    write_card(weights, **change)
    with pytest.raises(InputError, match=r"belongs to another net|is no net that"):
        CnnScorer(weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": "20"}, "'window'"),
        ({"threshold": None}, "'threshold'"),
        ({"threshold": 1.5}, "cannot be"),
        ({"stride": 0}, "cannot be"),
        ({"card_version": 99}, "version 99"),
        ({"root_width": 7.0}, r"7\.0 px wide"),
    ],
    ids=str,
)
def test_cards_that_cannot_be(weights: Path, change: dict[str, object], message: str) -> None:
    write_card(weights, **change)
    with pytest.raises(InputError, match=message):
        CnnScorer(weights)


@pytest.mark.parametrize("content", ["", "{", "[]", "7"])
def test_damaged_cards(weights: Path, content: str) -> None:
    weights.with_suffix(".json").write_text(content)
    with pytest.raises(InputError, match=r"JSON|no card"):
        CnnScorer(weights)


@pytest.mark.parametrize("name", ["glance", "int8", "review"])
def test_a_switch_is_true_or_false(weights: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}=flase must be true or false"):
        cnn.detector(weights, **{name: "flase"})  # type: ignore[arg-type]  # as a word may come
