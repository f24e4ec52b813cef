from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from roottip import batch, ledger, meter, places, table
from roottip.errors import InputError
from roottip.places import Folder
from roottip.scorers import load
from roottip.task import Result, _row

SETTINGS = {"name": "baseline"}
TABLES = ("tips.csv", "images.csv", "summary.csv")


class Counting:
    """Counts what it is asked for; finds a tip where the brightest pixel is."""

    threshold = 0.5

    def __init__(self, stop_after: int = 10**9) -> None:
        self.calls, self.stop_after = 0, stop_after

    def find(self, image, threshold=None):
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        y, x = np.unravel_index(image.argmax(), image.shape)
        return np.array([[x, y]], dtype=float), np.ones(1, dtype=np.float32)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(6):
        image = np.full((40, 50), 60, np.uint8)
        image[n + 3, 2 * n + 5] = 250
        Image.fromarray(image).save(folder / f"p{n}.png")
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def run(source, output, detector, **more):
    return batch.run(source, output, detector, SETTINGS, overlays=False, **more)


def contents(output):
    return {
        name: table.read(output / name).drop(columns="seconds", errors="ignore").to_csv()
        for name in TABLES
    }


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_stopped_run_goes_on_and_does_nothing_twice(tmp_path, source, after):
    run(source, tmp_path / "whole", Counting())
    first, second = Counting(stop_after=after), Counting()
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out", first)
    _, images = run(source, tmp_path / "out", second)
    assert (first.calls, second.calls) == (after, 6 - after)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert images["image"].tolist() == ["bad.png", *(f"p{n}.png" for n in range(6))]


KILLED = """
import sys
from roottip import batch, ledger
from roottip.scorers import load
ledger.PART_SECONDS = 0
class Slow:
    threshold = 0.5
    def find(self, image, threshold=None):
        print(flush=True)  # one line for each image begun
        sys.stdin.readline()
        return load("baseline").find(image)
batch.run(sys.argv[1], sys.argv[2], Slow(), {"name": "baseline"}, overlays=False)
"""


def test_a_killed_run_keeps_its_parts_and_frees_its_lock(tmp_path, source, plate):
    Image.fromarray(plate).save(source / "plate.png")
    output = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, source, output],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for _ in range(4):
        process.stdout.readline()
        process.stdin.write(b"\n")
        process.stdin.flush()
    process.stdout.readline()  # the fifth has begun, four are in parts
    with pytest.raises(InputError, match="another run is writing"):
        run(source, output, Counting())
    process.kill()
    process.communicate()
    assert not (output / "tips.csv").exists()
    done = ledger.Ledger(Folder(output)).read().set_index("image")
    assert (done["status"] == "ok").sum() == 4
    run(source, output, load("baseline"))
    run(source, tmp_path / "whole", load("baseline"))
    assert contents(output) == contents(tmp_path / "whole")
    seconds = table.read(output / "images.csv").set_index("image")["seconds"]
    assert (seconds[done.index] == done["seconds"])[done["status"] == "ok"].all()


def test_changed_images_are_noticed_touched_ones_are_not(tmp_path, source):
    output = tmp_path / "out"
    run(source, output, Counting())
    later = time.time_ns() + 10**9
    os.utime(source / "p1.png", ns=(later, later))
    again = Counting()
    run(source, output, again)
    assert again.calls == 0
    data = (source / "p2.png").read_bytes()
    (source / "p2.png").write_bytes((source / "p3.png").read_bytes())
    os.utime(source / "p2.png", ns=(later, later))
    before = contents(output)
    with pytest.raises(InputError, match=r"1 image changed .*'p2.png'"):
        run(source, output, Counting())
    assert contents(output) == before
    run(source, output, again, overwrite=True)
    assert again.calls == 1
    tips = table.read(output / "tips.csv").set_index("image")
    assert tips.loc["p2.png", "x"] == tips.loc["p3.png", "x"] != 9
    (source / "p2.png").write_bytes(data)
    os.utime(source / "p2.png", ns=(later + 10**9, later + 10**9))
    run(source, output, again, overwrite=True)
    assert again.calls == 2
    assert contents(output) == before


