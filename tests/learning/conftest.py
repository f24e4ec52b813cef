from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from roottip.scorers.cnn import SHIPPED

pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")


@pytest.fixture(scope="session")
def shipped_alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes a copy of the shipped net, its card beside it and nothing else."""

    def copied() -> Path:
        path = tmp_path_factory.mktemp("shipped") / "net.onnx"
        for suffix in (".onnx", ".json"):
            shutil.copyfile(SHIPPED.with_suffix(suffix), path.with_suffix(suffix))
        return path

    return copied


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder: 6 plates of 3 groups, two of them of split val; straight bright roots.

    Each plate has one root from the top edge, one that starts on it and ends free, and an
    ignored tip.
    """
    root = tmp_path_factory.mktemp("drawn")
    (root / "images").mkdir()
    rng = np.random.default_rng(0)
    images, tips = [], []
    for number in range(6):
        image = np.full((200, 180, 3), (60, 50, 40), np.uint8)
        ends = [(90, 160), (140, 90), (30, 110)]
        ends = [(x + int(rng.integers(-8, 9)), y + int(rng.integers(-8, 9))) for x, y in ends]
        for start, end in zip([(90, -9), (90, 40), (90, 60)], ends, strict=True):
            cv2.line(image, start, end, (220, 220, 200), 5, cv2.LINE_AA)
        noise = rng.normal(0, 3, image.shape)
        name = f"{number}.png"
        cv2.imwrite(str(root / "images" / name), np.clip(image + noise, 0, 255).astype(np.uint8))
        images.append((name, "val" if number >= 4 else "train", f"plant{number // 2}"))
        for (x, y), ignore in zip(ends, (0, 0, 1), strict=True):
            tips.append((name, x, y, ignore))
    pd.DataFrame(images, columns=["image", "split", "group"]).to_csv(
        root / "images.csv", index=False
    )
    pd.DataFrame(tips, columns=["image", "x", "y", "ignore"]).to_csv(root / "tips.csv", index=False)
    return root
