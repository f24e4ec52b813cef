from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from roottip import compare, table
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.interchange import Dataset
from roottip.scorers import load
from roottip.verdict import judge


class Fixed:
    """Finds the same two points in every image."""

    threshold = 0.5

    def find(self, image, threshold=None):
        return np.array([[10.0, 10.0], [30.0, 30.0]]), np.array([0.9, 0.2], np.float32)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    for name in ("a.png", "b.png"):
        Image.new("L", (50, 40)).save(tmp_path / name)
    (tmp_path / "c.png").write_text("broken")
    images = pd.DataFrame({"image": ["a.png", "b.png", "c.png"], "group": ["1", "2", "3"]})
    truth = table.check_points(
        pd.concat(
            [table.points(n, np.array([[11.0, 10.0], [30.0, 33.0]])) for n in ("a.png", "c.png")]
        ),
        "truth",
    )
    return Dataset(tmp_path, images, truth)


def test_an_image_that_cannot_be_read_is_missed_not_left_out(dataset):
    evaluations, images = compare.compare(dataset, {"fixed": Fixed()}, 5)
    s = evaluations["fixed"].summary
    assert (s["images"], s["truth"]) == (3, 4)
    assert (s["hits"], s["misses"], s["false_alarms"]) == (1, 3, 1)
    assert images["status"].tolist() == ["ok", "ok", "failed"]


def test_the_curve_goes_below_the_threshold(dataset):
    evaluations, _ = compare.compare(dataset, {"fixed": Fixed()}, 5)
    curve = evaluations["fixed"].curve
    assert curve["threshold"].tolist() == pytest.approx([0.9, 0.2])
    assert curve["recall"].tolist() == [0.25, 0.5]


def test_all_detectors_see_the_same_windows(dataset):
    seen = {}

    def spy(name):
        def scorer(image, centres):
            seen.setdefault(name, []).append(centres.copy())
            return np.zeros(len(centres), np.float32)

        return WindowDetector(scorer, root_width=5)

    texture = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    Image.fromarray(texture).save(dataset.root / "a.png")
    compare.compare(dataset, {"one": spy("one"), "two": spy("two")}, 5)
    assert len(seen["one"]) == len(seen["two"]) == 1  # b is blank: no windows
    assert np.array_equal(seen["one"][0], seen["two"][0])