def test_images_that_are_gone_are_noticed_and_new_ones_are_done(tmp_path, source):
    output = tmp_path / "out"
    run(source, output, Counting())
    (source / "p0.png").rename(source / "p9.png")
    with pytest.raises(InputError, match=r"1 image disappeared .*'p0.png'"):
        run(source, output, Counting())
    again = Counting()
    _, images = run(source, output, again, overwrite=True)
    assert again.calls == 1
    assert "p0.png" not in set(images["image"])


def test_failed_images_are_tried_again(tmp_path, source):
    output = tmp_path / "out"
    run(source, output, Counting())
    (source / "bad.png").write_bytes((source / "p0.png").read_bytes())
    again = Counting()
    _, images = run(source, output, again)
    assert again.calls == 1
    assert (images["status"] == "ok").all()


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(tmp_path, source, monkeypatch):
    output = tmp_path / "out"
    monkeypatch.setattr(ledger, "PART_SECONDS", -1)
    replace = Path.replace

    def full(path, target):
        if "thumbnails" in str(target) and "p3" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(path, target)

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", full)
        with pytest.raises(InputError, match=r"disk of .* is full; make room") as caught:
            run(source, output, Counting())
    assert "\n" not in str(caught.value)
    assert not list(output.rglob(".part*"))
    again = Counting()
    run(source, output, again)
    assert again.calls == 3
    run(source, tmp_path / "whole", Counting())
    assert contents(output) == contents(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a group of processes")
def test_ctrl_c_is_one_word_and_the_run_goes_on(tmp_path, source):
    output = tmp_path / "out"
    given = f"input={source}", f"output={output}", "detector=baseline", "engine.workers=1"
    words = [sys.executable, "-m", "roottip", "detect", *given, "overlays=false"]
    # a shell's background jobs ignore Ctrl-C, and hand that on to what tests start
    heeding = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    stopped = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeding
    )
    parent = psutil.Process(stopped.pid)
    while not any("spawn_main" in " ".join(child.cmdline()) for child in parent.children()):
        time.sleep(0.01)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal sends it
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert said.splitlines()[-1] == "stopped"
    assert "Traceback" not in said
    assert json.loads((output / "run.json").read_text())["finished"] is False
    assert subprocess.run(words, capture_output=True, check=False).returncode == 3  # bad.png
    assert len(table.read(output / "images.csv")) == 7


def test_new_images_are_done_by_the_same_command(tmp_path, source):
    run(source, tmp_path / "out", Counting())
    shutil.copy(source / "p0.png", source / "p10.png")
    again = Counting()
    _, images = run(source, tmp_path / "out", again)
    assert again.calls == 1
    assert images["image"].tolist() == ["bad.png", *(f"p{n}.png" for n in range(6)), "p10.png"]


@pytest.mark.parametrize(
    "name", ["tips.csv", "images.csv", "report.html", "tips.parquet", "summary.csv"]
)
def test_what_no_run_made_is_not_overwritten(tmp_path, source, name):
    output = tmp_path / "annotated"
    output.mkdir()
    (output / name).write_text("somebody's")
    with pytest.raises(InputError, match=rf"holds {name}, and no run made it"):
        run(source, output, Counting())
    assert [path.name for path in output.rglob("*") if path.is_file()] in ([name], [name, "lock"])
    assert (output / name).read_text() == "somebody's"


def test_a_run_json_that_is_no_run_s_is_another_s(tmp_path, source):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "run.json").write_text("[1]")
    with pytest.raises(InputError, match="holds the results of another run"):
        run(source, tmp_path / "o", Counting())


@pytest.mark.parametrize("damage", ["cut short", "zeros"])
def test_a_damaged_part_costs_its_images_only(tmp_path, source, damage):
    output = tmp_path / "out"
    run(source, output, Counting())
    [part] = (output / ".roottip").glob("*.parquet")
    whole = part.read_bytes()
    middle = len(whole) // 2
    part.write_bytes(
        whole[:100] if damage == "cut short" else whole[:4].ljust(middle, b"\0") + whole[middle:]
    )
    again = Counting()
    run(source, output, again)
    assert again.calls == 6


