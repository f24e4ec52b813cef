"""The net in Lightning's hands: losses, optimiser, patch accuracy."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import TQDMProgressBar
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss
from torch.utils.data import DataLoader
from torchmetrics.classification import BinaryAccuracy

from roottip.errors import InputError
from roottip.learning.net import Net, TipNet, channels_last
from roottip.learning.recipe import FULL

DECAY = 1e-2
"""Weight decay of a `TipNet`'s training, where not told."""


class Learner(pytorch_lightning.LightningModule):
    """Trains a net of windows.

    Parameters
    ----------
    net : TipNet, GlanceNet or the review's net
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
        self.net = channels_last(net)
        self.accuracy = BinaryAccuracy()

    def training_step(self, batch: Sequence[Tensor], _: int) -> Tensor:
        """The loss of all windows that are labelled."""
        loss = self._loss(batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Accuracy of single windows, half of them tips."""
        image, label = batch
        self.accuracy(logits_of(self.net, image).sigmoid(), label.int())
        self.log("patch_accuracy", self.accuracy, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW with one rise and fall of the learning rate."""
        return one_cycle(self, self.rate, self.decay)

    def _loss(self, batch: Sequence[Tensor]) -> Tensor:
        """Of a batch of `patches.Samples`."""
        raise NotImplementedError


class TipModule(Learner):
    """Trains a `TipNet`. Its hyperparameters are plain numbers, so its checkpoints load safely.

    Parameters
    ----------
    kernels, features, hidden : int
        Of the net.
    rate, decay, tip_weight : float
        As `Learner` takes them.
    offset_weight : float
        What a px of a window's offset weighs in the loss.
    """

    net: TipNet

    def __init__(
        self,
        kernels: int = 32,
        features: int = FULL.features,
        hidden: int = 128,
        rate: float = FULL.rate,
        decay: float = DECAY,
        tip_weight: float = FULL.tip_weight,
        offset_weight: float = FULL.offset_weight,
    ) -> None:
        super().__init__(TipNet(kernels, features, hidden), rate, decay, tip_weight)
        self.offset_weight = offset_weight
        self.save_hyperparameters()

    def _loss(self, batch: Sequence[Tensor]) -> Tensor:
        image, label, offset = batch[:3]
        return tip_loss(self.net, image, label, offset, self.tip_weight, self.offset_weight)


def precision_of(asked: str, accelerator: str = "auto") -> str:
    """Lightning's word for a precision; ``auto`` is bfloat16 where that is faster, else float32.

    Without such instructions a processor computes bfloat16 numbers several times slower.
    """
    if asked != "auto":
        return asked
    if accelerator != "cpu" and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported()
    else:
        # releases of torch that cannot say what the processor does get float32
        own: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        fast = bool(own.get("avx512_bf16") or own.get("amx_bf16"))
    return "bf16-mixed" if fast else "32-true"


def logits_of(net: nn.Module, image: Tensor) -> Tensor:
    """What a net says of a batch, in float32, whatever it computes in."""
    logits: Tensor = net(image.contiguous(memory_format=torch.channels_last))
    return logits.float()


def tip_loss(
    net: TipNet,
    image: Tensor,
    label: Tensor,
    offset: Tensor,
    tip_weight: float,
    offset_weight: float = FULL.offset_weight,
) -> Tensor:
    """What a net gets wrong of a batch of `patches.Samples`: what its windows are, and where."""
    logits, offsets = net.look(image.contiguous(memory_format=torch.channels_last))
    apart = offset_error(offsets.float(), offset)
    return cross_entropy(logits.float(), label, tip_weight) + offset_weight * apart


def cross_entropy(logits: Tensor, target: Tensor, tip_weight: float) -> Tensor:
    """Mean cross-entropy of the windows whose target is known (not NaN), tips weighing more.

    Nothing is selected, only weighed with 0: a graphics card need not wait for how many there are.
    """
    known = ~target.isnan()
    target = target.nan_to_num()
    weight = known * (1 + (tip_weight - 1) * target)
    loss = binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
    return loss / weight.sum()


def offset_error(offsets: Tensor, target: Tensor) -> Tensor:
    """Mean smooth L1 error, px, of the offsets whose target is known; marks err by some px."""
    known = ~target.isnan()
    error = smooth_l1_loss(offsets, target.nan_to_num(), reduction="none") * known
    return error.sum() / known.sum().clamp(min=1)


def fit_once(
    module: pytorch_lightning.LightningModule,
    samples: DataLoader[Any],
    accelerator: str = "auto",
    precision: str = "32-true",
) -> None:
    """Train with all samples once, with a progress bar, and keep nothing but what is learnt."""
    trainer = trainer_of(
        accelerator=accelerator,
        devices=1,
        precision=precision_of(precision, accelerator),
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    fit(trainer, module, samples)


def trainer_of(**settings: Any) -> pytorch_lightning.Trainer:
    """Lightning's trainer, with a bar on a terminal, and elsewhere a line for each round.

    Raises
    ------
    InputError
        This machine, or Lightning, does not have what the settings ask for.
    """
    shown = sys.stderr is not None and sys.stderr.isatty()
    callbacks = [*settings.pop("callbacks", ()), TQDMProgressBar() if shown else _Line()]
    try:
        return pytorch_lightning.Trainer(**settings, callbacks=callbacks, enable_progress_bar=shown)
    except (MisconfigurationException, TypeError, ValueError) as error:
        asked = " ".join(
            f"trainer.{name}={settings[name]}"
            for name in ("accelerator", "devices", "num_nodes", "precision")
            if name in settings
        )
        raise InputError(f"{asked}: {str(error).splitlines()[0]}") from error


class _Line(pytorch_lightning.Callback):
    """Says after each round how it went; its loss is the mean of all batches."""

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin to collect."""
        self._losses: list[Tensor] = []

    def on_train_batch_end(self, _trainer: Any, _module: Any, outputs: Any, *_: Any) -> None:
        """Keep a batch's loss where it is: to ask a card takes a wait."""
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(
        self, trainer: pytorch_lightning.Trainer, pl_module: pytorch_lightning.LightningModule
    ) -> None:
        """Print a line to stderr."""
        if not trainer.is_global_zero:
            return
        figures = dict(trainer.progress_bar_metrics)
        figures["loss"] = torch.stack(self._losses).mean().item()
        done = f"round {trainer.current_epoch + 1} of {trainer.max_epochs}"
        said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"{done}: {said}", file=sys.stderr, flush=True)


def fit(trainer: pytorch_lightning.Trainer, *samples: Any, **options: Any) -> None:
    """Lightning's fit, after which Ctrl-C stays Ctrl-C: by itself it ends the process with 1."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(*samples, **options)
    except SystemExit as error:
        signal.signal(signal.SIGINT, handler)  # it ignores the signal from then on
        raise KeyboardInterrupt from error


def one_cycle(module: pytorch_lightning.LightningModule, rate: float, decay: float) -> Any:
    """AdamW with one rise and fall of the learning rate, for Lightning."""
    optimizer = torch.optim.AdamW(module.parameters(), rate, weight_decay=decay)
    steps = int(module.trainer.estimated_stepping_batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.15
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
