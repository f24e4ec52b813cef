from __future__ import annotations

import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from roottip import engine, places, task
from roottip.errors import InputError
from roottip.scorers import cnn, load
from roottip.task import Task, light_and_focus, printable

CRASH, HANG, RAISE = 1, 2, 3


class Nasty:
    """Finds one tip, whose x is the image's first value; some values are deadly."""

    threshold = 0.5

    def find(self, image, threshold=None):
        value = int(image.flat[0])
        if value == CRASH:
            os._exit(7)
        if value == HANG:
            time.sleep(120)
        if value == RAISE:
            raise ValueError("no\nluck")
        return np.array([[value, 1.0]]), np.ones(1, dtype=np.float32)


@pytest.fixture
def nasty(tmp_path):
    values = {f"{n}.png": 10 + n for n in range(8)}
    values |= {"2.png": CRASH, "4.png": HANG, "6.png": RAISE}
    for name, value in values.items():
        Image.new("L", (20, 20), value).save(tmp_path / name)
    (tmp_path / "7.png").write_bytes(b"")
    return Task(Nasty(), tmp_path, overlays=False), sorted(values)


def check(results):
    """Deadly images cost their own rows; each of the others has its tip."""
    of = {result.row["image"]: result for result in results}
    assert len(results) == len(of) == 8
    for n in (0, 1, 3, 5):
        assert of[f"{n}.png"].row["status"] == "ok"
        assert of[f"{n}.png"].points.tolist() == [[10 + n, 1]]
    assert "took more than 3 s" in of["4.png"].row["error"]
    assert of["6.png"].row["error"] == r"6.png: ValueError: no\nluck"
    assert "an empty file" in of["7.png"].row["error"]
    assert of["2.png"].row["status"] == "failed"
    return of["2.png"].row["error"]


def test_a_crash_and_a_hang_cost_their_own_rows(nasty):
    assert "ended the process" in check(list(engine.local(2, time_limit=3)(*nasty)))


def test_processes_end_with_the_run(nasty):
    task, names = nasty
    results = engine.local(1, time_limit=60)(task, names)
    next(results)
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < 10


def test_time_in_which_all_was_stopped_is_no_images_own(nasty, monkeypatch):
    task, names = nasty
    real, heard = engine.wait, []

    def stopped(connections, timeout):
        if len(heard) == 2:  # the worker listens and is up: it works on its image now
            heard.append(None)
            time.sleep(6)
            return []
        ready = real(connections, timeout)
        heard.extend(ready)
        return ready

    monkeypatch.setattr(engine, "wait", stopped)
    (result,) = engine.local(1, time_limit=3)(task, names[:1])
    assert result.row["status"] == "ok"


class Unfit(Nasty):
    """What cannot be opened in another process."""

    def __reduce__(self):
        return int, ("no number",)


def test_why_a_worker_cannot_start_is_said(nasty):
    task, names = nasty
    with pytest.raises(InputError, match=r"a worker process could not start \(ValueError: inv"):
        list(engine.local(1)(Task(Unfit(), task.root), names))


class Fatal(Nasty):
    """What ends the process that opens it: by a call to `end`."""

    def __init__(self, *end):
        self.end = end

    def __reduce__(self):
        call, *given = self.end
        return call, tuple(given)


def test_a_worker_that_ends_while_it_starts_is_the_users_to_mend(nasty):
    task, names = nasty
    with pytest.raises(InputError, match=r'exit code 9: what it printed .* if __name__ == "__mai'):
        list(engine.local(1)(Task(Fatal(os._exit, 9), task.root), names))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal on this system")
@pytest.mark.parametrize(("workers", "fewer"), [(2, 1), (1, 0)])
def test_a_worker_killed_while_it_starts_wants_memory(nasty, workers, fewer):
    task, names = nasty
    killed = Task(Fatal(signal.raise_signal, signal.SIGKILL), task.root)
    with pytest.raises(InputError, match=rf"for want of memory; .*workers={fewer}\)$"):
        list(engine.local(workers)(killed, names))


def test_no_more_workers_than_the_system_can_wait_for(monkeypatch):
    asked = []
    monkeypatch.setattr(engine, "_processes", lambda *given: asked.append(given[2]))
    monkeypatch.setattr(engine, "_MOST", 60)
    for workers in (100, 60, 3):
        engine.local(workers)(None, [])
    assert asked == [60, 60, 3]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files on this system")
def test_a_pipe_costs_its_own_row(nasty):
    task, _ = nasty
    os.mkfifo(task.root / "8.png")
    found = list(engine.local(1, time_limit=2)(task, ["0.png", "8.png"]))
    assert {r.row["image"]: r.row["status"] for r in found} == {"0.png": "ok", "8.png": "failed"}


@pytest.mark.parametrize("detector", ["baseline", "cnn"])
def test_processes_give_what_this_process_gives(tmp_path, plate, detector):
    Image.fromarray(plate).save(tmp_path / "a.png")
    Image.fromarray(plate[:, ::-1].copy()).save(tmp_path / "b.png")
    task, names = Task(load(detector, threshold=0.3), tmp_path), ["a.png", "b.png"]
    ours = {r.row["image"]: r for r in engine.here(task, names)}
    for result in engine.local(2)(task, names):
        expected = ours[result.row["image"]]
        assert len(result.points) > 0
        assert np.array_equal(result.points, expected.points)
        assert np.array_equal(result.scores, expected.scores)
        assert result.overlay == expected.overlay
        assert (result.version, result.content) == (expected.version, expected.content)


