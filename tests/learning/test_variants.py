"""Variants of plates: their tips stay where their roots end, and what is cut is not asked for."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from roottip.learning.patches import R2
from roottip.learning.plates import Plate
from roottip.learning.variants import CUT, INVERTED, MOST, SMALLEST, WANTED, ZOOM, variants
from roottip.scale import REFERENCE_WIDTH, adjustment

COUNT = 12


def plate(dataset: str, number: int) -> Plate:
    """Discs on a dark ground, each around a tip, the last an ignored one."""
    rng = np.random.default_rng(number)
    grid = np.stack(np.meshgrid(np.arange(60, 500, 90), np.arange(60, 400, 90)), -1).reshape(-1, 2)
    points = (grid + rng.uniform(-10, 10, grid.shape)).astype(np.float64)
    y, x = np.mgrid[:400, :500]
    apart = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]).min(axis=-1)
    level = np.clip(40 + 30 * (6.5 - apart), 40, 200).astype(np.uint8)
    image = np.repeat(level[:, :, None], 3, axis=2)
    return Plate(dataset, f"{number}", f"{number}", image, points[:-1], points[-1:])


@pytest.fixture(scope="module")
def made() -> list[Plate]:
    return list(variants([plate("a", number) for number in range(COUNT)], seed=3))


def test_tips_stay_in_the_middle_of_what_is_there(made: list[Plate]) -> None:
    inverted, off = 0, []
    for one in made:
        grey = one.image.mean(axis=2)
        ground = np.median(grey)
        dark = grey.min() < 2 * ground - grey.max()  # what stands out is darker
        inverted += dark
        for x, y in one.tips:
            left, top = round(x) - 11, round(y) - 11
            if min(left, top) < 0:
                continue
            part = np.abs(grey[top : top + 23, left : left + 23] - ground)
            if part.shape != (23, 23):
                continue
            part *= part > part.max() / 2
            down, right = np.mgrid[:23, :23]
            middle = np.array([(right * part).sum(), (down * part).sum()]) / part.sum()
            off.append(np.hypot(middle[0] + left - x, middle[1] + top - y))
    # noise and blur move a few
    assert np.median(off) < 0.5
    assert np.quantile(off, 0.95) < 0.7
    assert 0.3 < inverted / len(made) < 0.7
    assert INVERTED == 0.5


def test_a_part_and_a_size_of_each_is_in_view(made: list[Plate]) -> None:
    share = np.array([np.divide(one.image.shape[:2], (400, 500)) for one in made])
    assert (share > SMALLEST / ZOOM - 0.01).all()
    assert (share < ZOOM + 0.01).all()
    whole = np.isclose(share[:, 0], share[:, 1], atol=0.005)
    assert 0.3 < whole.mean() < 0.7
    assert len({one.image.shape for one in made}) > len(made) / 2


def test_what_is_cut_near_its_end_is_ignored(made: list[Plate]) -> None:
    for one in made:
        end = np.array(one.image.shape[1::-1]) - 1
        to_border = np.minimum(one.tips, end - one.tips).min(axis=1, initial=np.inf)
        assert (to_border > R2).all()
        assert ((one.ignored > -0.5) & (one.ignored < end + 0.5)).all()
        # all that is in view is there, once
        assert len(one.tips) + len(one.ignored) <= 20
    # the one that was ignored before is not all
    assert sum(len(one.ignored) for one in made) > len(made) / 2
    assert max(len(one.ignored) for one in made) > 1


def test_few_plates_of_a_dataset_are_varied_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roottip.learning.variants._varied", lambda plate, rng: plate)
    few, many = [plate("few", 0)], [plate("many", 1)] * (2 * WANTED)
    made = [one.dataset for one in variants([*few, *many], seed=0)]
    assert made.count("few") == MOST
    # half of them, by chance: within four standard deviations
    assert made.count("many") == pytest.approx(WANTED, abs=4 * np.sqrt(WANTED / 2))


def test_few_of_many_plates_are_cut_as_often_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # what `_varied` draws first says whether a variant is cut
    monkeypatch.setattr("roottip.learning.variants._varied", lambda plate, rng: rng.random() < CUT)
    cut = list(variants([plate("many", 1)] * (5 * WANTED), seed=0))
    assert np.mean(cut) == pytest.approx(CUT, abs=4 * 0.5 / np.sqrt(len(cut)))


def test_the_same_seed_gives_the_same_variants() -> None:
    plates = [plate("a", number) for number in range(2)]
    first, again, other = (list(variants(plates, seed)) for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        assert (one.image == same.image).all()
        assert (one.tips == same.tips).all()
    assert any(
        one.image.shape != two.image.shape or (one.image != two.image).any()
        for one, two in zip(first, other, strict=True)
    )


def test_where_roots_hardly_stand_out_they_are_raised_as_for_detectors() -> None:
    image = np.full((400, 500, 3), 60, np.uint8)
    for x in range(60, 480, 70):
        cv2.line(image, (x, 40), (x + 30, 360), (72, 72, 72), 5, cv2.LINE_AA)
    none = np.empty((0, 2))
    assert adjustment(image, REFERENCE_WIDTH).gain > 3
    faint = Plate("a", "n", "g", image, none, none)
    gains = [adjustment(one.image, REFERENCE_WIDTH).gain for one in variants([faint] * 3, 0)]
    assert np.median(gains) < 1.3


def test_variants_are_smaller_and_larger_than_their_plates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roottip.learning.variants.CUT", 0.0)
    sides = [one.image.shape[0] / 400 for one in variants([plate("a", 0)] * 8, seed=0)]
    assert min(sides) < 1 / 1.1
    assert max(sides) > 1.1


def test_which_of_many_plates_are_varied_depends_on_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roottip.learning.variants._varied", lambda plate, rng: plate)
    one = plate("many", 0)
    many = [replace(one, name=f"{number}") for number in range(2 * WANTED)]
    first, other = ([made.name for made in variants(many, seed)] for seed in (0, 1))
    assert first != other
