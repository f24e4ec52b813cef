from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from roottip.synth.ground import noise
from roottip.synth.growth import SPECIES
from roottip.synth.plate import Plate, varied
from roottip.synth.render import draw, picture, plant

pytest.importorskip("plantbox")

BUSY = Plate(
    width=260,
    height=240,
    species="pea",
    day=4.0,
    top=4.0,
    pairs=2.0,
    haze=0.3,
    hairs=20.0,
    gloss=0.5,
    faint=0.3,
    long_hairs=100.0,
    dirt=60.0,
    residue=200.0,
    fibres=60.0,
    scratches=60.0,
    drops=60.0,
    stains=60.0,
    film=0.4,
    labels=30.0,
    ruled=3.0,
    grid=5.0,
    leaves=30.0,
    clamp=1.5,
    rim=1.0,
)
PICTURE = ["grid", "shadow", "light", "vignette", "grain", "grain_size", "cast", "noise"]
ON_TOP = [
    "dirt",
    "residue",
    "fibres",
    "scratches",
    "labels",
    "drops",
    "ruled",
    "leaves",
    "stains",
    "dirt_size",
]
HAIRS = ["hairs", "hair_length", "hair_opacity", "hairless", "haze", "long_hairs"]
ELSEWHERE = ["width", "height", "species", "jpeg"]
WHERE = ["x", "y", "root_order", "root_id", "plant", "length", "width"]


@pytest.fixture(scope="module")
def busy():
    roots = plant(BUSY, 3, BUSY.day)
    return roots, picture(BUSY, roots, 3)


@pytest.mark.parametrize(
    "knob", [field.name for field in fields(Plate) if field.name not in ELSEWHERE]
)
def test_every_knob_changes_the_picture_and_nothing_it_should_not(busy, knob):
    roots, before = busy
    value = getattr(BUSY, knob)
    other = {
        "day": 3.0,
        "plants": 1,
        "grain_size": 3.0,
        "pair_gap": 5.0,
        "cast": 1.0,
        "thinnest": 0.9,
        "pairs": 6.0,
        "labels": 0.0,
    }
    changed = replace(BUSY, **{knob: other.get(knob, value * 0.4)})
    if knob in ("plants", "pairs", "pair_gap", "laterals", "top", "px_per_mm"):
        roots = plant(changed, 3, changed.day)
    after = picture(changed, roots, 3)
    assert not np.array_equal(after.image, before.image)
    if knob in PICTURE:
        pd.testing.assert_frame_equal(after.tips, before.tips)
        pd.testing.assert_frame_equal(after.distractors, before.distractors)
    if knob in ON_TOP + HAIRS:
        pd.testing.assert_frame_equal(after.tips[WHERE], before.tips[WHERE])
    if knob in ON_TOP:  # most of the picture is as it was
        assert np.mean(after.image == before.image) > 0.4


def test_the_same_seed_draws_the_same_pixels():
    first, again, other = draw(BUSY, 3), draw(BUSY, 3), draw(BUSY, 4)
    assert np.array_equal(first.image, again.image)
    pd.testing.assert_frame_equal(first.tips, again.tips)
    assert not np.array_equal(first.image, other.image)


def test_roots_keep_their_names_and_places_over_the_days():
    plate = replace(BUSY, clamp=0.0, rim=0.0, day=8.0, width=400, height=400, px_per_mm=4.0)
    roots = plant(plate, 5, 8.0)
    days = [picture(replace(plate, day=day), roots, 5) for day in (2.0, 4.0, 8.0)]
    for young, old in itertools.pairwise(days):
        before, after = young.tips.set_index("root_id"), old.tips.set_index("root_id")
        assert len(before) > 1
        assert set(before.index) <= set(after.index)
        both = after.loc[before.index]
        assert (both["length"] >= before["length"] - 0.01).all()
        assert (both["plant"] == before["plant"]).all()


def test_varied_plates_are_of_every_kind():
    plates = [varied(seed) for seed in range(300)]
    assert plates[:3] == [varied(seed) for seed in range(3)]
    assert 0.05 < np.mean([plate.plants == 0 for plate in plates]) < 0.16
    brighter = [sum(plate.root) > sum(plate.paper) for plate in plates]
    assert 0.6 < np.mean(brighter) < 0.95
    contrast = [np.abs(np.subtract(plate.root, plate.paper)).max() for plate in plates]
    assert min(contrast) > 10
    assert {plate.species for plate in plates} == set(SPECIES)
    widths = [plate.root_width for plate in plates]
    assert 3 <= min(widths) < 3.5
    assert 13 < max(widths) <= 14
    assert 0.1 < np.mean([plate.hairs == 0 for plate in plates]) < 0.3


def test_a_plate_without_roots_has_no_tips_but_dirt():
    made = draw(replace(BUSY, plants=0), 1)
    assert len(made.tips) == 0
    assert list(made.tips) == list(draw(BUSY, 1).tips)
    assert len(made.distractors) > 3


def test_each_day_has_a_noise_of_its_own_as_strong_as_asked_for(clean):
    made = []
    for day in (3.0, 4.0, 4.0):
        scene = np.zeros((3, clean.height, clean.width), np.float32)
        noise(replace(clean, noise=6.0, day=day), 1, scene)
        made.append(scene)
    assert np.array_equal(made[1], made[2])
    assert abs(np.corrcoef(made[0].ravel(), made[1].ravel())[0, 1]) < 0.02
    assert made[0].std() == pytest.approx(6, rel=0.1)


def test_what_grows_from_a_lateral_left_out_is_left_out_too():
    plate = replace(BUSY, species="lupin", day=11.0, laterals=0.5, pairs=0.0)
    for seed in range(3):
        roots = plant(plate, seed, 11.0)
        known = {root.id for root in roots}
        assert {root.order for root in roots} >= {0, 1, 2}
        assert all(root.parent in known for root in roots if root.order)
