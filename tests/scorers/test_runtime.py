"""Each runtime computes the net that ONNX's own reference evaluator does."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from test_cnn import write_net

from roottip.errors import InputError
from roottip.provenance import identity
from roottip.scorers import cnn, runtime
from roottip.scorers.runtime import OpenNet, check_runtime

# bfloat16 keeps 8 bits of a number
TOLERANCE = {"onnxruntime": 1e-5, "openvino": 0.02, "torch": 1e-5}


@pytest.fixture(params=runtime.RUNTIMES)
def name(request: pytest.FixtureRequest) -> str:
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def elsewhere(work: Callable[..., Any], *arguments: object) -> Any:
    """What `work` returns in a fresh process: torch crashes in one that OpenVINO was loaded in."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        return fresh.submit(work, *arguments).result()


def first_of_two(model: bytes, name: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    net = OpenNet(model, name)
    (scores,) = net(first)
    net(second)  # must not write into the scores above
    return scores


def test_runtime_equals_the_reference(name: str, tmp_path: Path) -> None:
    model = write_net(tmp_path / "net.onnx").read_bytes()
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 3, 40, 52, 3), dtype=np.uint8)
    expected = ReferenceEvaluator(str(tmp_path / "net.onnx")).run(None, {"image": first})[0]
    scores = elsewhere(first_of_two, model, name, first, second)
    assert expected.std() > 0.1
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE[name], rtol=0)


def runtime_and_weights(weights: Path, name: str) -> tuple[str, str | None]:
    again = pickle.loads(pickle.dumps(cnn.detector(weights, runtime=name)))
    return again.scorer.runtime, identity(again)


def test_a_scorer_keeps_its_runtime_on_the_way_to_another_process(
    name: str, tmp_path: Path
) -> None:
    weights = write_net(tmp_path / "net.onnx")
    sha = cnn.CnnScorer(weights).card["sha256"]
    # a run that goes on elsewhere must see that other scores would come out
    assert elsewhere(runtime_and_weights, weights, name) == (name, f"{sha}+{name}")


def test_a_runtime_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="runtime=openvin must be one of onnxruntime, openvino"):
        check_runtime("openvin")
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install openvino"):
        check_runtime("openvino")
