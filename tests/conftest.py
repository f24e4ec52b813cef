from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from roottip import table

# CI machines stall now and then; a deadline would fail tests for that, and examples drawn anew each
# time would fail somebody's change for what was there before
settings.register_profile("roottip", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("roottip")

LONG = ("test_site.py", "test_train.py", "test_wheel.py", "test_docs.py", "test_app.py")
"""What takes minutes is begun first: at the end one process would work on it alone."""

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The annotated photographs, which are not ours to ship."""
    if not SHARED.is_dir():
        pytest.skip("needs the annotated photographs of ../shared/data, which are not shipped")
    return SHARED


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two plates of the sample, a dataset folder."""
    folder = tmp_path_factory.mktemp("few")
    images, tips = table.read(SAMPLE / "images.csv").iloc[4:6], table.read(SAMPLE / "tips.csv")
    table.write(images, folder / "images.csv")
    table.write(tips[tips["image"].isin(images["image"])], folder / "tips.csv")
    (folder / "images").mkdir()
    for name in images["image"]:
        shutil.copy(SAMPLE / "images" / name, folder / "images")
    return folder


@pytest.fixture
def plate() -> np.ndarray:
    """A dark plate with one bright root, 5 px wide, from the top edge to (100, 150)."""
    image = np.full((240, 200, 3), 40, np.uint8)
    cv2.line(image, (100, -9), (100, 150), (210, 210, 200), 5, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
