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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import cv2

from roottip.errors import InputError, check_number
from roottip.task import Result, Results, Task

Engine = Callable[[Task, Sequence[str]], Results]

_MOST = 60 if sys.platform == "win32" else sys.maxsize  # connections that Windows can wait for


def load(name: str, **settings: Any) -> Engine:
    """Make an engine by name: ``local`` or ``dask``; `settings` are its function's arguments.

    Raises
    ------
    InputError
        There is no such engine, what it needs is not installed, or a setting is out of its range.
    """
    if name == "local":
        return local(**settings)
    if name != "dask":
        raise InputError(f"there is no engine called {name!r}; there is local, dask")
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
        One for each processor where not given, at most 60 on Windows; 0 works in this process,
        without a time limit.
    time_limit : float
        Seconds after which an image is given up; in proportion more for one of more than
        `task.LIMIT_PIXELS`.
    """
    check_limits(workers, time_limit, least=0)
    if workers == 0:
        return here
    wanted = min(workers or processors(), _MOST)
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
        with deaf():
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

    def receive(self, payload: bytes, time_limit: float) -> Result | None:
        """A result, or None where it says that it listens, then that it is up.

        Raises
        ------
        InputError
            It could not open the task.
        EOFError, OSError
            It has ended.
        """
        said: Result | str | None = self.connection.recv()
        if isinstance(said, str):
            raise InputError(f"a worker process could not start ({said})")
        if not self.listens:
            self.teach(payload)
            return None
        self.begun, self.limit = time.monotonic(), time_limit
        if said is not None:
            self.given.popleft()
        return said

    def overdue(self, task: Task, time_limit: float) -> str | None:
        """Why it must be ended: its image has had all the time that one of its size has."""
        if self.begun is None or time.monotonic() <= self.begun + self.limit:
            return None
        earlier = self.limit
        # asked only now: most images never come to their limit
        self.limit = task.limit(self.given[0], time_limit) if self.given else 0.0
        if self.limit > earlier:
            return None
        return f"took more than {earlier:g} s, so it was given up"

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
                result = reason = None
                if worker.connection in ready:
                    try:
                        result = worker.receive(payload, time_limit)
                    except (EOFError, OSError):
                        reason = "ended the process that worked on it"
                else:
                    reason = worker.overdue(task, time_limit)
                if result is not None:
                    yield result
                    worker.fill()
                if reason is None:
                    continue
                crew.remove(worker)
                code = worker.end()
                if worker.begun is None and (worker.given or not worker.listens):
                    raise _never_up(code, workers)
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


def _never_up(code: int | None, workers: int) -> InputError:
    why = (
        f"killed, mostly for want of memory; give fewer, engine.workers={workers // 2}"
        if code is not None and code < 0
        else f"exit code {code}: what it printed says why; a script of your own needs "
        'if __name__ == "__main__"'
    )
    return InputError(f"a worker process could not start ({why})")


@contextmanager
def deaf() -> Iterator[None]:
    """A process begun here hears no Ctrl-C, not even before its first line; this one does after."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:  # Windows, where `_serve` is the first to ignore it
        yield
        return
    resource_tracker.ensure_running()  # by itself it begins with the first process, and unblocks
    # other threads may hear it: stopped on the way, this process would leave half a worker
    heard: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number)) if main else None
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)
        if main:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
        if heard:
            signal.raise_signal(signal.SIGINT)


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