def test_the_report_leads_with_the_best_and_undefined_is_no_number(dataset, tmp_path):
    class Blind(Fixed):
        def find(self, image, threshold=None):
            return np.empty((0, 2)), np.empty(0, np.float32)

    evaluations, images = compare.compare(dataset, {"blind": Blind(), "fixed": Fixed()}, 5)
    blind = compare.text(evaluations, judge(evaluations)).splitlines()[1]
    assert blind.split()[:2] == ["blind", "–"]
    assert "(–" not in blind
    compare.write(
        evaluations, judge(evaluations), tmp_path / "out", {"data": "here"}, images, dataset.root
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert "fixed finds 25.0% of the marked tips (95 % interval" in page
    assert "data: here" in page
    written = table.read(tmp_path / "out" / "comparison.csv").set_index("detector")
    assert np.isnan(written.loc["blind", "precision"])


def test_sizes_that_are_no_numbers_are_unknown(dataset):
    blank = dataset.images.assign(width="", height=["", "", "40"])
    evaluations, _ = compare.compare(replace(dataset, images=blank), {"fixed": Fixed()}, 5)
    # of the broken image nobody knows the width, so no tip of it is known to be cut off
    matches = evaluations["fixed"].matches
    missed = matches[matches["outcome"] == "miss"].set_index("image")["cause"]
    assert len(missed) == 3
    assert "border" not in missed["c.png"]


def test_another_programs_table_is_one_more_contender(dataset, tmp_path):
    table.write(
        table.points("a.png", np.array([[11.0, 10.0], [30.0, 33.0]])), tmp_path / "peer.csv"
    )
    known = [*dataset.images["image"], "z.png"]
    peers = compare.read_found([tmp_path / "peer.csv"], list(dataset.images["image"]), known)
    evaluations, _ = compare.compare(dataset, {"fixed": Fixed()}, 5, peers)
    assert list(evaluations) == ["fixed", "peer"]
    assert evaluations["peer"].summary["recall"] == 0.5
    assert np.isnan(evaluations["peer"].summary["seconds"])
    # its scores may be any numbers
    below = {"peer": peers["peer"].assign(score=[-1.5, 2.0])}
    assert compare.compare(dataset, {}, 5, below)[0]["peer"].summary["hits"] == 2
    alone, images = compare.compare(dataset, {}, 5, peers)  # no image need be read
    assert alone["peer"].summary["hits"] == 2
    assert images.empty
    with pytest.raises(InputError, match="peer is a detector's name"):
        compare.compare(dataset, {"peer": Fixed()}, 5, peers)
    elsewhere = tmp_path / "more" / "peer.csv"
    table.write(table.points("z.png", np.array([[1.0, 1.0]])), elsewhere)
    # an image of another split is left out, one that nobody knows is an error
    assert compare.read_found([elsewhere], ["a.png"], known)["peer"].empty
    with pytest.raises(InputError, match=r"points in 'z\.png', which is none of the 1 names"):
        compare.read_found([elsewhere], ["a.png"], ["a.png"])
    with pytest.raises(InputError, match="two tables are called peer"):
        compare.read_found([elsewhere, tmp_path / "peer.csv"], ["a.png"], known)


def test_points_that_are_there_twice_are_said(tmp_path, capsys):
    once = table.points("w\udcdf.png", np.array([[11.0, 10.0], [30.0, 33.0]]))
    for name, rows in (("found", [0, 1, 0, 1]), ("truth", [0, 1, 1]), ("images", [0])):
        table.write(once.iloc[rows], tmp_path / f"{name}.csv")
    found, truth, images = (tmp_path / f"{name}.csv" for name in ("found", "truth", "images"))
    for listed in (None, images):
        compare.read_scored([found], truth, listed)
        said = capsys.readouterr().err.splitlines()
        assert said == [f"{truth} has 1 point twice", f"{found} has 2 points twice"]
    compare.read_found([images])
    assert capsys.readouterr().err == ""


def test_a_name_with_nan_in_it_is_printed_as_it_is(dataset):
    evaluations, _ = compare.compare(dataset, {}, 5, {"nancy": dataset.truth})
    printed = compare.text(evaluations, judge(evaluations))
    assert "nancy" in printed
    assert "nan " not in printed


def test_each_detector_is_measured_and_says_where_its_threshold_is_from(dataset):
    class Hungry(Fixed):
        threshold_from = "a guess"

        def find(self, image, threshold=None):
            time.sleep(0.3)
            return super().find(image)

    evaluations, _ = compare.compare(dataset, {"fixed": Fixed(), "hungry": Hungry()}, 5)
    rows = compare.comparison(evaluations).set_index("detector")
    assert (rows["memory"] >= 0).all()  # how true it is, tests/test_meter.py says
    assert rows.loc["hungry", "seconds"] >= 0.3
    assert rows["threshold_from"].tolist() == ["given", "a guess"]
    assert "0.5 (a guess)" in compare.text(evaluations, judge(evaluations))


def test_shipped_detectors_say_where_their_thresholds_are_from():
    assert load("baseline").threshold_from == "cross-validated on train"
    assert load("cnn").threshold_from == "train"
    assert load("baseline", threshold=0.7).threshold_from == "given"
    assert load("cnn", threshold=0.7).threshold_from == "given"


def test_sizes_of_the_images_read_tell_the_border(dataset):
    evaluations, _ = compare.compare(dataset, {"fixed": Fixed()}, 5)
    matches = evaluations["fixed"].matches
    missed = matches[(matches["image"] == "a.png") & (matches["outcome"] == "miss")]
    assert missed["cause"].tolist() == ["close pair;border"]  # (30, 33) in 50 x 40, 7 px from below


def test_seconds_are_an_images_and_a_lower_threshold_stays(tmp_path, monkeypatch):
    class Low:
        threshold = 0.001

        def find(self, image, threshold=None):
            asked.append(threshold)
            return np.empty((0, 2)), np.empty(0, np.float32)

    class Meter:
        seconds, entries, memory = 6.0, 2, 1.0
        __enter__ = __exit__ = lambda self, *_: None

    asked: list[float] = []
    for name in "ab":
        Image.new("L", (50, 40)).save(tmp_path / f"{name}.png")
    images = pd.DataFrame({"image": ["a.png", "b.png"], "group": ["1", "2"]})
    truth = table.check_points(table.points("a.png", np.array([[11.0, 10.0]])), "truth")
    monkeypatch.setattr(compare, "Meter", Meter)
    made, _ = compare.compare(Dataset(tmp_path, images, truth), {"low": Low()}, 5)
    assert made["low"].summary["seconds"] == 3
    assert asked == [0.001, 0.001]
