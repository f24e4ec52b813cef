from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from roottip import compare, table
from roottip.detector import WindowDetector
from roottip.interchange import Dataset


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
    assert "– (" in compare.text(evaluations)
    compare.write(evaluations, tmp_path / "out", {"data": "here"}, images, dataset.root)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "fixed finds 25.0% of the marked tips, and 50.0% of what it finds are tips" in page
    assert "data: here" in page
    assert (tmp_path / "out" / "overlays" / "blind" / "a.png.png").is_file()
    written = table.read(tmp_path / "out" / "comparison.csv").set_index("detector")
    assert np.isnan(written.loc["blind", "precision"])
