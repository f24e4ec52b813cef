"""What a net learns from in each round of its training, and how it is judged after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader, Subset

from roottip.learning.choice import best, curves, scan
from roottip.learning.gpu_samples import GpuSamples, Stock
from roottip.learning.mining import detector_of, false_alarms, finder
from roottip.learning.module import TipModule
from roottip.learning.net import TipNet
from roottip.learning.patches import Samples, window_patches
from roottip.learning.plates import Plate

Batches = DataLoader[Any]


class Rounds(lightning.LightningDataModule):
    """A new set of samples for each round, with the false alarms of the module's ``net`` so far.

    Parameters
    ----------
    training, held_out : sequence of Plate
    length : int
        Samples in a round.
    batch, workers, seed
        As `train` takes them.
    shares : mapping of str to float, optional
        As `Samples` takes them.
    """

    def __init__(
        self,
        training: Sequence[Plate],
        held_out: Sequence[Plate],
        length: int,
        batch: int,
        workers: int,
        seed: int,
        shares: Mapping[str, float] | None,
    ) -> None:
        super().__init__()
        self._shares = shares
        self._training, self._held_out = training, held_out
        self._stock: Stock | None = None
        self._length, self._batch, self._workers, self._seed = length, batch, workers, seed

    def train_dataloader(self) -> Batches | GpuSamples:
        """Scan for false alarms from the second round on, then cut samples.

        Where a graphics card trains, they are made on it.
        """
        assert self.trainer is not None
        number = self.trainer.current_epoch
        mined = None
        if number > 0:
            net = self.trainer.lightning_module.net
            assert isinstance(net, TipNet)
            mined = false_alarms(finder(net), self._training, (self._seed, number))
        samples = Samples(self._training, self._length, self._seed, number, mined, self._shares)
        # of several processes each has a run of samples: of every other one all would be tips
        rank, share = self.trainer.global_rank, self._length // self.trainer.world_size
        own = range(rank * share, (rank + 1) * share)
        if not isinstance(self.trainer.accelerator, CUDAAccelerator):
            return DataLoader(Subset(samples, own), self._batch, num_workers=self._workers)
        if self._stock is None:
            self._stock = Stock(self._training, self.trainer.strategy.root_device)
        return GpuSamples(samples, self._stock, self._batch, own)

    def val_dataloader(self) -> Batches | list[Batches]:
        """Single windows of the held-out plates, half of them tips, negatives near roots."""
        if not self._held_out:
            return []
        return DataLoader(window_patches(self._held_out, self._seed), self._batch)


class DevScore(Callback):
    """After each round, how well the net finds the tips of the held-out plates."""

    def __init__(self, held_out: Sequence[Plate]) -> None:
        self._held_out = held_out

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Log ``dev_f1``, the mean over tips at the threshold best for all, and each dataset's."""
        assert isinstance(pl_module, TipModule)
        found = scan(detector_of(pl_module.net), self._held_out)
        scores = curves(found, self._held_out)
        threshold, f1 = best(scores)
        pl_module.log("dev_f1", f1, prog_bar=True)
        pl_module.log("dev_threshold", threshold)
        for dataset, curve in scores.items():
            own = curve.loc[curve["threshold"] == threshold, "f1"].item()
            pl_module.log(f"dev_f1_{Path(dataset).name}", own)
