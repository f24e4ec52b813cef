from __future__ import annotations

import subprocess
import sys

import pytest

from roottip.meter import Meter

# in a process of its own: one that has freed memory before may use that again and not grow
WORK = """
import time
import numpy as np
from roottip.meter import Meter
meter = Meter()
assert np.isnan(meter.memory)
for size in (1, 64, 1):
    with meter:
        held = np.ones(size * 2**20, dtype=np.uint8)
        time.sleep(0.3)  # a busy machine may not let the watch look at once
        del held
print(meter.memory, meter.entries, meter.seconds)
"""


def test_memory_and_time_of_the_largest_piece_of_work():
    done = subprocess.run(
        [sys.executable, "-c", WORK], capture_output=True, text=True, check=True, timeout=60
    )
    memory, entries, seconds = map(float, done.stdout.split())
    assert memory == pytest.approx(64, rel=0.2)
    assert entries == 3
    assert 0.9 <= seconds < 5


def test_an_error_inside_ends_the_watch():
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter:
        1 / 0  # noqa: B018
    assert meter.entries == 1
    assert not meter._watch.is_alive()
