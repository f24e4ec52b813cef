"""What each round of a training learns from, and what it is judged on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from roottip.learning.module import TipModule
from roottip.learning.patches import MARGIN, Samples, window_patches
from roottip.learning.plates import Plate, read_plates
from roottip.learning.rounds import Rounds


@pytest.fixture(scope="module")
def plates(drawn: Path) -> list[Plate]:
    """Of two datasets."""
    first, second, third, *_ = read_plates([drawn])
    return [first, second, replace(third, dataset="other")]


SHARES = {"other": 5.0}


def rounds_of(
    training: list[Plate], held_out: list[Plate], number: int = 0, rank: int = 0, ranks: int = 1
) -> Rounds:
    """At the beginning of a round, in one of several processes."""
    made = Rounds(training, held_out, length=8, batch=4, workers=0, seed=3, shares=SHARES)
    net = TipModule(kernels=4, features=4, hidden=4)
    made.trainer = SimpleNamespace(  # type: ignore[assignment]  # all that is asked of it
        current_epoch=number,
        accelerator=None,
        lightning_module=net,
        global_rank=rank,
        world_size=ranks,
    )
    return made


def test_a_round_has_samples_of_its_own_and_false_alarms_from_the_second_on(
    plates: list[Plate], monkeypatch: pytest.MonkeyPatch
) -> None:
    mined, asked = [np.array([[5, 5]], np.int32) for _ in plates], []
    monkeypatch.setattr(
        "roottip.learning.rounds.false_alarms", lambda *given: asked.append(given[1:]) or mined
    )
    for number, alarms in ((0, None), (1, mined)):
        batches = rounds_of(plates, [], number).train_dataloader()
        expected = Samples(plates, 8, 3, number, alarms, SHARES)
        assert isinstance(batches.dataset.dataset, Samples)
        assert len(batches.dataset) == 8
        for own, other in zip(batches.dataset, expected, strict=True):
            assert torch.equal(own[0], other[0])
    assert [seed for _, seed in asked] == [(3, 1)]


def test_each_of_several_processes_has_tips_and_others_of_its_own(plates: list[Plate]) -> None:
    every = Samples(plates, 8, 3, 0, None, SHARES)
    of_ranks = [
        list(rounds_of(plates, [], rank=n, ranks=2).train_dataloader().dataset) for n in (0, 1)
    ]
    assert [len(own) for own in of_ranks] == [4, 4]
    for own, other in zip([*of_ranks[0], *of_ranks[1]], every, strict=True):
        assert torch.equal(own[0], other[0])
    middles = [[own[1][MARGIN, MARGIN].item() for own in part] for part in of_ranks]
    assert all(np.nansum(part) == 2 for part in middles)


def test_patches_of_held_out_plates_are_judged(plates: list[Plate]) -> None:
    ((images, _),) = rounds_of(plates[:1], plates[1:2]).val_dataloader()
    assert torch.equal(images, window_patches(plates[1:2], 3).tensors[0])
    assert rounds_of(plates, []).val_dataloader() == []
