from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from roottip.synth.clutter import DIRT, DROP, LABEL, SEED, scatter, value_at
from roottip.synth.render import picture
from roottip.synth.roots import Hairs, strokes
from roottip.synth.shapes import disc
from roottip.synth.truth import Scene, _exits, find_tips

GREYS = {"bright on dark": (40.0, 210.0), "dark on bright": (220.0, 60.0)}


def coloured(plate, paper, root):
    names = ("red", "green", "blue")
    return replace(
        plate, **{f"paper_{n}": paper for n in names}, **{f"root_{n}": root for n in names}
    )


def half_maximum(image, tip, degrees, back):
    """How far beyond a point, along an axis, brightness is half way to the paper; px."""
    way = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    along = np.arange(-back, 12, 0.02)
    place = (tip + along[:, None] * way).astype(np.float32)
    grey = image.astype(np.float32).mean(axis=2)
    seen = cv2.remap(grey, place[:, :1], place[:, 1:], cv2.INTER_LINEAR).ravel()
    paper = seen[-150:].mean()
    above = np.abs(seen - paper) > np.abs(seen[0] - paper) / 2
    return along[np.flatnonzero(above)[-1]]


@pytest.mark.parametrize("ground", GREYS)
@pytest.mark.parametrize("width", [3.0, 5.0, 9.0, 14.0])
@pytest.mark.parametrize(("sharpness", "defocus"), [(1, 0.5), (2, 0.8), (3, 1.2), (2, 2.0)])
def test_a_free_tip_is_where_the_visible_end_is(clean, straight, ground, width, sharpness, defocus):
    plate = coloured(clean, *GREYS[ground])
    plate = replace(plate, root_width=width, sharpness=float(sharpness), defocus=defocus)
    for degrees in (0, 33, 90, 140, 180, 245, 301):
        root = straight(degrees, end=(13.7, 13.8))
        made = picture(plate, [root], seed=2)
        (tip,) = made.tips.itertuples()
        back = sharpness * width / 2 * plate.taper + 2 + 2 * defocus  # behind the rounded end
        found = half_maximum(made.image, np.array([tip.x, tip.y]), degrees, back)
        assert abs(found) < 0.5
        assert (tip.ignore, tip.cause) == (0, "small" if tip.width < 2.5 else "")


def tips(plate, *roots, seed=1):
    return picture(plate, list(roots), seed).tips.set_index("root_id").sort_index()


def test_tips_beside_each_other_are_a_close_pair(clean, straight):
    apart = tips(clean, straight(end=(8, 18)), straight(end=(20, 18), root=2))
    assert apart["cause"].tolist() == ["", ""]
    near = tips(clean, straight(end=(12, 18)), straight(end=(14.5, 18), root=2))
    assert near["cause"].tolist() == ["close pair"] * 2
    assert near["ignore"].tolist() == [0, 0]


def test_a_tip_on_another_root_cannot_be_seen_and_one_before_it_can(clean, straight):
    across = straight(0, end=(24, 14), length=20, root=2)
    on = tips(clean, straight(end=(12, 14)), across)
    assert on.loc[1, "ignore"] == 1
    assert on.loc[2, "ignore"] == 0
    before = tips(clean, straight(end=(12, 13)), across)
    assert before.loc[1, ["ignore", "cause"]].tolist() == [0, "crossing"]
    beyond = tips(clean, straight(end=(12, 18)), across)
    assert beyond["cause"].tolist() == ["", ""]


def test_a_tip_along_another_root_is_in_a_bundle(clean, straight):
    found = tips(clean, straight(end=(12, 14)), straight(end=(12.9, 22), root=2, length=20))
    assert found.loc[1, ["ignore", "cause"]].tolist() == [0, "bundle"]
    assert found.loc[2, "cause"] == ""


def test_tips_at_and_beyond_the_border(clean, straight):
    ends = [(13.75, 26.3), (13.75, 27.3), (13.75, 29.0)]  # the picture ends at 27.5 mm
    found = [tips(clean, straight(end=end)).loc[1] for end in ends]
    assert [row["ignore"] for row in found] == [0, 1, 1]
    assert all("border" in row["cause"] for row in found)


