"""How long a piece of work takes and how much memory it holds."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psutil

_PAUSE = 0.005
"""Seconds between two looks at the memory: a large array lives longer, and a look takes some
ten millionths of a second."""


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
