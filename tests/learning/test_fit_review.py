"""A review: what is exported is what was learnt, and it is learnt from finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from roottip.errors import InputError
from roottip.images import read_image
from roottip.interchange import read_dataset
from roottip.learning.choice import (
    SAVED,
    SUREST,
    Choice,
    best,
    choose,
    curves,
    scan,
)
from roottip.learning.export import export, layer_widths, restore
from roottip.learning.finish import _review_plates
from roottip.learning.mining import LEAST
from roottip.learning.net import WINDOW, ReviewNet, TipNet
from roottip.learning.plates import Plate
from roottip.learning.quantise import quantise
from roottip.learning.review import BATCH, PASSES, SIZES, Finds, adopt, teach
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers import card as cards
from roottip.scorers.cnn import SHIPPED, CnnScorer, detector
from roottip.scorers.review import CARD_VERSION, Review, review_of
from roottip.surroundings import surroundings

pytestmark = pytest.mark.filterwarnings("ignore:::pytorch_lightning", "ignore:::torch")

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def plates() -> list[Plate]:
    """Two plates of the sample, twice, as two datasets."""
    dataset = read_dataset(SAMPLE)
    made = []
    for folder in ("a", "b"):
        for name in dataset.images["image"][:2]:
            own = dataset.truth[dataset.truth["image"] == name]
            tips = own.loc[own["ignore"] == 0, ["x", "y"]].to_numpy(np.float64)
            ignored = own.loc[own["ignore"] == 1, ["x", "y"]].to_numpy(np.float64)
            made.append(Plate(folder, name, name, read_image(dataset.root / name), tips, ignored))
    return made


@pytest.fixture
def weights(shipped_alone: Callable[[], Path]) -> Path:
    return shipped_alone()


def learnt(weights: Path, squares: np.ndarray) -> ReviewNet:
    """A review with layers of a trained net and chance in its head."""
    net = TipNet(**layer_widths(weights))
    restore(
        net, weights, torch.from_numpy(squares.reshape(-1, *squares.shape[2:])).permute(0, 3, 1, 2)
    )
    torch.manual_seed(0)
    review = ReviewNet(net, len(SIZES)).eval()
    review.head[-1].weight.data.normal_(0, 0.3)
    return review


def test_what_is_exported_is_what_was_learnt_and_its_twin_is_near(
    weights: Path, plates: list[Plate], tmp_path: Path
) -> None:
    image = plates[0].image
    points, _ = detector(weights, root_width=5.0).find(image, 0.02)
    ((members, squares),) = surroundings(image, points, [WINDOW / size for size in SIZES], WINDOW)
    assert len(members) == len(points) > 5
    net = learnt(weights, squares)
    with torch.no_grad():
        expected = net(torch.from_numpy(squares).permute(0, 1, 4, 2, 3)).numpy()
    assert np.ptp(expected) > 0.5
    path = tmp_path / "net.review.onnx"
    export(net, path, {"threshold": 0.0, "radius": 5.0, "sizes": list(SIZES), "review_of": "a"})
    np.testing.assert_allclose(Review(path)(squares), expected, atol=1e-3)
    card = cards.read_card(path, CARD_VERSION)
    cards.write(path, quantise(cards.read_weights(path, card), list(squares)[:8]), card)
    twin = Review(path)(squares)
    assert np.abs(twin - expected).max() < 0.3 * np.ptp(expected)
    assert np.corrcoef(twin, expected)[0, 1] > 0.98


def test_a_review_begins_by_leaving_scores_as_they_are(weights: Path) -> None:
    net = ReviewNet(TipNet(**layer_widths(weights)), 2).eval()
    squares = torch.randint(0, 256, (3, 2, 3, WINDOW, WINDOW), dtype=torch.uint8)
    assert net(squares).tolist() == [0, 0, 0]


def test_finds_are_what_the_detector_finds(weights: Path, plates: list[Plate]) -> None:
    finds = Finds(plates, weights, 4000, seed=0)
    squares, logit, label = finds[7]
    assert squares.shape == (len(SIZES), 3, WINDOW, WINDOW)
    assert squares.dtype == torch.uint8
    again = Finds(plates, weights, 4000, seed=0)[7]
    assert torch.equal(squares, again[0])
    assert (logit, label) == again[1:]
    # a tip is found with a higher score than what is none
    drawn = [finds[i][1:] for i in range(200)]
    tips = [float(one) for one, label in drawn if label == 1]
    others = [float(one) for one, label in drawn if label == 0]
    assert min(len(tips), len(others)) > 20
    assert np.mean(tips) > np.mean(others) + 1
    with pytest.raises(IndexError):
        finds[4000]


def test_no_find_is_looked_at_too_often(weights: Path, plates: list[Plate]) -> None:
    finds = Finds(plates, weights, 100_000, seed=0)
    chance = np.diff(finds._cumulative, prepend=0)
    assert chance.max() * 100_000 == pytest.approx(PASSES)
    # with fewer items than that both datasets are as likely
    few = Finds(plates, weights, 40, seed=0)
    chance = np.diff(few._cumulative, prepend=0)
    of_first = np.array([plates[number].dataset == "a" for number in few._plate_of])
    assert chance[of_first].sum() == pytest.approx(0.5)
    assert chance.sum() == pytest.approx(1)


def test_a_taught_review_is_used_and_handed_on(
    weights: Path,
    plates: list[Plate],
    shipped_alone: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roottip.learning.review.TYPICAL", 8)
    before = detector(weights, root_width=5.0).find(plates[0].image, 0.02)
    path = teach(weights, plates, steps=2, precision="32-true")
    assert path == review_of(weights)
    found = detector(weights, root_width=5.0)
    assert found.review is not None
    after = found.find(plates[0].image, 0.02)
    assert len(after[1]) > 5
    assert set(map(tuple, after[0])) & set(map(tuple, before[0]))
    assert not np.array_equal(np.sort(after[1]), np.sort(before[1]))
    assert (np.diff(after[1]) <= 0).all()
    without = detector(weights, root_width=5.0, review=False).find(plates[0].image, 0.02)
    np.testing.assert_array_equal(without[1], before[1])

    other = shipped_alone()
    shutil.copyfile(path, review_of(other))
    cards.write(review_of(other), path.read_bytes(), {**Review(path).card, "review_of": "another"})
    with pytest.raises(InputError, match="made for another net"):
        detector(other)
    assert Review(adopt(weights, other)).card["review_of"] == CnnScorer(other).card["sha256"]
    assert detector(other).review is not None


def test_nothing_to_tell_apart(weights: Path, plates: list[Plate]) -> None:
    blank = Plate(
        "a", "b", "c", np.full((300, 300, 3), 90, np.uint8), np.empty((0, 2)), np.empty((0, 2))
    )
    with pytest.raises(InputError, match="nothing"):
        teach(weights, [blank], steps=1)
    assert BATCH > 1


@pytest.mark.parametrize(("shift", "helps"), [(0.0, False), (-30.0, False), (1.5, True)])
def test_a_review_is_chosen_where_it_helps(
    shift: float, helps: bool, weights: Path, plates: list[Plate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence that is the same everywhere changes nothing, or loses all; some for tips helps.

    One that is handed on stays where it changes nothing: what is known by heart needs none.
    """
    path = review_of(weights)
    path.touch()  # what it says is made up below
    tips = np.concatenate([plate.tips for plate in plates[:2]])
    monkeypatch.setattr(
        "roottip.surroundings.surroundings",
        lambda image, points, sides, window: [(np.arange(len(points)), points)],
    )

    def evidence(self: Review, points: np.ndarray) -> np.ndarray:
        near = np.linalg.norm(points[:, None] - tips, axis=2).min(axis=1) < 10
        return np.where(near if shift > 0 else True, shift, 0.0)

    monkeypatch.setattr(Review, "__init__", lambda self, path, runtime: None)
    monkeypatch.setattr(Review, "__call__", evidence)
    sha = CnnScorer(weights).card["sha256"]
    card = {"window": 4, "sizes": [1.0], "review_of": sha}
    monkeypatch.setattr(Review, "card", card, raising=False)
    choice = choose(weights, plates[:2])
    assert choice.review == helps
    assert choose(weights, plates[:2], None, 0.41, handed_on=True).review == (shift >= 0)
    if not helps:
        path.unlink()
        assert choose(weights, plates[:2]) == choice