def test_a_tip_is_at_the_border_within_12_px_and_lost_within_4(clean, straight):
    for px in (1, 3, 3.7, 4.5, 5, 9, 11, 11.7, 12.6, 13, 17):
        found = tips(clean, straight(end=(13.75, 27.5 - px / clean.px_per_mm))).loc[1]
        left = clean.height - 1 - found["y"]
        assert left == pytest.approx(px, abs=1)
        assert found["ignore"] == (left < 4)
        assert found["cause"] == ("border" if left < 12 else "")


@pytest.mark.parametrize(("px", "pair"), [(29, True), (31, False)])
def test_tips_within_30_px_are_a_close_pair(clean, straight, px, pair):
    found = tips(clean, straight(end=(10, 18)), straight(end=(10 + px / 8, 18), root=2))
    assert found["cause"].tolist() == ["close pair" if pair else ""] * 2


def test_small_is_narrower_than_2_5_px_or_shorter_than_five_of_these(clean, straight):
    seen = set()
    for width, length in ((1.8, 9), (2.3, 9), (2.8, 9), (3.2, 9), (5, 1.4), (5, 1.5), (5, 1.7)):
        found = tips(replace(clean, root_width=width), straight(length=length)).loc[1]
        small = found["width"] < 2.5 or found["length"] < 12.5
        assert found["cause"] == ("small" if small else "")
        seen.add((small, length == 9))
    assert len(seen) == 4


@pytest.mark.parametrize(("gap", "hidden"), [(0.6, True), (2.5, False)])
def test_a_tip_just_before_another_root_can_be_seen(clean, straight, gap, hidden):
    plate = replace(clean, root_width=6.0, taper=1.0, sharpness=1.0)
    across = straight(0, end=(26, 20), length=24, root=2)
    found = tips(plate, straight(end=(14, 20 - (3 + gap) / 8)), across).loc[1]
    assert (found["ignore"], "crossing" in found["cause"]) == (hidden, True)


@pytest.mark.parametrize(("gap", "hidden"), [(1.9, True), (3.4, False)])
def test_a_tip_close_along_another_root_melts_into_it(clean, straight, gap, hidden):
    plate = replace(clean, root_width=6.0, taper=1.0, sharpness=1.0)
    along = straight(end=(12 + (3 + gap) / 8, 24), root=2, length=22)
    found = tips(plate, straight(end=(12, 14)), along).loc[1]
    assert (found["ignore"], "bundle" in found["cause"]) == (hidden, True)


def test_contrast_counts_shade_faintness_and_blur(clean, straight):
    pale = replace(coloured(clean, 100.0, 116.0), shading=0.0, faint=0.6)
    assert tips(pale, straight()).loc[1, "ignore"] == 0
    assert tips(pale, straight(order=1)).loc[1, "ignore"] == 1
    assert tips(replace(pale, shading=0.2), straight()).loc[1, "ignore"] == 1
    for width, lost in ((9.0, 0), (3.0, 1)):
        blurred = replace(pale, root_width=width, defocus=3.0)
        assert tips(blurred, straight()).loc[1, "ignore"] == lost


@pytest.mark.parametrize(("degrees", "listed"), [(12, 0), (30, 1), (90, 1)])
def test_roots_cross_by_20_degrees_or_more_unless_one_grows_from_the_other(
    clean, straight, degrees, listed
):
    def crossings(parent):
        way = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        level = straight(0, end=(40, 14), length=60)
        other = straight(degrees, end=(13, 14) + 40 * way, length=80, root=2)
        places = picture(clean, [level, replace(other, parent=parent)], 1).distractors
        return places[places["cause"] == "crossing"]

    assert bool(len(crossings(-1))) == bool(listed)
    assert len(crossings(1)) == 0


