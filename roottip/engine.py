"""How the images of a run are worked through: here, in processes, or on a Dask cluster.

An engine is a function of a `Task` and the images' names that yields a `Result` for each name,
in the order in which they are done. All engines run the same `Task`, so all give one table.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from roottip import bands, images, places, report, scans, table
from roottip.detector import Detector
from roottip.errors import InputError, check_number
from roottip.images import Picture
from roottip.places import Place
from roottip.scalebar import scale_bar
from roottip.scans import Scan
from roottip.windows import Image, Points, Scores

THUMBNAIL = 320
"""px of a thumbnail's longer side."""

SCAN_PICTURE = 6000
"""px of the longer side of a scan's overlay, where the scan is too large to be drawn whole."""

LIMIT_PIXELS = 25_000_000
"""An image larger than this has in proportion more time than the limit."""


@dataclass
class Result:
    """What came out of one image."""

    row: dict[str, object]
    """Of the images table: `table.IMAGE_COLUMNS` and `table.MEASURED`."""
    version: str = ""
    """Of the file (`places.version`); "" where there is none."""
    content: str = ""
    """Hash of the file's bytes."""
    points: Points = field(default_factory=lambda: np.empty((0, 2)))
    scores: Scores = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    overlay: bytes | None = None
    thumbnail: bytes | None = None


Results = Generator[Result, None, None]
Engine = Callable[["Task", Sequence[str]], Results]


@dataclass(frozen=True)
class Task:
    """What is done with each image of a run."""

    detector: Detector
    root: Place
    overlays: bool = True

    def __call__(self, names: Iterable[str]) -> Results:
        """Read, detect and draw; the next image is read meanwhile."""
        for name, (file, version, content) in images.in_order(self._read, names, 1):
            result = self._detect(name, file)
            result.version, result.content = version, content
            yield result

    def failure(self, name: str, reason: str) -> Result:
        """The result of an image that cannot be worked on."""
        try:
            version = places.version(places.join(self.root, name))
        except OSError:
            version = ""
        return Result(_row(name) | {"error": printable(reason)}, version)

    def limit(self, name: str, time_limit: float) -> float:
        """The seconds that an image has: `time_limit`, more where it is very large."""
        path = places.join(self.root, name)
        # nothing else: a pipe would never end
        local = not places.is_address(path) and Path(path).is_file()
        count = scans.pixels(path) if local else 0
        return time_limit * max(1.0, count / LIMIT_PIXELS)

    def _read(self, name: str) -> tuple[Picture | Scan | InputError, str, str]:
        path = places.join(self.root, name)
        version = content = ""
        try:
            # asked before reading: a file that changes meanwhile counts as changed
            version = places.version(path)
            most = getattr(self.detector, "most_pixels", bands.LARGE)
            scan = None if places.is_address(path) else scans.scan_of(path, most)
            if scan is not None:
                return scan, version, places.file_hash(path)
            data = images.read_file(path)
            content = places.content_hash(data)
            return images.decode(data, path), version, content
        except FileNotFoundError:
            return InputError(f"there is no file {path}"), version, content
        except InputError as error:
            return error, version, content
        # a name may hold what no path can, such as "\0"; an address's library raises its own
        except Exception as error:
            return InputError(f"{path} cannot be read: {error}"), version, content

    def _detect(self, name: str, file: Picture | Scan | InputError) -> Result:
        begun = time.perf_counter()
        result = Result(_row(name))
        if isinstance(file, InputError):
            result.row["error"] = printable(str(file))
        else:
            try:
                self._fill(result, name, file)
            # one image must not end a run: a detector may be anybody's, memory may run out
            except Exception as error:
                kind = "" if isinstance(error, InputError) else type(error).__name__
                reason = f"{kind}: {error}".strip(": ")
                result = Result(_row(name) | {"error": printable(f"{name}: {reason}")})
        result.row["seconds"] = round(time.perf_counter() - begun, 3)
        return result

    def _fill(self, result: Result, name: str, file: Picture | Scan) -> None:
        whole = file if isinstance(file, Scan) else file.image
        points, scores = self.detector.find(whole)
        result.points, result.scores = points, scores
        height, width = whole.shape[:2]
        image, on_image = whole, points
        if isinstance(image, Scan):
            image = bands.shrunk(image, SCAN_PICTURE)
            on_image = (points + 0.5) * image.shape[1::-1] / (width, height) - 0.5
        brightness, sharpness = light_and_focus(image)
        bar = scale_bar(image)
        drawn = report.overlay(image, table.points(name, on_image, scores))
        if self.overlays:
            result.overlay = report.encode(drawn, ".png")
        result.thumbnail = report.encode(report.shrink(drawn, THUMBNAIL), ".jpg")
        result.row |= {
            "status": "ok",
            "width": width,
            "height": height,
            "tips": len(points),
            "note": "; ".join(file.notes),
            "px_per_mm": file.px_per_mm,
            "scale_bar_px": None if bar is None else bar * width / image.shape[1],
            "brightness": brightness,
            "sharpness": sharpness,
        }


