"""What imaging runs promise, tried: nothing lost, one table from every engine, the rate.

    python scripts/prove_runs.py resume COUNT KILLS [DETECTOR]
    python scripts/prove_runs.py engines COUNT [DETECTOR]
    python scripts/prove_runs.py rate COUNT [DETECTOR]

`resume` kills a run (SIGKILL, its workers included) KILLS times at random moments, goes on each
time with the same command, and compares the tables, byte for byte, with those of an undisturbed
run; 2 % of the images are bad on purpose. The column `seconds` is measured, so it is left out.
`engines` runs the same images with engine=local and with Dask, one of whose two workers is
killed on the way, and compares. `rate` states the rate of a run as a share of decoding alone
plus detecting alone.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import command_line
import cv2
import numpy as np
from watching import watch

from roottip import batch, engine, images, listing, table
from roottip.scorers import load
from roottip.task import Task

TABLES = ("tips.csv", "images.csv", "summary.csv", "tips.parquet")


def draw(folder: Path, count: int, seed: int = 0, bad_share: float = 0.02) -> int:
    """Images of mixed sizes with wavering roots; returns how many of them are bad."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    spoilt = set(rng.choice(count, round(count * bad_share), replace=False).tolist())
    for n in range(count):
        height, width = rng.integers(300, 1500, 2)
        image = np.full((height, width, 3), rng.integers(30, 90, 3), np.uint8)
        for _ in range(rng.integers(0, 8)):
            x = rng.uniform(0, width) + np.cumsum(rng.normal(0, 6, 40))
            y = np.linspace(0, rng.uniform(0.3, 0.9) * height, 40)
            line = np.stack([x, y], axis=1).astype(np.int32)
            cv2.polylines(image, [line], False, (215, 220, 210), 5, cv2.LINE_AA)
        noise = rng.integers(-6, 7, image.shape)
        _, data = cv2.imencode(".jpg", np.clip(image + noise, 0, 255).astype(np.uint8))
        content = data.tobytes()
        if n in spoilt:
            content = [b"", b"no image", content[: len(content) // 2]][n % 3]
        (folder / f"p{n:05d}.jpg").write_bytes(content)
    return len(spoilt)


def command(source: Path, output: Path, detector: str) -> list[str]:
    return [sys.executable, "-m", "roottip", "detect", f"input={source}", f"output={output}",
            f"detector={detector}", "overlays=false"]  # fmt: skip


def comparable(path: Path) -> bytes:
    """A table's bytes, without the measured column."""
    frame = table.read(path)
    return table.encode(frame.drop(columns="seconds", errors="ignore"), ".csv")


def compare(ours: Path, theirs: Path) -> None:
    for name in TABLES:
        assert comparable(ours / name) == comparable(theirs / name), f"{name} differs"


def resume(temporary: Path, count: int, kills: int, detector: str) -> None:
    bad = draw(temporary / "in", count)
    begun = time.monotonic()
    whole = subprocess.Popen(command(temporary / "in", temporary / "whole", detector))
    _, memory = watch(whole)
    undisturbed = time.monotonic() - begun
    assert whole.returncode == (3 if bad else 0)
    rng = random.Random(0)
    words = command(temporary / "in", temporary / "out", detector)
    done = 0
    for _ in range(kills):
        # a group of its own, so that its workers are killed with it
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(rng.uniform(0.3, 1) * undisturbed / (kills + 1) + 3)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            done += 1
        process.wait()
    assert subprocess.run(words, stderr=subprocess.DEVNULL).returncode == whole.returncode
    compare(temporary / "out", temporary / "whole")
    rows = table.read(temporary / "out" / "images.csv")
    failed = rows[rows["status"] == "failed"]
    assert len(rows) == count
    assert len(failed) == bad
    assert (failed["error"] != "").all()
    print(f"{count} images, {done} kills: tips, images and summary are identical")
    print(f"{bad} bad images, each with its reason; peak memory of all processes {memory:.0f} MB")


def engines(temporary: Path, count: int, detector: str) -> None:
    from distributed import LocalCluster

    draw(temporary / "in", count)
    rates = {}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    made = {
        "local": engine.local(2),
        "dask": engine.load("dask", address=cluster.scheduler_address),
    }
    for name, work in made.items():

        def killing(task: Task, names: list[str], work=work, name=name):
            for n, result in enumerate(work(task, names)):
                yield result
                if name == "dask" and n == count // 3:
                    cluster.workers[0].process.process.kill()

        begun = time.monotonic()
        batch.run(temporary / "in", temporary / name, load(detector), {"name": detector},
                  overlays=False, work=killing)  # fmt: skip
        rates[name] = count / (time.monotonic() - begun)
    cluster.close()
    compare(temporary / "local", temporary / "dask")
    print(f"{count} images: local and Dask, one of two workers killed: tables are identical")
    print("images a second: " + ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items()))


def rate(temporary: Path, count: int, detector: str) -> None:
    draw(temporary / "in", count, bad_share=0)
    root, names = listing.find_images(temporary / "in")
    begun = time.monotonic()
    decoded = [images.read_image(root / name) for name in names]
    decoding = time.monotonic() - begun
    found = load(detector)
    found.find(decoded[0])
    begun = time.monotonic()
    for image in decoded:
        found.find(image)
    detecting = time.monotonic() - begun
    print(f"alone: decoding {decoding / count:.3f}, detecting {detecting / count:.3f} s an image")
    for name, work in (("this process", engine.here), ("processes", engine.local())):
        task = Task(found, root, overlays=False)
        results = work(task, names)
        next(results)  # the processes have started
        begun = time.monotonic()
        rest = sum(1 for _ in results)
        took = (time.monotonic() - begun) / rest
        both, slower = decoding + detecting, max(decoding, detecting)
        print(
            f"{name}: {took:.3f} s an image; {both / count / took:.0%} of the rate of both alone, "
            f"one after the other; {slower / count / took:.0%} of the slower alone"
        )


def main() -> None:
    parser = command_line.parser(__doc__)
    parts = parser.add_subparsers(dest="what", metavar="resume|engines|rate", required=True)
    works = {"resume": resume, "engines": engines, "rate": rate}
    for name in works:
        part = parts.add_parser(name)
        part.add_argument("count", type=command_line.positive, help="how many images")
        if name == "resume":
            part.add_argument("kills", type=command_line.positive, help="how often it is killed")
        part.add_argument("detector", nargs="?", default="baseline", help="else baseline")
    given = vars(parser.parse_args())
    work = works[given.pop("what")]
    with tempfile.TemporaryDirectory() as folder:
        work(Path(folder), **given)


if __name__ == "__main__":
    command_line.run(main)
