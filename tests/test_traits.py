from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from roottip import table, traits
from roottip.errors import InputError
from roottip.traits import Traits


def run_of(points: dict[str, list[tuple[float, float]] | None], **columns):
    """A run's two tables; None for an image that failed."""
    rows = [
        {
            "image": name,
            "status": "failed" if xy is None else "ok",
            "error": "",
            "tips": None if xy is None else len(xy),
            "seconds": 0.1,
        }
        for name, xy in points.items()
    ]
    images = table.images(rows)
    for name in ("note", "px_per_mm", "scale_bar_px", "brightness", "sharpness"):
        default = "" if name == "note" else np.nan if "px" in name else 100.0
        images[name] = columns.get(name, default)
    tips = table.concat(
        [
            table.points(name, np.array(xy, float).reshape(-1, 2), np.ones(len(xy)))
            for name, xy in points.items()
            if xy is not None
        ]
    )
    return tips, images


SQUARE = [(0.0, 0.0), (0.0, 10.0), (20.0, 10.0), (20.0, 0.0), (5.0, 5.0)]


def test_spread_is_the_hulls():
    run = run_of(
        {"a": SQUARE, "line": [(0, 0), (5, 5), (9, 9)], "one": [(3, 4)], "no": [], "bad": None}
    )
    _, images, _ = Traits().measure(*run)
    of = images.set_index("image")[["hull_area_px2", "depth_px", "breadth_px"]]
    assert of.loc["a"].tolist() == pytest.approx([200, 10, 20])
    assert of.loc["line"].tolist() == pytest.approx([0, 9, 9])
    assert of.loc["one"].tolist() == [0, 0, 0]
    assert of.loc[["no", "bad"]].isna().all(axis=None)
    assert "hull_area_mm2" not in images


def test_millimetres_from_a_number_or_from_each_files_tag():
    run = run_of({"a": SQUARE, "b": SQUARE}, px_per_mm=[4.0, np.nan])
    tips, images, _ = Traits(px_per_mm=10).measure(*run)
    assert images["hull_area_mm2"].tolist() == pytest.approx([2, 2])
    assert tips[["x_mm", "y_mm"]].iloc[2].tolist() == pytest.approx([2.05, 1.05])
    tips, images, _ = Traits(resolution_tag=True).measure(*run)
    assert images["depth_mm"].tolist() == pytest.approx([2.5, np.nan], nan_ok=True)
    assert tips["x_mm"].isna().tolist() == [False] * 5 + [True] * 5
    assert images["note"].tolist() == ["", "no usable resolution in the file"]
    tips, images, _ = Traits().measure(*run)
    assert "x_mm" not in tips
    assert images["px_per_mm"].isna().all()
    with pytest.raises(InputError, match="px_per_mm=0 must be"):
        Traits(px_per_mm=0)


def test_millimetres_from_the_scale_bar_in_each_image():
    run = run_of({"a": SQUARE, "b": SQUARE, "bad": None}, scale_bar_px=[40.0, np.nan, np.nan])
    _, images, _ = Traits(scale_bar_mm=5).measure(*run)
    assert images["px_per_mm"].tolist() == pytest.approx([8, np.nan, np.nan], nan_ok=True)
    assert images["depth_mm"].iloc[0] == pytest.approx(10 / 8)
    assert images["note"].tolist() == ["", "no scale bar found", ""]
    with pytest.raises(InputError, match="scale_bar_mm=0 must be"):
        Traits(scale_bar_mm=0)
    with pytest.raises(InputError, match="not several"):
        Traits(px_per_mm=3, scale_bar_mm=5)


def test_names_become_columns_and_groups():
    run = run_of(
        {
            "d1/Col-0_p1_3.jpg": SQUARE,
            "d1/Col-0_p2_3.jpg": SQUARE[:1],
            "d2/wt_p1_07.jpg": [],
            "d2/wt_p2_7.jpg": None,
            "d2/other.jpg": SQUARE,
        }
    )
    by = Traits(pattern="{genotype}_{plate}_{day}", group=["genotype"])
    _, images, summary = by.measure(*run)
    assert images["genotype"].tolist() == ["Col-0", "Col-0", "wt", "wt", None]
    assert images["day"].tolist() == ["3", "3", "07", "7", None]
    assert images["note"].tolist() == [""] * 4 + ["its name does not fit the pattern"]
    rows = summary.set_index("genotype")
    assert rows.loc["Col-0", ["images", "failed", "tips", "tips_mean"]].tolist() == [2, 0, 6, 3]
    assert rows.loc["wt", ["images", "failed", "tips", "tips_mean"]].tolist() == [2, 1, 0, 0]
    assert rows.loc["", "images"] == 1
    assert summary["images"].sum() == 5
    _, images, summary = Traits(pattern="{folder}/{genotype}_{plate}_{day}").measure(*run)
    assert images["folder"].tolist() == ["d1", "d1", "d2", "d2", None]
    assert summary["group"].tolist() == ["d1", "d2"]
    assert summary["images"].tolist() == [2, 3]