def test_what_covers_a_tip_hides_it(clean, straight):
    root = straight(-90, end=(13.75, 6.0))
    assert tips(clean, root).loc[1, "ignore"] == 0
    assert tips(replace(clean, clamp=8.0), root).loc[1, "ignore"] == 1
    assert tips(replace(clean, clamp=5.0), root).loc[1, ["ignore", "cause"]].tolist() == [
        0,
        "border",
    ]
    pale = coloured(replace(clean, shading=0.0), 100.0, 106.0)
    assert tips(pale, root).loc[1, "ignore"] == 1
    weak = coloured(replace(clean, shading=0.0, noise=1.0), 100.0, 114.0)
    assert tips(weak, root).loc[1, "ignore"] == 0
    assert tips(replace(weak, noise=10.0), root).loc[1, "ignore"] == 1


@pytest.mark.parametrize(
    ("cause", "knobs"),
    [
        ("dirt", {"dirt": 4000.0, "dirt_size": 2.0}),
        ("label", {"labels": 300.0}),
        ("film", {"drops": 600.0}),
        ("hair", {"hairs": 120.0, "hairless": 0.0, "hair_opacity": 0.8, "hair_length": 2.0}),
        ("translucent", {"translucency": 0.6}),
        ("small", {"root_width": 3.0, "taper": 0.5}),
    ],
)
def test_each_hard_thing_is_named(clean, straight, cause, knobs):
    roots = [straight(end=(x, 14.0), root=n) for n, x in enumerate((5, 10, 15, 20))]
    assert not tips(clean, *roots)["cause"].str.contains(cause).any()
    assert tips(replace(clean, **knobs), *roots)["cause"].str.contains(cause).any()


def test_places_that_look_like_tips_are_listed_and_none_is_near_a_tip(clean, straight):
    busy = replace(
        clean, dirt=200, fibres=100, scratches=400, labels=40, long_hairs=150, hair_opacity=0.5
    )
    roots = [
        straight(0, end=(40, 5), length=60),
        straight(90, end=(20, 24), length=40, root=2),
    ]
    made = picture(busy, roots, 4)
    places = made.distractors
    assert set(places["cause"]) == {"dirt", "hair", "scratch", "label", "crossing", "border"}
    assert places["x"].between(-0.5, 219.5).all()
    assert places["y"].between(-0.5, 219.5).all()
    cross = places[places["cause"] == "crossing"]
    assert np.hypot(cross["x"] - 159.5, cross["y"] - 39.5).max() < 4
    edges = places[places["cause"] == "border"]
    assert len(edges) == 3  # left, right, top; the second root ends inside
    distance = np.hypot(
        places["x"].to_numpy()[:, None] - made.tips["x"].to_numpy(),
        places["y"].to_numpy()[:, None] - made.tips["y"].to_numpy(),
    )
    assert distance.min() > 12


@pytest.mark.parametrize("species", ["maize", "pea"])
def test_a_tip_under_a_leaf_is_hidden_and_leaves_end_like_tips(clean, straight, species):
    clean = replace(clean, width=440, height=440, top=50.0, plants=1, seeds=1.0, species=species)
    leafy = replace(clean, leaves=8.0)
    without, made = picture(clean, [], 4), picture(leafy, [], 4)
    leaves = (made.image != without.image).any(axis=2).astype(np.uint8)
    inside = cv2.copyMakeBorder(leaves[40:-40, 40:-40], *[40] * 4, cv2.BORDER_CONSTANT)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    y, x = np.unravel_index(np.argmax(depth), depth.shape)
    assert depth.max() > 6
    root = straight(end=(np.array([x, y]) + 0.5) / leafy.px_per_mm)
    seen, covered = tips(clean, root, seed=4), tips(leafy, root, seed=4)
    assert (seen["ignore"].item(), covered["ignore"].item()) == (0, 1)
    ends = made.distractors[len(without.distractors) :]
    assert len(ends) > 1
    assert set(ends["cause"]) == {"seed"}


def test_a_tip_that_is_paired_with_one_nobody_sees_is_none(clean, straight):
    across = straight(0, end=(24, 16.5), length=20, root=3)
    found = tips(clean, straight(end=(12, 14)), straight(end=(13.5, 16.5), root=2), across)
    assert found["ignore"].tolist() == [0, 1, 0]
    assert "close pair" not in found.loc[1, "cause"]
    assert "close pair" in found.loc[2, "cause"]


