"""Nets trained side by side: what one must not see never reaches it."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pytorch_lightning", reason="needs the extra [train]")

import pytorch_lightning
import torch

from roottip.learning.patches import SIDE

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "ensemble.py"))
Ensemble, folds = SCRIPT["Ensemble"], SCRIPT["folds"]


def gradients(
    image: torch.Tensor, label: torch.Tensor, offset: torch.Tensor
) -> dict[str, list[torch.Tensor]]:
    """Of the first step, for a batch of four samples from plates 0, 1, 2 and 0."""
    pytorch_lightning.seed_everything(0, verbose=False)
    sees = {"part": np.array([True, False, True]), "all": np.array([True, True, True])}
    module = Ensemble(sees, features=4)
    assert module.net is module.named["all"]  # the last
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]  # no trainer here
    batch = module.on_before_batch_transfer([image, label, offset, torch.tensor([0, 1, 2, 0])], 0)
    module.training_step(batch, 0).backward()
    return {
        name: [p.grad for p in net.parameters() if p.grad is not None]
        for name, net in module.named.items()
    }


def test_a_net_learns_nothing_from_plates_it_is_not_to_see() -> None:
    rng = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (4, 3, SIDE, SIDE), generator=rng, dtype=torch.uint8)
    label = torch.randint(0, 2, (4, 7, 7), generator=rng).float()
    label[0, 0, 0] = float("nan")
    offset = torch.where(label[:, None] == 1, 2.0, float("nan")).expand(-1, 2, -1, -1)
    other = image.clone(), label.clone(), offset.clone()
    other[0][1] = 255 - image[1]
    other[1][1] = 1 - label[1]
    other[2][1] = -offset[1]
    before, after = gradients(image, label, offset), gradients(*other)
    assert all(torch.equal(*pair) for pair in zip(before["part"], after["part"], strict=True))
    assert not any(torch.equal(*pair) for pair in zip(before["all"], after["all"], strict=True))


GROUPS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("tuvwxyz")), min_size=1)


@given(GROUPS, st.integers(1, 5), st.integers(0, 9))
def test_folds_keep_groups_together_and_are_as_large(
    groups: list[tuple[str, str]], count: int, seed: int
) -> None:
    fold = folds(groups, count, seed)
    of_group = dict(zip(groups, fold.tolist(), strict=True))
    assert [of_group[group] for group in groups] == fold.tolist()
    for dataset in "ab":
        own = [number for (other, _), number in of_group.items() if other == dataset]
        sizes = np.bincount(own, minlength=count)
        assert len(sizes) == count
        assert np.ptp(sizes) <= 1


def test_groups_are_dealt_by_the_seed() -> None:
    groups = [("a", f"plant{number}") for number in range(20)]
    first, again, other = (folds(groups, 4, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_which_fold_a_group_is_in_hangs_on_the_names_and_the_seed_alone() -> None:
    names = [f"plant{number}" for number in range(20)]
    dealt = np.random.default_rng(0).permutation(sorted(names)).tolist()
    fold = folds([("a", name) for name in names], 4, seed=0)
    assert fold.tolist() == [dealt.index(name) % 4 for name in names]
