"""Several nets trained at once on one stream of samples, each without some: no script of its own.

Making samples is most of the work where a graphics card trains, so the nets of a
cross-validation share them: each leaves out those of the plates that it is not to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roottip.learning.module import DECAY, one_cycle, tip_loss
from roottip.learning.net import TipNet, channels_last
from roottip.learning.recipe import FULL


class Ensemble(lightning.LightningModule):
    """Trains nets side by side, each as `TipModule` would train it alone.

    Parameters
    ----------
    sees : mapping of str to (P,) bool
        Names of the nets, and which plates each learns from. The false alarms of the last one
        are mined for all.
    features : int
        Kernels of the nets' inner layers.
    rate : float
        Peak of the learning rate.
    """

    def __init__(
        self,
        sees: Mapping[str, NDArray[np.bool_]],
        features: int = FULL.features,
        rate: float = FULL.rate,
    ) -> None:
        super().__init__()
        self.rate = rate
        self.named = {name: TipNet(features=features) for name in sees}
        self.nets = channels_last(nn.ModuleList(self.named.values()))
        self._sees = [torch.from_numpy(plates) for plates in sees.values()]

    @property
    def net(self) -> TipNet:
        """The last one."""
        return list(self.named.values())[-1]

    def on_before_batch_transfer(self, batch: Sequence[Tensor], _: int) -> Any:
        """Find out which samples are whose while they are here: asking the card takes a wait."""
        image, label, offset, plate = batch
        return image, label, offset, [torch.nonzero(sees[plate]).ravel() for sees in self._sees]

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, list[Tensor]], _: int) -> Tensor:
        """Sum of the nets' losses; no net's depends on another's numbers."""
        image, label, offset, rows = batch
        losses = [
            tip_loss(net, image[own], label[own], offset[own], FULL.tip_weight)
            for net, own in zip(self.named.values(), rows, strict=True)
        ]
        loss = torch.stack(losses).sum()
        self.log("loss", loss / len(losses), prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW with one rise and fall of the learning rate."""
        return one_cycle(self, self.rate, DECAY)


def folds(groups: Sequence[tuple[str, str]], count: int, seed: int) -> NDArray[np.int64]:
    """Deal the groups of each dataset into folds.

    Parameters
    ----------
    groups : sequence of (str, str)
        Dataset and group of each image.
    count, seed : int

    Returns
    -------
    (N,) int
        Each image's fold, from 0 on; images of one group share theirs.
    """
    rng = np.random.default_rng(seed)
    fold_of: dict[tuple[str, str], int] = {}
    for dataset in dict.fromkeys(dataset for dataset, _ in groups):
        own = sorted({group for other, group in groups if other == dataset})
        for place, group in enumerate(rng.permutation(own).tolist()):
            fold_of[dataset, group] = place % count
    return np.array([fold_of[pair] for pair in groups])
