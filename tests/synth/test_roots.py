from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from roottip.synth.growth import beside
from roottip.synth.render import _gloss, _seen, _shadow, _sown, picture
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


def test_millimetres_begin_at_the_picture_s_corner(clean, straight):
    (stroke,) = strokes(clean, [straight(end=(13.75, 18.0))], 0.4, 1)
    # the corner is (-0.5, -0.5) px
    assert stroke.line[-1] == pytest.approx([13.75 * 8 - 0.5, 18 * 8 - 0.5])
    plate = replace(clean, plants=3)
    seeds = picture(plate, [], 1).distractors[["x", "y"]].to_numpy()
    assert (seeds + 0.5) / 8 == pytest.approx(_sown(plate, 1))


def test_laterals_lie_below_main_roots_and_thin_roots_below_thick_ones(clean, straight):
    thin = replace(straight(root=3), radius=0.2)
    drawn = strokes(clean, [straight(root=1), straight(root=2, order=1), thin], 0.4, 1)
    assert [stroke.root.id for stroke in drawn] == [2, 3, 1]


@pytest.mark.parametrize("shorter", [0.0, 1.0, 3.0])
def test_a_neighbour_ends_so_many_mm_earlier_and_to_the_side(straight, shorter):
    root = straight(90, end=(10, 20), length=16)
    (x, y), (x_other, _) = (beside(root, gap, 0.3, shorter, 9).line[-1] for gap in (2.0, -2.0))
    assert y == pytest.approx(20 - shorter)
    assert abs(x - 10) == pytest.approx(2, abs=0.4)
    assert x_other - 10 == pytest.approx(10 - x)


def test_a_root_outside_the_picture_stays_if_one_inside_grows_from_it(clean, straight):
    outside, inside = straight(end=(-3, 18)), replace(straight(0, root=2), parent=1)
    alone = straight(end=(-5, 18), root=3)
    assert [root.id for root in _seen([outside, inside, alone], clean)] == [1, 2]


@pytest.mark.parametrize("source", [0.0, 1.0, 2.5, 4.0])
def test_shadows_fall_away_from_the_light(clean, source):
    plate = replace(clean, shadow=0.6, root_width=16.0)
    disc = cv2.circle(np.zeros((220, 220), np.float32), (109, 109), 20, 1.0, -1)
    dark = 1 - _shadow([(disc, disc)], plate, source)
    assert 0.5 < dark.max() <= 0.6
    y, x = np.mgrid[:220, :220]
    off = np.array([(dark * x).sum(), (dark * y).sum()]) / dark.sum() - 109
    # by half of a root's width
    assert off == pytest.approx(-8 * np.array([np.cos(source), np.sin(source)]), abs=1)
