from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("distributed", reason="needs the extra [dask]")

from distributed import Client, LocalCluster

from roottip import cluster, engine
from roottip.errors import InputError
from roottip.scorers import load
from roottip.task import Task

CONF = Path(__file__).parents[1] / "conf" / "engine"

# Dask's own: sockets and tasks that its loop has not closed when the test ends
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def workers():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made:
        yield made


@pytest.fixture
def task(tmp_path, plate):
    names = [f"{n:02d}.png" for n in range(12)]
    for n, name in enumerate(names):
        Image.fromarray(np.roll(plate, n, axis=1)).save(tmp_path / name)
    (tmp_path / "05.png").write_bytes(b"no image")
    return Task(load("baseline"), tmp_path, overlays=False), names


def comparable(results):
    return {
        r.row["image"]: (r.row["status"], r.row["error"], r.points.tolist(), r.scores.tolist())
        for r in results
    }


def test_a_cluster_gives_what_this_process_gives_though_a_worker_is_killed(workers, task):
    results = []
    work = engine.load("dask", address=workers.scheduler_address)
    for result in work(*task):
        results.append(result)
        if len(results) == 2:
            workers.workers[0].process.process.kill()
    assert len(results) == 12
    assert comparable(results) == comparable(engine.here(*task))


def test_a_cluster_may_shrink(task):
    with (
        LocalCluster(
            n_workers=6, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as made,
        Client(made) as client,
    ):
        results = cluster.run(client, task[0], task[1] * 2, time_limit=60)
        found = [next(results)]
        client.retire_workers(list(client.scheduler_info()["workers"])[:3])
        found += results
    assert len(found) == 24


def test_two_runs_on_one_scheduler_keep_apart(workers, task, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in task[1]:
        Image.new("L", (50, 40)).save(other / name)
    blank = Task(load("baseline"), other, overlays=False), task[1]
    work = engine.load("dask", address=workers.scheduler_address)
    ours = work(*task)
    results = [next(ours)]
    assert all(len(result.points) == 0 for result in work(*blank))
    results += ours
    assert comparable(results) == comparable(engine.here(*task))


def test_an_address_without_a_port_is_said_and_leaves_no_client_to_be_closed(task):
    def loops():
        return [thread for thread in threading.enumerate() if thread.name == "IO loop"]

    running = loops()
    with pytest.raises(InputError, match=r"engine.address=localhost: no Dask scheduler answers"):
        list(engine.load("dask", address="localhost")(*task))
    assert loops() == running


class Unfit:
    """What cannot be opened on a worker."""

    threshold = 0.5

    def __reduce__(self):
        return int, ("no number",)


def test_why_a_worker_cannot_open_the_detector_is_said(workers, task):
    unfit = Task(Unfit(), task[0].root, overlays=False)
    work = engine.load("dask", address=workers.scheduler_address)
    with pytest.raises(InputError, match=r"a worker cannot open the detector \(ValueError: inv"):
        list(work(unfit, task[1]))


def test_a_worker_that_comes_late_and_cannot_open_the_detector_ends_the_run(task, monkeypatch):
    unfit = Task(Unfit(), task[0].root, overlays=False)
    with (
        LocalCluster(
            n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as made,
        Client(made) as client,
    ):
        register = client.register_plugin

        def register_and_then_come(*given):
            register(*given)
            made.scale(1)

        monkeypatch.setattr(client, "register_plugin", register_and_then_come)
        with pytest.raises(
            InputError, match=r"a worker cannot open the detector \(ValueError: inv"
        ):
            list(cluster.run(client, unfit, task[1], time_limit=60))


class Packed:
    """Counts how often it is packed to be sent."""

    threshold = 0.5
    times = 0

    def __getstate__(self):
        Packed.times += 1
        return {"weights": 1}

    def find(self, image, threshold=None):
        return np.empty((0, 2)), np.empty(0, np.float32)


def test_the_task_is_sent_once_to_each_worker(workers, task):
    mine = Task(Packed(), task[0].root, overlays=False)
    with Client(workers) as client:
        client.wait_for_workers(2)
        assert len(list(cluster.run(client, mine, task[1], time_limit=60))) == 12
        assert 0 < Packed.times < 4
        left = client.run(lambda dask_worker: list(dask_worker.plugins))
    names = [name for plugins in left.values() for name in plugins]
    assert not any(name.startswith("roottip-") for name in names)


@pytest.mark.parametrize(("queue", "marks"), [("slurm", "#SBATCH"), ("pbs", "#PBS")])
def test_what_a_queue_would_be_given(queue, marks):
    settings = yaml.safe_load((CONF / f"{queue}.yaml").read_text())
    assert (settings["name"], settings["queue"]) == ("dask", queue)
    with cluster.queue_cluster(queue, settings["job"]) as made:
        script = made.job_script()
    assert script.count(marks) >= 3
    assert "04:00:00" in script
    assert "distributed" in script


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="there is slurm and pbs"):
        engine.load("dask", queue="lsf")
    with pytest.raises(
        InputError, match=r"engine=pbs submits jobs with qsub, which is not on this"
    ):
        list(engine.load("dask", queue="pbs")(Task(load("baseline"), Path()), ["a.png"]))
    with pytest.raises(InputError, match="does not fit the queue slurm"):
        cluster.queue_cluster("slurm", {"cores": 1})


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a group of processes")
def test_ctrl_c_is_one_word_here_too(tmp_path, plate):
    (tmp_path / "in").mkdir()
    for n in range(400):
        Image.fromarray(plate).save(tmp_path / "in" / f"{n}.png")
    given = f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "detector=baseline"
    words = [sys.executable, "-m", "roottip", "detect", *given, "engine=dask", "engine.workers=2"]
    heeding = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    stopped = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeding
    )
    while not (tmp_path / "out" / "thumbnails").exists() and stopped.poll() is None:
        time.sleep(0.01)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal sends it
    _, said = stopped.communicate(timeout=60)
    assert (stopped.returncode, said.splitlines()[-1]) == (130, "stopped")
    assert "Traceback" not in said