def test_slow_images_are_kept_at_once(tmp_path):
    book = ledger.Ledger(Folder(tmp_path))
    for name, seconds in (("quick.png", 0.1), ("slow.png", 60.0)):
        row = {"image": name, "status": "ok", "seconds": seconds}
        book.add(Result(row))
    assert ledger.Ledger(Folder(tmp_path)).read()["image"].tolist() == ["quick.png", "slow.png"]


def test_a_failed_image_has_no_pictures_to_remove(tmp_path, source):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{source / 'p0.png'}\n{source / 'p0.png.png' / 'p1.png'}\n")
    for _ in range(2):
        _, images = batch.run(listed, tmp_path / "out", Counting(), SETTINGS)
        assert images["status"].tolist() == ["ok", "failed"]


@pytest.mark.parametrize("output", ["out", "memory://drawn"])
def test_pictures_that_were_deleted_are_made_again(tmp_path, source, output):
    output = output if "://" in output else tmp_path / output
    batch.run(source, output, Counting(), SETTINGS)
    gone = ["overlays/p1.png.png", "thumbnails/p1.png.jpg", "thumbnails/p4.png.jpg"]
    for name in gone:
        Folder(output).remove(name)
    again, last = Counting(), Counting()
    batch.run(source, output, again, SETTINGS)
    assert again.calls == 2
    assert all(Folder(output).read(name) for name in gone)
    batch.run(source, output, last, SETTINGS)
    assert last.calls == 0


def test_nothing_of_another_making_stays(tmp_path, source):
    output = tmp_path / "out"
    batch.run(source, output, Counting(), SETTINGS)
    assert len(list((output / "overlays").iterdir())) == 6
    other = Counting()
    other.scorer = SimpleNamespace(card={"threshold": 0.6})  # of the same weights
    with pytest.raises(InputError, match="holds the results of another run"):
        batch.run(source, output, other, SETTINGS)
    batch.run(source / "p0.png", output, other, SETTINGS, overwrite=True)
    pictures = [
        path.stem for name in ("overlays", "thumbnails") for path in (output / name).iterdir()
    ]
    assert pictures == ["p0.png", "p0.png"]


