"""A guard against getting slower, in ratios: they hold on any machine, seconds do not.

pytest scripts/guard_speed.py

Each test times two ways to score the same windows of a drawn plate, in turns, with
pytest-benchmark, and fails where what ships has lost its lead. No part of the test suite: a busy
machine would fail it by chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from roottip import windows
from roottip.images import read_image
from roottip.scale import adjustment
from roottip.scorers.cnn import SHIPPED, CnnScorer, scorer

PLATE = Path(__file__).resolve().parents[1] / "data" / "sample" / "images" / "plate_0001.jpg"
ROUNDS = 7


@pytest.fixture(scope="module")
def image() -> windows.Image:
    plate = read_image(PLATE)
    return adjustment(plate)(plate)


@pytest.fixture(scope="module")
def centres(image: windows.Image) -> windows.Centres:
    return windows.grid(image.shape, 4)


def test_sliding_against_window_by_window(
    benchmark: BenchmarkFixture, image: windows.Image, centres: windows.Centres
) -> None:
    net = CnnScorer(SHIPPED)
    some = centres[:: len(centres) // 256]

    def one_by_one() -> None:
        net.score_patches(windows.patches(image, some, net.card["window"]))

    ratio = compared(benchmark, lambda: net(image, centres), one_by_one)
    assert ratio * len(centres) / len(some) > 60


def test_glance_against_all_windows(
    benchmark: BenchmarkFixture, image: windows.Image, centres: windows.Centres
) -> None:
    hasty, net = scorer(int8=False), scorer(int8=False, glance=False)
    ratio = compared(benchmark, lambda: hasty(image, centres), lambda: net(image, centres))
    assert ratio > 1.8  # a small plate full of roots; photographs gain more


def test_eight_bits_against_float32(
    benchmark: BenchmarkFixture, image: windows.Image, centres: windows.Centres
) -> None:
    twin, net = scorer(glance=False), scorer(int8=False, glance=False)
    ratio = compared(benchmark, lambda: twin(image, centres), lambda: net(image, centres))
    assert ratio > 1.3


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_openvino_against_onnxruntime(
    benchmark: BenchmarkFixture, image: windows.Image, centres: windows.Centres
) -> None:
    fast, slow = (scorer(int8=False, runtime=name) for name in ("openvino", "onnxruntime"))
    ratio = compared(benchmark, lambda: fast(image, centres), lambda: slow(image, centres))
    assert ratio > 1.1  # on processors that multiply bfloat16 numbers


def compared(
    benchmark: BenchmarkFixture, work: Callable[[], object], other: Callable[[], object]
) -> float:
    """How many times as long as `work` the `other` takes, each at its fastest."""
    times = []

    def the_other_first() -> None:
        begun = time.perf_counter()
        other()
        times.append(time.perf_counter() - begun)

    work()
    benchmark.pedantic(work, setup=the_other_first, rounds=ROUNDS)
    ratio = float(np.min(times[1:]) / benchmark.stats.stats.min)
    benchmark.extra_info["ratio"] = round(ratio, 2)
    return ratio
