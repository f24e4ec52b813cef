from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import psutil
import pytest

from roottip.errors import InputError
from roottip.interchange import read_dataset, read_truth
from roottip.synth.dataset import varied_plates, write_dataset
from roottip.table import read

pytest.importorskip("plantbox")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    plates = varied_plates(2, 1, 240, ["wheat", "pea"], knobs={"plants": 1, "top": 3})
    write_dataset(plates, 1, folder, "val", days=[3, 5])
    return folder


def test_a_dataset_is_read_back(series):
    dataset = read_dataset(series, "val")
    assert dataset.images["image"].tolist() == [
        f"plate_000{n}_day{day}.jpg" for n in (1, 2) for day in (3, 5)
    ]
    assert dataset.images["group"].tolist() == ["plate_0001"] * 2 + ["plate_0002"] * 2
    assert dataset.images["day"].tolist() == [3, 5, 3, 5]
    assert {"split", "px_per_mm", "species", "seed", "hairs", "noise"} <= set(dataset.images)
    assert list(dataset.truth)[:6] == ["image", "x", "y", "ignore", "root_order", "cause"]
    assert 0 < dataset.truth["ignore"].mean() < 1
    for row in dataset.images.itertuples():
        assert cv2.imread(str(dataset.root / row.image)).shape == (row.height, row.width, 3)
    places = read(series / "distractors.csv")
    assert list(places) == ["image", "x", "y", "cause"]
    assert set(places["image"]) <= set(dataset.images["image"])


def test_rsml_holds_the_same_tips(series):
    dataset = read_dataset(series)
    marks = ["image", "x", "y", "root_order", "ignore"]
    ours, theirs = (
        frame[marks].sort_values(marks).reset_index(drop=True)
        for frame in (dataset.truth, read_truth(series / "rsml", list(dataset.images["image"])))
    )
    pd.testing.assert_frame_equal(ours, theirs)


def test_any_number_of_workers_writes_the_same_bytes(series, tmp_path):
    plates = varied_plates(2, 1, 240, ["wheat", "pea"], knobs={"plants": 1, "top": 3})
    write_dataset(plates, 1, tmp_path, "val", days=[3, 5], workers=2)
    names = sorted(path.relative_to(series) for path in series.rglob("*") if path.is_file())
    assert names == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(names) == 3 + 4 + 4
    for name in names:
        assert (series / name).read_bytes() == (tmp_path / name).read_bytes()


def test_what_is_refused(series, tmp_path):
    plates = varied_plates(1, 1, 64)
    with pytest.raises(InputError, match="holds another dataset"):
        write_dataset(plates, 1, series)
    (tmp_path / "tips.csv").write_text("somebody's")
    with pytest.raises(InputError, match="holds another dataset"):
        write_dataset(plates, 1, tmp_path)
    with pytest.raises(InputError, match="no species 'oak'; there is barley"):
        varied_plates(1, 1, species=["oak"])
    with pytest.raises(InputError, match=r"days=\[3.0, 3\]: each day once"):
        write_dataset(plates, 0, tmp_path / "days", days=[3.0, 3])
    with pytest.raises(InputError, match=r"plate.hairs=many must be a number"):
        varied_plates(1, 1, knobs={"hairs": "many"})
    for knob, wrong, said in (
        ("width", 0, "of at least 32"),
        ("root_width", -3, "above 0"),
        ("hairs", -1, "of at least 0"),
        ("noise", float("nan"), "of at least 0"),
        ("film", 3, "of at least 0 and at most 1"),
        ("root_red", 256, "of at least 0 and at most 255"),
        ("plants", 1.7, "of at least 0"),
        ("jpeg", 101, "of at least 1 and at most 100"),
    ):
        kind = "whole number" if knob in ("width", "plants", "jpeg") else "number"
        with pytest.raises(InputError, match=f"plate.{knob}={wrong} must be a {kind} {said}"):
            varied_plates(1, 1, knobs={knob: wrong})
    assert varied_plates(1, 1, knobs={"top": -2})[0].top == -2
    with pytest.raises(InputError, match="count=0 must be a whole number of at least 1"):
        varied_plates(0, 1)
    with pytest.raises(InputError, match="seed=-1 must be a whole number of at least 0"):
        varied_plates(1, -1)
    with pytest.raises(InputError, match="px_per_mm=-3 must be a number above 0 and at most 1000"):
        varied_plates(1, 1, px_per_mm=-3)


def test_a_dataset_whose_replacement_is_killed_is_not_taken_for_whole(tmp_path, monkeypatch):
    plates = varied_plates(1, 1, 64, knobs={"plants": 0})
    write_dataset(plates, 1, tmp_path)
    monkeypatch.setattr("roottip.synth.dataset._write_plate", lambda *given, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_dataset(plates, 2, tmp_path, overwrite=True)
    with pytest.raises(InputError, match=r"has no images.csv"):
        read_dataset(tmp_path)


def test_what_a_stopped_drawing_left_is_no_part_of_another(tmp_path):
    plates = varied_plates(3, 1, 64, knobs={"plants": 0})
    write_dataset(plates, 1, tmp_path)
    (tmp_path / "images.csv").unlink()  # as it is when stopped
    for name in ("tips.csv", "distractors.csv"):
        (tmp_path / name).unlink()
    (tmp_path / "images" / "plate_A.jpg").touch()  # somebody's
    with pytest.raises(InputError, match=r"plate_0003.jpg is called as a drawn plate is"):
        write_dataset(plates[:2], 1, tmp_path)
    assert len(write_dataset(plates, 1, tmp_path)) == 3  # the same again goes on
    write_dataset(plates[:2], 1, tmp_path, overwrite=True)
    names = {path.name for path in tmp_path.glob("*/*")}
    assert names == {f"plate_000{n}.{e}" for n in (1, 2) for e in ("jpg", "rsml")} | {"plate_A.jpg"}


@pytest.mark.skipif(sys.platform != "linux", reason="CPlantBox's random numbers differ")
def test_the_shipped_sample_is_what_the_script_draws(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from make_sample import SEED, sample_plates

    shipped = read_dataset(ROOT / "data" / "sample")
    write_dataset(sample_plates(), SEED, tmp_path, "val")
    drawn = read_dataset(tmp_path)
    pd.testing.assert_frame_equal(shipped.truth, drawn.truth)
    pd.testing.assert_frame_equal(shipped.images, drawn.images)
    for name in shipped.images["image"]:
        a, b = (cv2.imread(str(d.root / name)).astype(int) for d in (shipped, drawn))
        assert np.abs(a - b).mean() < 1  # JPEG encoders may differ


def test_workers_end_when_the_run_is_killed(tmp_path):
    words = ["synth", f"output={tmp_path / 'p'}", "count=200", "size=300", "workers=2"]
    run = subprocess.Popen([sys.executable, "-m", "roottip", *words], stderr=subprocess.DEVNULL)
    workers = []
    while run.poll() is None and not list(tmp_path.glob("p/images/*.jpg")):
        workers = psutil.Process(run.pid).children()
        time.sleep(0.05)
    run.kill()
    run.wait()
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=20)[1] == []