def test_a_name_that_fits_in_several_ways_is_not_guessed_at():
    names = [f"{g}_p{n}_d1.png" for g in ("col_0", "ler") for n in range(2)]
    by = Traits(pattern="{genotype}_{plate}_{day}", group=["plate"])
    _, images, _ = by.measure(*run_of({name: [] for name in names}))
    assert images["plate"].tolist() == [None, None, "p0", "p1"]
    assert images["note"].tolist() == ["its name does not fit the pattern"] * 2 + [""] * 2
    fitting = traits.parse(pd.Series(["col_0-p1"]), "{genotype}-{plate}")
    assert fitting.loc[0].tolist() == ["col_0", "p1"]


@pytest.mark.parametrize(
    ("pattern", "group", "said"),
    [
        ("plate", (), "must name fields"),
        ("{a", (), "must name fields"),
        ("{a}_{a}", (), "call the field a something else"),
        ("{image}", (), "call the field image something else"),
        ("{1}", (), "call the field 1 something else"),
        ("{a}", ["b"], "group=b: b is no field of pattern={a}"),
        (None, ["b"], "group=b needs pattern="),
        ("{a}_{b}", ["b", "b"], "group=b,b names a field twice"),
        ("{a}_{brightness}", (), "call the field brightness something else"),
        ("{a}_{px_per_mm}", (), "call the field px_per_mm something else"),
        ("{a}_{hull_area_px2}", (), "call the field hull_area_px2 something else"),
        ("{a}_{images}", ["images"], "call the field images something else"),
        ("{a}_{depth_mm_mean}", (), "call the field depth_mm_mean something else"),
    ],
)
def test_patterns_that_cannot_be(pattern, group, said):
    with pytest.raises(InputError, match=said):
        Traits(pattern=pattern, group=group)


def test_an_images_table_need_not_say_how_it_was_measured():
    tips, images = run_of({"a": SQUARE, "b": [(0, 0)] * 5})
    bare = images.drop(columns=[*table.MEASURED])
    with_scale, listed, _ = Traits(px_per_mm=20.0).measure(tips, bare)
    assert with_scale["x_mm"].tolist()[:3] == [0.5 / 20, 0.5 / 20, 20.5 / 20]
    assert listed["note"].tolist() == ["", ""]
    assert listed["hull_area_mm2"].tolist() == pytest.approx([200 / 400, 0])
    with pytest.raises(InputError, match="tips has points in 'b', which is none of the 1"):
        Traits().measure(tips, bare.iloc[:1])


def test_what_is_doubtful_is_kept_and_flagged():
    points = {f"a/{n}": [(i, 0.0) for i in range(10 + n % 3)] for n in range(9)}
    points |= {"a/many": [(i, 0.0) for i in range(60)], "b/many": [(i, 0.0) for i in range(60)]}
    light = [100.0] * 11
    light[3], sharp = 9.0, [1.0] * 11
    sharp[4] = 0.1
    notes = [""] * 11
    notes[4] = "first of 3 frames"
    run = run_of(points, brightness=light, sharpness=sharp, note=notes)
    _, images, _ = Traits().measure(*run)
    of = images.set_index("image")["note"]
    assert of["a/many"] == "count far from its group's"
    assert of["b/many"] == ""  # alone in its group
    assert of["a/3"] == "very dark"
    assert of["a/4"] == "first of 3 frames; blurred, or nothing on it"
    assert (of != "").sum() == 3


def test_nothing_at_all():
    tips, images, summary = Traits().measure(*run_of({}))
    assert len(tips) == len(images) == len(summary) == 0
    assert isinstance(summary, pd.DataFrame)


def counted(counts, **columns):
    return run_of({f"{n}": [(0, 0)] * count for n, count in enumerate(counts)}, **columns)


def test_dark_is_below_25_and_below_half_of_the_others():
    _, listed, _ = Traits().measure(*counted([3] * 5, brightness=[100, 100, 100, 40, 20]))
    assert listed["note"].tolist() == ["", "", "", "", "very dark"]
    _, listed, _ = Traits().measure(*counted([3] * 5, brightness=20.0))
    assert (listed["note"] == "").all()


def test_the_summary_has_the_standard_deviation_and_far_is_four():
    _, listed, summary = Traits().measure(*counted([100] * 8 + [130, 141]))
    assert summary["tips_sd"][0] == pytest.approx(np.std([100] * 8 + [130, 141], ddof=1))
    assert [bool(n) for n in listed["note"]] == [False] * 9 + [True]  # root of 100, four times


def test_the_same_command_has_the_same_columns_where_no_scale_is_found():
    found, listed = counted([3, 2])
    for asked in ({"scale_bar_mm": 10.0}, {"resolution_tag": True}):
        tips, images, _ = Traits(**asked).measure(found, listed)
        assert tips[["x_mm", "y_mm"]].isna().all(axis=None)
        assert images[["hull_area_mm2", "depth_mm", "breadth_mm"]].isna().all(axis=None)