def test_grain_hides_what_noise_as_strong_would(clean, straight):
    weak = coloured(replace(clean, shading=0.0), 100.0, 114.0)
    hidden = [
        tips(replace(weak, grain=grain, noise=noise), straight())["ignore"].item()
        for grain, noise in ((0, 0), (9, 0), (0, 9), (10, 0), (0, 10), (7, 7))
    ]
    assert hidden == [0, 0, 0, 1, 1, 1]  # 1.5 times 9.2 is 13.8 levels, and of 14 a few are lost


def opaque(made):
    """Whether nothing shines through covers, but at their smooth edges."""
    inner = cv2.erode(made.hidden.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return bool((made.paint[inner][:, 3] == 255).all())


def test_letters_on_a_sticker_do_not_uncover_the_roots_below(clean):
    plate = replace(clean, width=440, height=440, labels=40.0)
    for seed in range(40):
        made = scatter(plate, seed, np.empty((0, 2)))
        letters = made.hidden & (made.kind == LABEL)
        if letters.sum() > 50:
            break
    assert opaque(made)
    label = [place for place in made.places if value_at(made.hidden, place[:2], False)]
    assert label
    assert {cause for *_, cause in label} == {"label"}
    y, x = np.argwhere(letters)[len(np.argwhere(letters)) // 2]
    line = np.array([(x + 0.0, y - 0.4), (x, y + 0.4)])
    assert value_at(made.hidden, line, False).all()
    row = np.stack([np.arange(440.0), np.full(440, y)], axis=1)
    borders = np.count_nonzero(np.diff(made.hidden[y].astype(int)))
    assert len(_exits(row, made.hidden)) == borders


def test_a_clamp_and_what_is_drawn_on_it_let_nothing_through(clean):
    made = scatter(replace(clean, clamp=6.0, rim=2.0, seeds=1.0, plants=2), 3, np.array([[60, 90]]))
    assert made.hidden[:40].all()
    assert opaque(made)
    assert len(np.unique(made.paint[:40, 100, 0])) > 1  # the strips of light are on it


def test_a_seed_has_two_ends_and_its_shoot_one(clean):
    plate = replace(clean, seeds=1.0, plants=1, px_per_mm=2.0)
    for seed in range(5):
        made = scatter(plate, seed, np.array([[110.0, 180.0]]))
        assert [cause for *_, cause in made.places] == ["seed"] * 3
        shoot, *ends = (np.array(place[:2]) for place in made.places)
        assert (ends[0] + ends[1]) / 2 == pytest.approx([110, 180])
        assert shoot[1] < 180 - np.linalg.norm(ends[0] - ends[1])
        inside = cv2.distanceTransform((made.kind == SEED).astype(np.uint8), cv2.DIST_L2, 5)
        outside = cv2.distanceTransform((made.kind != SEED).astype(np.uint8), cv2.DIST_L2, 5)
        for x, y in np.round([shoot, *ends]).astype(int):
            assert max(inside[y, x], outside[y, x]) < 4  # at the border of what is drawn


@pytest.mark.parametrize(("knob", "cause"), [("fibres", "hair"), ("scratches", "scratch")])
def test_each_thread_and_scratch_has_two_ends(clean, knob, cause):
    alone = 0
    for seed in range(60):
        made = scatter(replace(clean, **{knob: 30.0}), seed, np.empty((0, 2)))
        drawn = (made.kind == DIRT).astype(np.uint8)
        whole = not (drawn[[0, -1]].any() or drawn[:, [0, -1]].any())
        if whole and cv2.connectedComponents(drawn)[0] == 2:
            alone += 1
            (*one, first), (*two, second) = made.places
            assert (first, second) == (cause, cause)
            near = cv2.dilate(drawn, np.ones((3, 3)))
            assert value_at(near, np.array([one, two]), 0).all()
            y, x = np.nonzero(drawn)
            if knob == "scratches":
                box = np.ptp(x), np.ptp(y)
                assert np.hypot(*np.subtract(one, two)) == pytest.approx(np.hypot(*box), abs=6)
    assert alone > 3


def test_each_tick_of_a_ruled_line_has_two_ends(clean):
    for seed in range(20):
        made = scatter(replace(clean, ruled=1.0), seed, np.empty((0, 2)))
        rows = np.count_nonzero(made.kind == DIRT, axis=1)
        if np.count_nonzero(rows > 110) in (1, 2, 3):  # one line, level
            break
    ends = np.array([place[:2] for place in made.places]).reshape(-1, 2, 2)
    assert (ends[:, 1] - ends[:, 0] == (0, 14)).all()
    above = round(ends[:, 0, 1].mean()) + 3  # four px above the line there are ticks only
    _, labels = cv2.connectedComponents((made.kind[above] == DIRT).astype(np.uint8)[None])
    assert len(ends) == labels.max() > 1
    assert {cause for *_, cause in made.places} == {"scratch"}


def test_letters_are_listed_in_their_middle(clean):
    off = []
    for seed in range(40):
        made = scatter(replace(clean, labels=20.0), seed, np.empty((0, 2)))
        y, x = np.nonzero(made.kind == LABEL)
        inside = len(x) and min(x.min(), y.min()) > 0 and max(x.max(), y.max()) < 219
        if inside and len(made.places) < 9 and not made.hidden.any():  # a single word
            places = np.array([place[:2] for place in made.places])
            size = np.array([np.ptp(x) / len(places), np.ptp(y)])
            middle = np.array([x.min() + x.max(), y.min() + y.max()]) / 2
            off.append((places.mean(axis=0) - middle) / size)
    assert len(off) > 3
    assert np.abs(np.mean(off, axis=0)).max() < 0.25


def under(plate, root, fuzz=0.0, wet=0.0, cover=0.0, kind=0):
    """The tip of a root under hairs, water and paint that are the same everywhere."""
    clutter = scatter(plate, 1, np.empty((0, 2)))
    clutter.paint[..., 3] = round(255 * cover)
    clutter.kind[:] = kind
    level = np.ones((plate.height, plate.width), np.float32)
    hairs = Hairs(np.float32(fuzz) * level, np.empty((0, 2)), np.empty((0, 4, 2)))
    drawn = strokes(plate, [root], 0.4, 1)
    water = np.float32(wet) * level
    return tuple(find_tips(Scene(plate, drawn, hairs, clutter, water)).loc[0, ["cause", "ignore"]])


def test_hairs_water_and_paint_hide_a_tip_where_there_is_much_of_them(clean, straight):
    root, pale = straight(), replace(coloured(clean, 100.0, 118.0), shading=0.0)
    assert [under(clean, root, fuzz) for fuzz in (0.06, 0.1, 0.42, 0.48)] == [
        ("", 0),
        ("hair", 0),
        ("hair", 0),
        ("hair", 1),
    ]
    assert [under(pale, root, wet=wet) for wet in (0.1, 0.2, 0.4, 0.6)] == [
        ("", 0),
        ("film", 0),
        ("film", 0),
        ("film", 1),
    ]
    assert [under(clean, root, cover=cover)[1] for cover in (0.45, 0.55)] == [0, 1]
    kinds = (DIRT, LABEL, SEED, DROP)
    causes = ["dirt", "label", "border", "film"]
    assert [under(clean, root, kind=kind)[0] for kind in kinds] == causes


def test_what_a_sticker_covers_is_neither_listed_nor_named(clean):
    made = scatter(clean, 1, np.empty((0, 2)))
    made.lay([disc(60, 60, 9, (9, 9, 9)), disc(150, 60, 9, (9, 9, 9))], 1.0, DIRT)
    made.places += [(60.0, 60.0, "dirt"), (150.0, 60.0, "dirt")]
    made.cover([disc(20, 20, 5, (200, 200, 200))])
    made.cover([disc(60, 60, 20, (200, 200, 200))])
    assert (made.kind[60, 60], made.kind[60, 150]) == (0, DIRT)
    assert made.hidden[[60, 20, 60], [60, 20, 150]].tolist() == [True, True, False]
    assert made.places == [(150.0, 60.0, "dirt")]