def light_and_focus(image: Image) -> tuple[float, float]:
    """Mean brightness (0 to 255), and how sharp an image is.

    Sharpness is the Laplacian's standard deviation over the image's own, at 1024 px: low
    where the image is out of focus, to be compared within a run only.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    grey = report.shrink(np.asarray(grey, dtype=np.uint8), 1024)
    spread = float(cv2.Laplacian(grey, cv2.CV_32F).std()) / (float(np.std(grey)) + 1)
    return round(float(np.mean(grey)), 2), round(spread, 4)


def printable(text: str) -> str:
    """One line that any file and terminal can hold; what cannot be shown is escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def load(name: str, **settings: Any) -> Engine:
    """Make an engine by name: ``local`` or ``dask``; `settings` are its function's arguments."""
    if name == "local":
        return local(**settings)
    try:
        # by name, not by an import statement: it stands above this file and imports it
        made: Engine = import_module("roottip.cluster").dask(**settings)
    except ModuleNotFoundError as error:
        raise InputError(
            f"engine={settings.get('queue') or 'dask'} needs {error.name}, which is not installed; "
            "pip install 'roottip[dask]'"
        ) from error
    return made


def here(task: Task, names: Sequence[str]) -> Results:
    """In this process: for a few images and for tests; nothing ends an image that hangs."""
    return task(names)


def local(workers: int | None = None, time_limit: float = 300.0) -> Engine:
    """Processes on this machine, each with one thread.

    A file that crashes or hangs a decoder costs its row, not the run.

    Parameters
    ----------
    workers : int, optional
        One for each processor where not given; 0 works in this process, without a time limit.
    time_limit : float
        Seconds after which an image is given up; in proportion more for one of more than
        `LIMIT_PIXELS`.
    """
    check_limits(workers, time_limit, least=0)
    if workers == 0:
        return here
    wanted = workers or processors()
    return lambda task, names: _processes(task, names, wanted, time_limit)


def processors() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":  # containers and queues give fewer than the machine has
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_limits(workers: int | None, time_limit: float, least: int) -> None:
    """Refuse numbers that cannot be, as `InputError`."""
    if workers is not None:
        check_number("engine.workers", workers, least, whole=True)
    check_number("engine.time_limit", time_limit, 0, above=True)


class _Worker:
    """A process that works on the names it is given, two at a time: one is read meanwhile."""

    def __init__(self, names: Iterator[str]) -> None:
        # a forked child would inherit locks and threads in whatever state they are
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _deaf():
            self.process.start()
        theirs.close()
        self.names = names
        self.listens = False  # to send the task before would wait until it does
        self.given: deque[str] = deque()
        self.last = False  # no name will follow
        self.begun: float | None = None  # None until the process is up
        self.limit = 0.0  # seconds from then on

    def teach(self, payload: bytes) -> None:
        self.listens = True
        try:
            self.connection.send_bytes(payload)
        except OSError:
            return  # as in fill
        self.fill()

    def fill(self) -> None:
        while len(self.given) < 2 and not self.last:
            name = next(self.names, None)
            self.last = name is None
            if name is not None:
                self.given.append(name)
            try:
                self.connection.send(name)
            except OSError:
                return  # it has ended; reading from it says so too

    def end(self) -> int | None:
        self.process.kill()
        self.process.join()
        self.connection.close()
        return self.process.exitcode


