from __future__ import annotations

import time

import numpy as np
import pytest

from roottip.meter import Meter


def test_memory_and_time_of_the_largest_piece_of_work():
    meter = Meter()
    assert np.isnan(meter.memory)
    for size in (1, 64, 1):
        with meter:
            held = np.ones(size * 2**20, dtype=np.uint8)
            time.sleep(0.3)  # a busy machine may not let the watch look at once
            del held
    assert meter.memory == pytest.approx(64, rel=0.2)
    assert meter.entries == 3
    assert 0.9 <= meter.seconds < 5


def test_an_error_inside_ends_the_watch():
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter:
        1 / 0  # noqa: B018
    assert meter.entries == 1
    assert not meter._watch.is_alive()