def test_a_detector_travels_without_its_file(tmp_path, plate):
    shutil.copytree(cnn.SHIPPED.parent, tmp_path / "weights")
    detector = load("cnn", weights=tmp_path / "weights" / cnn.SHIPPED.name)
    content = pickle.dumps(detector)
    shutil.rmtree(tmp_path / "weights")
    there = pickle.loads(content)
    for ours, theirs in zip(detector.find(plate), there.find(plate), strict=True):
        assert np.array_equal(ours, theirs)


def test_sharpness_falls_with_blur(plate):
    import cv2

    blurred = cv2.GaussianBlur(plate, (0, 0), 4)
    assert light_and_focus(blurred)[1] < light_and_focus(plate)[1] / 3
    assert light_and_focus(plate // 2)[0] == pytest.approx(plate.mean() / 2, abs=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"workers": -1}, "workers=-1 must be a whole number of at least 0"),
        ({"workers": True}, "workers=True"),
        ({"time_limit": 0}, "time_limit=0 must be a number above 0"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(InputError, match=said):
        engine.load("local", **settings)
    with pytest.raises(InputError, match="no engine called 'lcoal'; there is local, dask"):
        engine.load("lcoal")


def test_text_of_any_name_is_one_line():
    assert printable("a\nb\udcff ü<") == r"a\nb\udcff ü<"


def test_an_image_whose_reading_fails_in_any_way_costs_its_own_row(tmp_path, plate, monkeypatch):
    Image.fromarray(plate).save(tmp_path / "a.png")
    task = Task(load("baseline"), tmp_path)
    real = places.read_file
    (tmp_path / "b.png").write_text("")

    def fail(path):
        return 1 / 0 if path.name == "b.png" else real(path)

    monkeypatch.setattr("roottip.places.read_file", fail)
    rows = {r.row["image"]: r.row for r in engine.here(task, ["a.png", "b.png"])}
    assert rows["a.png"]["status"] == "ok"
    assert "division by zero" in rows["b.png"]["error"]


def test_a_thread_that_fails_is_not_one_that_takes_too_long():
    class Broken(Task):
        def __call__(self, names):
            raise RuntimeError("no")

    row = engine.one(Broken(load("baseline"), Path()), "a.png", 300).row
    assert row["error"] == "a.png: RuntimeError: no"


def test_of_a_scan_points_and_bar_are_put_right(tmp_path, monkeypatch):
    class Two:
        threshold, most_pixels = 0.5, 1000

        def find(self, image, threshold=None):
            return np.array([[0.0, 0.0], [101.0, 50.0]]), np.ones(2, np.float32)

    pytest.importorskip("pyvips")
    noise = np.random.default_rng(0).normal(0, 4, (400, 600, 3))
    image = np.clip(120 + noise, 0, 255).astype(np.uint8)
    image[340:348, 100:220] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    drawn = []
    real = task.pictures.overlay
    monkeypatch.setattr(task.pictures, "overlay", lambda *a: drawn.append(a[1]) or real(*a))
    monkeypatch.setattr(task, "SCAN_PICTURE", 300)
    (result,) = Task(Two(), tmp_path)(["a.png"])
    assert drawn[0][["x", "y"]].to_numpy().tolist() == [[-0.25, -0.25], [50.25, 24.75]]
    assert result.points.tolist() == [[0, 0], [101, 50]]
    assert result.row["scale_bar_px"] == pytest.approx(120, abs=1)


def test_thumbnails_are_small_and_failures_know_their_file(tmp_path):
    class Nothing:
        threshold = 0.5

        def find(self, image, threshold=None):
            return np.empty((0, 2)), np.empty(0, np.float32)

    Image.new("L", (800, 400), 90).save(tmp_path / "a.png")
    work = Task(Nothing(), tmp_path)
    (result,) = work(["a.png"])
    shown = cv2.imdecode(np.frombuffer(result.thumbnail, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (160, 320, 3)
    assert work.failure("a.png", "no").version == places.version(tmp_path / "a.png")
    assert work.failure("b.png", "no").version == ""


def test_sharpness_does_not_hang_on_contrast(plate):
    weak, strong = (light_and_focus(image)[1] for image in (plate // 4, plate))
    assert weak == pytest.approx(strong, rel=0.25)


def test_a_row_says_what_a_file_does_and_why_it_was_refused(tmp_path):
    class Refusing:
        threshold = 0.5

        def find(self, image, threshold=None):
            raise InputError("too long")

    image = np.full((60, 80, 3), 90, np.uint8)
    Image.fromarray(image).save(tmp_path / "a.jpeg", "PNG", dpi=(508, 508))
    (result,) = Task(load("baseline"), tmp_path, overlays=False)(["a.jpeg"])
    assert result.overlay is None
    assert result.row["note"] == "a PNG named .jpeg"
    assert result.row["px_per_mm"] == pytest.approx(20, rel=1e-3)
    assert (result.row["width"], result.row["height"]) == (80, 60)
    (result,) = Task(Refusing(), tmp_path)(["a.jpeg"])
    assert (result.row["status"], result.row["error"]) == ("failed", "a.jpeg: too long")