def _processes(task: Task, names: Sequence[str], workers: int, time_limit: float) -> Results:
    payload = pickle.dumps(task)
    pending = iter(names)
    # of two names in a process that ended, only one is to blame: each is tried again alone
    suspects: deque[str] = deque()
    crew: list[_Worker] = []

    def hire(names: Iterator[str]) -> None:
        crew.append(_Worker(names))

    try:
        for _ in range(min(workers, len(names))):
            hire(pending)
        while crew:
            now = time.monotonic()
            left = [w.begun + w.limit - now for w in crew if w.begun is not None]
            timeout = max(0.0, min([*left, 1.0]))
            ready = wait([w.connection for w in crew], timeout=timeout)
            stopped = time.monotonic() - now - timeout
            if stopped > 1:  # as by Ctrl-Z, and the workers too: no image's own time
                for worker in crew:
                    worker.begun = None if worker.begun is None else worker.begun + stopped
            for worker in list(crew):
                reason = None
                if worker.connection in ready:
                    try:
                        result = worker.connection.recv()
                        if isinstance(result, str):
                            raise InputError(f"a worker process could not start ({result})")
                        if not worker.listens:
                            worker.teach(payload)
                            continue
                        worker.begun, worker.limit = time.monotonic(), time_limit
                        if result is not None:  # None: the process is up
                            worker.given.popleft()
                            yield result
                            worker.fill()
                        continue
                    except (EOFError, OSError):
                        reason = "ended the process that worked on it"
                elif worker.begun is not None and time.monotonic() > worker.begun + worker.limit:
                    # asked only now: most images never come to their limit
                    limit = task.limit(worker.given[0], time_limit) if worker.given else 0.0
                    if limit <= worker.limit:
                        reason = f"took more than {worker.limit:g} s, so it was given up"
                    worker.limit = limit
                if reason is None:
                    continue
                crew.remove(worker)
                code = worker.end()
                if worker.begun is None and (worker.given or not worker.listens):
                    raise RuntimeError(f"a worker process could not start (exit code {code})")
                if len(worker.given) == 1:
                    yield task.failure(worker.given[0], f"{worker.given[0]} {reason}")
                else:
                    suspects.extend(worker.given)
                if not worker.last:
                    hire(pending)
            while suspects and len(crew) < workers:
                hire(iter([suspects.popleft()]))
    finally:
        for worker in crew:
            worker.end()


@contextmanager
def _deaf() -> Iterator[None]:
    """A process begun here hears no Ctrl-C, not even before its first line; this one does after."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:  # Windows, where `_serve` is the first to ignore it
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """A worker process: says that it listens, gets the task, then names, until None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    warnings.filterwarnings("ignore", module="PIL")  # as in app.main
    cv2.setNumThreads(1)  # the processes share the processors; the CNN follows OpenCV's number
    try:
        connection.send(None)
        packed = connection.recv_bytes()
        try:
            task = pickle.loads(packed)
        except Exception as error:  # whatever a net's runtime raises, such as of memory
            connection.send(f"{type(error).__name__}: {error}")
            return
        connection.send(None)
        for result in task(iter(connection.recv, None)):
            connection.send(result)
    except (EOFError, OSError):
        pass  # the parent is gone: nobody wants the rest
    finally:
        # a thread that hangs in a decoder would keep the process alive
        connection.close()
        os._exit(0)


def one(task: Task, name: str, time_limit: float) -> Result:
    """Work on one image where the process cannot be ended: past the limit it is left behind."""
    done: list[Result] = []

    def work() -> None:
        try:
            done.extend(task([name]))
        except Exception as error:
            done.append(task.failure(name, f"{name}: {type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(time_limit)
    if not done:
        limit = task.limit(name, time_limit)
        thread.join(limit - time_limit)
        time_limit = limit
    if done:
        return done[0]
    return task.failure(name, f"{name} took more than {time_limit:g} s, so it was given up")


def _row(name: str) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys((*table.IMAGE_COLUMNS, *table.MEASURED))
    return row | {"image": name, "status": "failed", "error": "", "note": ""}