NAMES = [
    'a"b.png',
    "a\nb.png",
    "a\rb.png",
    "<script>alert(1)</script>.png",
    " .png",
    "a,b;c.png",
    "ü" * 120 + ".png",
    "%41.png",
    "x' y.png",
    os.fsdecode(b"no\xffutf8.png"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_of_any_kind(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for n, name in enumerate(NAMES):
        image = np.full((40, 50), 60, np.uint8)
        image[5, n + 3] = 250
        Image.fromarray(image).save(tmp_path / "x.png")
        (source / name).parent.mkdir(exist_ok=True)
        (source / f"bad {name}").parent.mkdir(exist_ok=True)
        (tmp_path / "x.png").rename(source / name)
        (source / f"bad {name}").write_bytes(b"")
    output = tmp_path / "out"
    tips, images = batch.run(source, output, Counting(), SETTINGS)
    assert sorted(images["image"]) == sorted([*NAMES, *(f"bad {name}" for name in NAMES)])
    for written, made in (("tips", tips), ("images", images)):
        assert table.read(output / f"{written}.csv")["image"].tolist() == made["image"].tolist()
        assert len(table.read(output / f"{written}.parquet")) == len(made)
    x = dict(zip(tips["image"], tips["x"], strict=True))
    assert [x[name] for name in NAMES] == [n + 3 for n in range(len(NAMES))]
    assert all(images["error"].str.count("\n") == 0)
    assert len(list((output / "overlays").rglob("*.png"))) == len(NAMES)
    assert b"<script>alert" not in (output / "report.html").read_bytes()
    again = Counting()
    batch.run(source, output, again, SETTINGS)
    assert again.calls == 0


def test_pictures_stay_inside_the_output():
    assert batch._picture("overlays", "/etc/x/./a.png") == "overlays/etc/x/a.png.png"
    up = [batch._picture("overlays", name) for name in ("../a.png", "../../a.png", "a.png")]
    assert len(set(up)) == 3
    assert all(re.fullmatch(r"overlays/a\.png(-[0-9a-f]{16})?\.png", name) for name in up)
    assert batch._picture("overlays", "a:b.png") != batch._picture("overlays", "a_b.png")
    long = batch._picture("overlays", "d/" + "ü" * 125 + ".png")
    assert len(long.rpartition("/")[2].encode()) < 255


def test_parts_keep_every_bit(tmp_path):
    book = ledger.Ledger(Folder(tmp_path))
    values = np.array([[1 / 3, np.nextafter(2, 3)], [1e-300, 7.0]])
    for n in range(3):
        book.add(
            Result(
                _row(f"{n}") | {"status": "ok", "tips": 2},
                "v",
                "c",
                values,
                np.array([0.1, 0.2], np.float32),
            )
        )
        book.flush()
    book.keep(["0", "2"])
    assert len(list((tmp_path / ".roottip").iterdir())) == 1
    tips, images = ledger.tables(ledger.Ledger(Folder(tmp_path)).read(), ["2", "1", "0"])
    assert images["image"].tolist() == ["2", "0"]
    assert np.array_equal(tips[["x", "y"]], np.tile(values, (2, 1)))
    assert np.array_equal(tips["score"], np.tile(np.float32([0.1, 0.2]), 2).astype(float))


def test_files_that_are_the_same_are_noted(tmp_path):
    book = ledger.Ledger(Folder(tmp_path))
    contents = {"a": "1", "b": "2", "c": "1", "\udcdf": "1", "bad": "2", "none": "", "no": ""}
    for name, content in contents.items():
        status = "failed" if name in ("bad", "none") else "ok"
        note = "first of 3 frames" if name == "c" else ""
        book.add(Result(_row(name) | {"status": status, "note": note}, "v", content))
    book.flush()
    _, images = ledger.tables(book.read(), list(contents))
    same = ["the same file as c", "", "first of 3 frames; the same file as a", "the same file as a"]
    assert images["note"].tolist() == [*same, "", "", ""]
    _, images = ledger.tables(book.read(), ["\udcdf", "a"])
    assert images["note"].tolist() == ["the same file as a", r"the same file as \udcdf"]


def test_input_and_output_at_an_address(source):
    import fsspec

    system = fsspec.filesystem("memory")
    for path in source.iterdir():
        system.pipe_file(f"/run/day 1/{path.name}", path.read_bytes())
    tips, images = run("memory://run", "memory://out", Counting())
    assert images["status"].value_counts().to_dict() == {"ok": 6, "failed": 1}
    assert set(tips["image"]) == {f"day 1/p{n}.png" for n in range(6)}
    assert system.cat_file("/out/tips.csv").decode().count("\n") == 7
    again = Counting()
    run("memory://run", "memory://out", again)
    assert again.calls == 0
    system.pipe_file("/run/day 1/p1.png", (source / "p2.png").read_bytes())
    with pytest.raises(InputError, match="1 image changed"):
        run("memory://run", "memory://out", again)
    with pytest.raises(InputError, match="there is no image in"):
        run("memory://nothing", "memory://out2", again)
    with pytest.raises(InputError, match="cannot be reached"):
        places.filesystem("nosuch://x")


def test_progress_is_a_line_now_and_then_in_a_log(capsys, monkeypatch):
    monkeypatch.setattr(meter, "LINE_SECONDS", 0.01)
    assert list(meter.progress((time.sleep(0.02) or n for n in range(3)), 3, "detect")) == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("detect: 1 of 3 images, ")
    assert lines[0].endswith(" left")


def test_tables_of_nothing(tmp_path):
    tips, images = ledger.tables(ledger.Ledger(Folder(tmp_path)).read(), [])
    assert list(tips) == list(table.FOUND_COLUMNS)
    assert list(images)[:7] == list(table.IMAGE_COLUMNS)
    pd.testing.assert_frame_equal(tips, table.concat([]))


def test_a_large_file_is_told_by_all_of_it(tmp_path):
    data = np.random.default_rng(0).bytes(2**21 + 5)
    (tmp_path / "a").write_bytes(data)
    assert places.file_hash(tmp_path / "a") == places.content_hash(data)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_is_a_full_disk(tmp_path, monkeypatch, number):
    def full(_):
        raise OSError(number, "no room")

    monkeypatch.setattr(places.os, "fsync", full)
    with pytest.raises(InputError, match=r"the disk of .* is full"):
        places.Folder(tmp_path).write("a", b"x", lasting=True)
    assert list(tmp_path.iterdir()) == []


def test_progress_says_what_is_left(capsys, monkeypatch):
    clock = iter([0.0, 50.0, 100.0, 150.0])
    monkeypatch.setattr(meter, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert list(meter.progress(range(3), 3, "detect")) == [0, 1, 2]
    assert capsys.readouterr().err.splitlines() == [
        "detect: 1 of 3 images, 0.02 a second, 0:01:40 left",
        "detect: 2 of 3 images, 0.02 a second, 0:00:50 left",
        "detect: 3 of 3 images, 0.02 a second, 0:00:00 left",
    ]


def test_only_names_beyond_the_longest_are_cut():
    longest = batch.LONGEST_NAME * "a"
    assert batch._picture("overlays", longest) == f"overlays/{longest}.png"
    assert batch._picture("overlays", f"{longest}b").startswith(f"overlays/{longest}-")


def test_of_an_image_done_twice_the_latest_result_counts(tmp_path):
    book = ledger.Ledger(Folder(tmp_path))
    for tips in (1, 2):
        book.add(Result(_row("a.png") | {"status": "ok", "tips": tips}))
        book.flush()
    # each part holds what is new
    parts = sorted((tmp_path / ledger.WORK).iterdir())
    assert [pq.read_metadata(part).num_rows for part in parts] == [1, 1]
    assert ledger.Ledger(Folder(tmp_path)).read()["tips"].tolist() == [2]


def test_quick_images_are_kept_every_few_seconds(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(ledger, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    book = ledger.Ledger(Folder(tmp_path))
    kept = []
    for name, now in (("a", 101.0), ("b", 105.5), ("c", 106.0), ("d", 110.6)):
        clock[0] = now
        book.add(Result(_row(name) | {"status": "ok", "seconds": 0.1}))
        kept.append("".join(ledger.Ledger(Folder(tmp_path)).read()["image"]))
    assert kept == ["", "ab", "ab", "abcd"]


def test_settings_are_compared_as_they_are_written(source, tmp_path):
    told = {"sizes": (1.0, 0.7), "weights": Path("a.onnx")}
    for _ in range(2):  # as lists and text they come back
        batch.run(source, tmp_path / "out", load("baseline"), told, overlays=False)
    told["sizes"] = (1.0,)
    with pytest.raises(InputError, match="another run"):
        batch.run(source, tmp_path / "out", load("baseline"), told, overlays=False)


def test_a_lock_ends_with_its_with(tmp_path):
    folder = places.Folder(tmp_path)
    for _ in range(2):
        held = folder.lock("lock")
        with pytest.raises(InputError, match="another run is writing"):
            folder.lock("lock")
        with held:
            pass


def test_a_file_that_cannot_be_written_is_called_by_its_own_name(tmp_path):
    (tmp_path / "tips.csv.part").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)) as said:
        places.write_whole(tmp_path / "tips.csv", b"image,x,y")
    assert str(said.value).endswith(f"'{tmp_path / 'tips.csv'}'")
    (tmp_path / "images.csv").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)) as said:
        places.write_whole(tmp_path / "images.csv", b"image")
    assert str(said.value).endswith(f"directory: '{tmp_path / 'images.csv'}'")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_an_output_that_may_not_be_written_to_is_refused_before_the_work(tmp_path, monkeypatch):
    allowed = os.access
    locked = {tmp_path}  # whoever runs the tests may be allowed everything
    monkeypatch.setattr(os, "access", lambda at, how: at not in locked and allowed(at, how))
    with pytest.raises(InputError, match=rf"new: {re.escape(str(tmp_path))} may not be written to"):
        places.check_folder(tmp_path / "new")
