"""Files from outside that hold a pickle: its code must not run."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from roottip.errors import InputError
from roottip.learning.recipe import Recipe
from roottip.learning.train import train
from roottip.scorers import card, load
from roottip.settings import resource

pytestmark = pytest.mark.filterwarnings("ignore:::pytorch_lightning", "ignore:::torch")


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def bomb(tmp_path) -> Bomb:
    harmful = Bomb(tmp_path / "proof that it works")
    pickle.loads(pickle.dumps(harmful))
    harmful.path.unlink()
    return Bomb(tmp_path / "it ran")


def test_weights_of_features(bomb, tmp_path):
    shipped = resource("weights/features.npz")
    with np.load(shipped) as arrays:
        content = io.BytesIO()
        name = arrays.files[0]
        np.savez(content, **{**arrays, name: np.array([bomb], dtype=object)})
    mine = tmp_path / "mine.npz"
    known = json.loads(shipped.with_suffix(".json").read_text(encoding="utf-8"))
    card.write(mine, content.getvalue(), known)
    with pytest.raises(InputError, match=r"mine\.npz"):
        load("features", weights=mine)
    assert not bomb.path.exists()


def test_weights_of_the_net(bomb, tmp_path):
    known = json.loads(resource("weights/cnn.json").read_text(encoding="utf-8"))
    content = io.BytesIO()
    torch.save({"state_dict": bomb}, content)
    for name, data in {"plain.onnx": pickle.dumps(bomb), "torch.onnx": content.getvalue()}.items():
        card.write(tmp_path / name, data, known)
        with pytest.raises(InputError, match=name):
            load("cnn", weights=tmp_path / name)
    assert not bomb.path.exists()


def test_a_checkpoint_to_resume(bomb, drawn, tmp_path):
    output = tmp_path / "output"
    recipe = Recipe(rounds=1, steps=1, batch=4, workers=0, features=8, glance_steps=0)
    train([drawn], output, recipe, dev=0.5)
    last = output / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    torch.save({**content, "extra": bomb}, last)
    kept = tmp_path / "kept.ckpt"
    shutil.copy(last, kept)
    with pytest.raises(InputError, match=r"last\.ckpt"):
        train([drawn], output, replace(recipe, rounds=2), dev=0.5, resume=True)
    assert not bomb.path.exists()
    # the very file does harm where it is trusted
    torch.load(kept, weights_only=False)
    assert bomb.path.exists()


def test_a_cut_checkpoint(drawn, tmp_path):
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    content = io.BytesIO()
    torch.save({"state_dict": {"weight": torch.zeros(100)}}, content)
    last.write_bytes(content.getvalue()[:-100])
    with pytest.raises(InputError, match=r"last\.ckpt is damaged"):
        train([drawn], tmp_path, resume=True)
