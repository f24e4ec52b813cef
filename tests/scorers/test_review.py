"""The review that lies beside a net: when it is used, and what is refused. No torch here."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_cnn import write_net

from roottip.errors import InputError
from roottip.provenance import identity
from roottip.scorers import card as cards
from roottip.scorers import cnn
from roottip.scorers.cnn import CnnScorer
from roottip.scorers.review import CARD_VERSION, Review, review_of

SIDE, SIZES = 6, [1.0, 0.5]


def write_review(path: Path, answers: int = 1, **card: object) -> Path:
    """Its evidence is the mean level of all squares, in hundreds."""
    constants = {"by": [-1, 2 * SIDE * SIDE * 3], "flat": [-1] if answers == 1 else [-1, 1]}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["level"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["level", "by"], ["finds"]),
            helper.make_node("ReduceMean", ["finds"], ["mean"], axes=[1]),
            helper.make_node("Div", ["mean", "hundred"], ["all"]),
            helper.make_node("Reshape", ["all", "flat"], ["evidence"]),
        ],
        "review",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["NS", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["N", 1][:answers])],
        [
            *(numpy_helper.from_array(np.array(value), name) for name, value in constants.items()),
            numpy_helper.from_array(np.float32(100), "hundred"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    whole = {
        "card_version": CARD_VERSION,
        "window": SIDE,
        "stride": 4,
        "root_width": 5.0,
        "threshold": 0.0,
        "radius": 5.0,
        "sizes": SIZES,
        "review_of": "a net",
    }
    cards.write(path, model.SerializeToString(), {**whole, **card})
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    net = write_net(tmp_path / "net.onnx", threshold=0.5)
    write_review(review_of(net), review_of=CnnScorer(net).card["sha256"])
    return net


def test_each_find_gets_what_its_own_squares_say(tmp_path: Path) -> None:
    review = Review(write_review(tmp_path / "net.review.onnx"))
    squares = np.random.default_rng(0).integers(0, 256, (5, 2, SIDE, SIDE, 3), dtype=np.uint8)
    expected = squares.mean(axis=(1, 2, 3, 4)) / 100
    # nothing of a review is for a graphics card
    card = Review(tmp_path / "net.review.onnx", "torch")
    for opened in (review, pickle.loads(pickle.dumps(review)), card):
        np.testing.assert_allclose(opened(squares), expected, rtol=1e-5)


def test_a_review_beside_a_net_is_asked_unless_told_not_to(weights: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    with_it, without = cnn.detector(weights), cnn.detector(weights, review=False)
    assert without.review is None
    points, scores = without.find(image, 0.0)
    after, changed = with_it.find(image, 0.0)
    assert len(points) == len(after) > 3
    worth = scores >= 0.02
    assert worth.any()
    order = np.lexsort(after.T)
    before = scores[np.lexsort(points.T)].astype(np.float64)
    evidence = np.log(changed / (1 - changed))[order] - np.log(before / (1 - before))
    np.testing.assert_allclose(evidence[before >= 0.02], 1.27, atol=0.2)  # mean of what is random
    np.testing.assert_allclose(evidence[before < 0.02], 0, atol=1e-3)


def test_runs_know_which_review_scored(weights: Path) -> None:
    with_it, without = cnn.detector(weights), cnn.detector(weights, review=False)
    assert with_it.review is not None
    assert with_it.review.card["sha256"] in str(identity(with_it))
    assert identity(with_it) != identity(without)


def test_the_review_of_another_net(weights: Path) -> None:
    write_review(review_of(weights))
    with pytest.raises(InputError, match=r"net\.review\.onnx was made for another net"):
        cnn.detector(weights)
    cnn.detector(weights, review=False)


def test_a_review_that_is_none(tmp_path: Path) -> None:
    path = write_review(tmp_path / "net.review.onnx", answers=2)
    with pytest.raises(InputError, match="numbers of shape"):
        Review(path)
    path = write_review(path, window=SIDE + 1)
    with pytest.raises(InputError, match="no review that roottip can use"):
        Review(path)
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "sizes": None}))
    with pytest.raises(InputError, match="sizes"):
        Review(path)
    path = write_review(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="SHA-256"):
        Review(path)
    cards.write(path, b"none", card)
    with pytest.raises(InputError, match="no review that roottip can use"):
        Review(path)