def test_settings_are_chosen_by_one_look_at_each_plate(
    plates: list[Plate], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, look = [], CnnScorer.look

    def counting(self: CnnScorer, image: np.ndarray, centres: np.ndarray) -> object:
        looked.append(image.shape)
        return look(self, image, centres)

    monkeypatch.setattr(CnnScorer, "look", counting)
    choice = choose(SHIPPED, plates[:2])
    assert len(looked) == 2 * len(CnnScorer(SHIPPED).card["sizes"])
    settings = {"surest": choice.surest, "review": choice.review}
    chosen = detector(SHIPPED, LEAST, root_width=REFERENCE_WIDTH, glance=False, **settings)
    by_itself = best(curves(scan(chosen, plates[:2]), plates[:2]))
    assert by_itself == (choice.threshold, choice.f1)
    assert choice.f1 > 0.5


def test_who_judges_a_review_is_not_among_those_that_teach_it(plates: list[Plate]) -> None:
    first, second, only = plates[0], plates[1], plates[3]  # of datasets a, a and b
    taught = _review_plates([first, second, only], judges=[first, only])
    # of a dataset that all judge, all teach
    assert [id(plate) for plate in taught] == [id(second), id(only)]


def test_of_settings_that_do_as_well_the_one_that_doubts_is_chosen(
    weights: Path, plates: list[Plate], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    scores = iter([(0.3, 0.8), (0.4, 0.8 + 0.9 * SAVED), (0.3, 0.8), (0.4, 0.8 + 1.1 * SAVED)])
    monkeypatch.setattr(
        "roottip.learning.choice.best", lambda _, *told: given.append(told) or next(scores)
    )
    blank = replace(plates[0], image=np.full((90, 90, 3), 90, np.uint8), tips=np.empty((0, 2)))
    assert choose(weights, [blank]) == Choice(0.8, 0.3, SUREST, review=False)
    assert choose(weights, [blank], {"a": 0.7}, 0.4).surest == 0
    assert given == [(None, None), (None, None), ({"a": 0.7}, 0.4), ({"a": 0.7}, 0.4)]


def finds_of(
    plate: Plate, points: np.ndarray, monkeypatch: pytest.MonkeyPatch, seed: int = 0
) -> Finds:
    """As of a net that finds these points, all as sure."""
    found = SimpleNamespace(find=lambda image: (points, np.full(len(points), 0.3, np.float32)))
    monkeypatch.setattr("roottip.learning.review.cnn.detector", lambda *_, **__: found)
    return Finds([plate], Path("net.onnx"), 40, seed)


def test_of_finds_near_a_tip_one_is_it_and_none_near_what_is_ignored_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.full((200, 200, 3), 90, np.uint8)
    tips, ignored = np.array([[50.0, 50.0], [109.0, 50.0]]), np.array([[100.0, 50.0]])
    plate = Plate("a", "n", "g", image, tips, ignored)
    near, beside, far = [52.0, 50.0], [50.0, 57.0], [150.0, 150.0]
    # one tip is near an ignored point, another find is near that only
    both, doubtful = [108.0, 50.0], [95.0, 45.0]
    points = np.array([near, beside, far, both, doubtful])
    finds = finds_of(plate, points, monkeypatch)
    assert finds._points.tolist() == [near, beside, far, both]
    assert finds._labels.tolist() == [1, 0, 0, 1]


def test_both_squares_of_a_find_show_it_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roottip.learning.patches.light", lambda: Unlit())
    point = np.array([300.3, 299.6])
    y, x = np.mgrid[:600, :600] - point[::-1, None, None]
    hill = 200 * np.exp(-(x**2 + y**2) / 2 / 9**2)
    image = np.repeat(hill[:, :, None], 3, axis=2).astype(np.uint8)
    plate = Plate("a", "n", "g", image, point[None], np.empty((0, 2)))
    finds = finds_of(plate, np.array([point, [9.0, 9.0]]), monkeypatch)
    other = finds_of(plate, np.array([point, [9.0, 9.0]]), monkeypatch, seed=1)
    assert any(not torch.equal(finds[i][0], other[i][0]) for i in range(8))
    grid = np.arange(WINDOW) - (WINDOW - 1) / 2
    squares = [finds._squares(0, np.random.default_rng(seed)) for seed in range(8)]
    assert len({one.tobytes() for one in squares}) == 8
    for levels in squares:
        away = [
            np.array([level.sum(axis=0) @ grid, level.sum(axis=1) @ grid]) / level.sum() / size
            for level, size in zip(levels[..., 0].astype(float), SIZES, strict=True)
        ]
        assert np.hypot(*away[0]) < 6
        np.testing.assert_allclose(*away, atol=0.2)


class Unlit:
    def set_random_seed(self, seed: int) -> None:
        pass

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image}
