"""The net in Lightning's hands: loss, optimiser, patch accuracy."""

from __future__ import annotations

from typing import Any

import pytorch_lightning
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics.classification import BinaryAccuracy

from roottip.learning.net import Net, TipNet


class Learner(pytorch_lightning.LightningModule):
    """Trains a net of windows.

    Parameters
    ----------
    net : TipNet or GlanceNet
    rate : float
        Peak of the learning rate, which rises and falls once over the whole training.
    decay : float
        Weight decay.
    tip_weight : float
        How many non-tips a tip counts for in the loss. Around a tip few windows are tips, so
        at 1 the net first learns for long to say "none".
    """

    def __init__(self, net: Net, rate: float, decay: float, tip_weight: float) -> None:
        super().__init__()
        self.rate, self.decay, self.tip_weight = rate, decay, tip_weight
        # oneDNN convolves twice as fast with the channels innermost
        self.net = net
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        self.accuracy = BinaryAccuracy()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Weighted cross-entropy of all windows that are labelled."""
        logits, label = self._labelled(batch)
        weight = 1 + (self.tip_weight - 1) * label
        loss = binary_cross_entropy_with_logits(logits, label, weight, reduction="sum")
        loss = loss / weight.sum()
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Accuracy of single windows, half of them tips."""
        logits, label = self._labelled(batch)
        self.accuracy(logits.sigmoid(), label.int())
        self.log("patch_accuracy", self.accuracy, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW with one rise and fall of the learning rate."""
        optimizer = torch.optim.AdamW(self.parameters(), self.rate, weight_decay=self.decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.rate, total_steps=steps, pct_start=0.15
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _labelled(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        image, label = batch
        logits = self.net(image.contiguous(memory_format=torch.channels_last)).float()
        known = ~label.isnan()
        return logits[known], label[known]


class TipModule(Learner):
    """Trains a `TipNet`. Its hyperparameters are plain numbers, so its checkpoints load safely.

    Parameters
    ----------
    kernels, features, hidden : int
        Of the net.
    rate, decay, tip_weight : float
        As `Learner` takes them.
    """

    net: TipNet

    def __init__(
        self,
        kernels: int = 32,
        features: int = 64,
        hidden: int = 128,
        rate: float = 2e-3,
        decay: float = 1e-2,
        tip_weight: float = 2.0,
    ) -> None:
        super().__init__(TipNet(kernels, features, hidden), rate, decay, tip_weight)
        self.save_hyperparameters()