def test_of_a_part_of_the_images_each_keeps_its_own_folder():
    tips, images = run_of({"a/1": None, "b/2": [(1, 2)], "c/3": [(3, 4), (5, 6)]})
    part = images[images["status"] == "ok"]  # no more numbered from 0 on
    _, measured, groups = Traits().measure(tips, part)
    assert measured["image"].tolist() == ["b/2", "c/3"]
    assert groups[["group", "images", "tips"]].to_numpy().tolist() == [["b", 1, 1], ["c", 1, 2]]


def test_counts_that_differ_as_much_as_their_groups_do_are_not_far():
    _, listed, _ = Traits().measure(*counted(range(40, 201, 20)))
    assert (listed["note"] == "").all()


@pytest.mark.parametrize("read", [None, table.read, pd.read_csv])
@pytest.mark.parametrize("noted", ["first of 3 frames", ""])
def test_tables_that_were_measured_before_are_measured_as_if_they_were_not(tmp_path, read, noted):
    points = {"wt_1": SQUARE, "wt_2": SQUARE, "odd": SQUARE, "ler_1": [(1, 1)] * 90, "bad": None}
    light = {"brightness": [100.0, 9.0, 100.0, 100.0, np.nan], "note": [noted, "", "", "", ""]}
    named = {"pattern": "{genotype}_{plate}", "group": ["genotype"]}
    run = run_of(points, **light)
    once = Traits(px_per_mm=8, **named).measure(*run)
    before = Traits(scale_bar_mm=5, **named).measure(*run)
    assert "no scale bar found" in before[1]["note"][0]
    if read is not None:
        for name, frame in zip(("tips.csv", "images.csv"), before, strict=False):
            table.write(frame, tmp_path / name)
        before = [read(tmp_path / name) for name in ("tips.csv", "images.csv")]
    again = Traits(px_per_mm=8, **named).measure(*before[:2])
    for first, second in zip(once, again, strict=True):
        # blank where nothing failed: pandas reads that as missing, which is its own affair
        first, second = (frame.drop(columns="error", errors="ignore") for frame in (first, second))
        pd.testing.assert_frame_equal(first, second, check_dtype=False)
    assert "hull_area_mm2" not in Traits().measure(*before[:2])[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tips, images: ("tips.csv", images), "tips must be a DataFrame, not str; "),
        (lambda tips, images: (tips, Path("images.csv")), "images must be a DataFrame, not "),
        (lambda tips, images: (images, tips), "tips has no column x, y; it has image, status"),
        (lambda tips, images: (tips.drop(columns="x"), images), "tips has no column x; "),
        (lambda tips, images: (tips, tips.iloc[:1]), "images has no column status, tips; "),
        (lambda tips, images: (tips, images.drop(columns="image")), "images has no column image"),
        (lambda tips, images: (tips.assign(x="far"), images), "tips, row 1, column x: 'far' is"),
        (lambda tips, images: (tips.assign(x=np.nan), images), "tips, row 1, column x: '' is not"),
        (lambda tips, images: (tips, pd.concat([images] * 2)), "images, row 3, .*'a' is there"),
        (lambda tips, images: (tips, images.assign(tips="ten")), "images: column tips must hold n"),
        (lambda tips, images: (tips, images.assign(sharpness="?")), "column sharpness must hold"),
    ],
)
def test_tables_that_cannot_be_measured(change, said):
    run = run_of({"a": SQUARE, "b": SQUARE})
    with pytest.raises(InputError, match=said):
        Traits(px_per_mm=8).measure(*change(*run))


def test_a_measured_table_keeps_its_columns_and_its_images_their_names():
    tips, images = run_of({r"day\1.png": SQUARE, "2.png": None})
    measured, listed, groups = Traits().measure(tips, images)
    assert list(measured) == ["image", "x", "y", "score"]
    assert set(measured["image"]) == {r"day\1.png"}
    assert listed["image"].tolist() == [r"day\1.png", "2.png"]
    assert groups["group"].tolist() == [""]


def test_what_is_missing_may_be_pandas_own():
    known = {"px_per_mm": [4.0, np.nan, np.nan], "brightness": [99.5, np.nan, np.nan]}
    tips, images = run_of({"a": SQUARE, "b": SQUARE, "c": None}, **known)
    expected = Traits(resolution_tag=True).measure(tips, images)
    nullable = Traits(resolution_tag=True).measure(tips.convert_dtypes(), images.convert_dtypes())
    for one, other in zip(expected, nullable, strict=True):
        pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_a_group_is_a_list_of_fields():
    with pytest.raises(InputError, match=r"group='day' is one word; give a list .*, \['day'\]"):
        Traits(pattern="{day}", group="day")
    assert Traits(pattern="{day}", group=("day",)).measure(*run_of({"3.png": []}))[2]["day"][0]


def test_settings_of_numpys_types_are_written_as_any():
    asked = Traits(np.int64(20), pattern="{ff}_{n}", group=np.array(["ff"]))
    plain = {"px_per_mm": 20, "resolution_tag": False, "scale_bar_mm": None}
    plain |= {"pattern": "{ff}_{n}", "group": ["ff"]}
    assert json.loads(json.dumps(asdict(asked))) == plain
