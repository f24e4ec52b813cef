"""How long a piece of work takes, how much memory it holds, and how far it is."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import TypeVar

import psutil
from tqdm import tqdm

LINE_SECONDS = 30.0
"""From one line of progress to the next, where stderr is no terminal."""

_PAUSE = 0.005
"""Seconds between two looks at the memory: a large array lives longer, and a look takes some
ten millionths of a second."""

T = TypeVar("T")


class Meter:
    """Measures the work inside ``with meter:``, each time it is entered.

    Attributes
    ----------
    seconds : float
        Wall-clock time of all entries together.
    entries : int
    memory : float
        MiB by which the resident memory of this process grew during an entry, at its peak;
        the largest of all entries. What was there before (the program, the net's weights, the
        image) does not count, nor does memory that an earlier entry took and kept for later:
        the first entry, which takes it, counts it. NaN before the first entry.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.entries = 0
        self.memory = float("nan")
        self._process = psutil.Process()

    def __enter__(self) -> Meter:
        self._before = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds += time.perf_counter() - self._begun
        self.entries += 1
        self._done.set()
        self._watch.join()
        grown = (self._peak - self._before) / 2**20
        self.memory = grown if self.entries == 1 else max(self.memory, grown)

    def _look(self) -> None:
        waiting = True
        while waiting:
            waiting = not self._done.wait(_PAUSE)
            self._peak = max(self._peak, self._process.memory_info().rss)


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Show a progress bar on a terminal; elsewhere, in a log, a plain line now and then."""
    if sys.stderr is not None and sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, unit="image", dynamic_ncols=True)
        return
    begun = said = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said > LINE_SECONDS:
            said, rate = now, done / (now - begun)
            left = timedelta(seconds=round((total - done) / rate))
            print(
                f"{label}: {done} of {total} images, {rate:.2f} a second, {left} left",
                file=sys.stderr,
                flush=True,
            )
