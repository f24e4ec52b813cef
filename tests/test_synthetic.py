from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from roottip.interchange import read_dataset
from roottip.synthetic import Plate, draw_plate, random_plates, sample_plates, write_dataset

CLEAN = Plate(roots=1, laterals=0, hairs=0, dirt=0, noise=0, root_width=8)


@pytest.mark.parametrize("seed", range(6))
def test_a_tip_is_where_the_visible_end_is(seed):
    image, tips = draw_plate(CLEAN, seed)
    assert len(tips) == 1
    x, y = tips.loc[0, ["x", "y"]]
    # along the root, which runs nearly straight down, brightness halves at the tip
    rows = np.arange(y - 12, y + 8, 0.1, dtype=np.float32)
    columns = np.full_like(rows, x)
    profile = cv2.remap(image[..., 0], columns[:, None], rows[:, None], cv2.INTER_LINEAR).ravel()
    half = (float(profile[:40].mean()) + float(profile[-30:].mean())) / 2
    end = rows[np.flatnonzero(profile > half)[-1]]
    assert end == pytest.approx(y, abs=1.5)


def test_the_same_seed_draws_the_same_plate():
    first, tips = draw_plate(Plate(), 3)
    again, tips_again = draw_plate(Plate(), 3)
    assert np.array_equal(first, again)
    pd.testing.assert_frame_equal(tips, tips_again)
    assert not np.array_equal(first, draw_plate(Plate(), 4)[0])


def test_a_plate_without_roots_has_no_tips():
    image, tips = draw_plate(Plate(roots=0), 1)
    assert len(tips) == 0
    assert image.shape == (480, 400, 3)


def test_tips_on_other_roots_and_outside_are_marked():
    plates = [draw_plate(Plate(roots=3, laterals=10), seed)[1] for seed in range(12)]
    tips = pd.concat(plates)
    outside = (tips["x"] < 0) | (tips["x"] > 399) | (tips["y"] < 0) | (tips["y"] > 479)
    assert outside.any()
    assert (tips.loc[outside, "ignore"] == 1).all()
    assert 0 < tips["ignore"].mean() < 0.5
    assert set(tips["root_order"]) == {0, 1}


def test_random_plates_have_every_kind_and_the_same_seed_gives_the_same():
    plates = random_plates(200, 0)
    assert plates == random_plates(200, 0)
    assert plates[:50] != random_plates(50, 1)
    without = np.mean([plate.roots == 0 for plate in plates])
    assert 0.04 < without < 0.18
    brighter = [sum(plate.foreground) > sum(plate.background) for plate in plates]
    assert 0.25 < np.mean(brighter) < 0.75
    contrast = [abs(np.subtract(plate.foreground, plate.background).mean()) for plate in plates]
    assert np.min(contrast) > 4
    assert {plate.hairs for plate in plates} == {0, 50, 150, 400}


def test_the_shipped_sample_is_what_the_script_draws(tmp_path):
    shipped = read_dataset(Path(__file__).parents[1] / "data" / "sample")
    write_dataset(sample_plates(), 1, tmp_path)
    drawn = read_dataset(tmp_path)
    pd.testing.assert_frame_equal(shipped.truth, drawn.truth)
    pd.testing.assert_frame_equal(shipped.images, drawn.images)
    for name in shipped.images["image"]:
        a, b = (cv2.imread(str(d.root / name)).astype(int) for d in (shipped, drawn))
        assert np.abs(a - b).mean() < 1  # JPEG encoders may differ
