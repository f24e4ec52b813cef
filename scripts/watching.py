"""The memory of a run and its workers, watched from outside: shared, no script of its own."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil


def watch(process: subprocess.Popen[bytes]) -> tuple[dict[int, float], float]:
    """Peak memory of a process and its children, each and together, MB; waits for its end.

    That of each is known on Linux only.
    """
    each: dict[int, float] = {}
    together = 0.0
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            family = [parent, *parent.children(recursive=True)]
            together = max(together, sum(one.memory_info().rss for one in family) / 2**20)
            each |= {one.pid: _peak(one.pid) for one in family}
        except (psutil.Error, OSError, StopIteration):
            pass  # it has just ended
        time.sleep(0.1)
    return each, together


def _peak(pid: int) -> float:
    """The most memory that a process has had, MB; Linux only."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
