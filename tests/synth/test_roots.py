from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roottip.synth.render import _gloss
from roottip.synth.roots import draw_roots, strokes


@pytest.mark.parametrize("translucency", [0.0, 0.1, 0.3, 0.65])
@pytest.mark.parametrize("degrees", [0, 33, 90, 140, 245])
def test_no_root_is_darker_than_its_shading_makes_it(clean, straight, translucency, degrees):
    plate = replace(clean, translucency=translucency, shading=0.5, taper=0.9)
    ways = [straight(degrees, (13.7, 13.8)), straight(degrees + 60, (14.5, 15), root=2)]
    drawn = strokes(plate, ways, 0.4, 1)
    ((opacity, tone),) = draw_roots(plate, drawn, 1.0)
    assert (tone <= opacity + 1e-6).all()
    seen = opacity > 0.3
    assert seen.sum() > 300
    assert (tone - (1 - plate.shading) * opacity)[seen].min() > -5 / 255  # rounded a few times


def test_what_grows_from_a_root_too_short_to_draw_has_its_parent(clean, straight):
    whole, long = straight(root=1), straight(root=3, order=2)
    short = replace(straight(root=2, order=1, length=0.2), parent=1)
    drawn = strokes(clean, [whole, short, replace(long, parent=2)], 0.4, 1)
    assert {stroke.root.id: stroke.root.parent for stroke in drawn} == {1: -1, 3: 1}


@pytest.mark.parametrize("degrees", [45, 135, 225, 315])
def test_gloss_lies_along_a_root_and_to_its_sides(clean, straight, degrees):
    plate = replace(clean, gloss=1.0, root_width=12.0)
    end = np.array([13.75, 13.75])
    root = straight(degrees, tuple(end), length=12)
    aside = []
    for seed in range(60):
        shine = _gloss(strokes(plate, [root], 0.4, seed), plate, seed)
        y, x = np.argwhere(shine).T
        way = np.array([-np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
        aside += list((np.stack([x, y], axis=1) - (end * plate.px_per_mm - 0.5)) @ way)
    assert len(aside) > 300
    assert np.abs(aside).max() < 0.3 * 13 + 1.5
    assert np.ptp(aside) > 4
