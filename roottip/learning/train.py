"""The whole training: rounds of samples, mining between them, and what `finish` makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
)
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from roottip.errors import InputError, check_number
from roottip.learning.export import layer_widths, restore
from roottip.learning.finish import Parts, finish
from roottip.learning.module import TipModule, fit, precision_of, trainer_of
from roottip.learning.patches import R1, R2, window_patches
from roottip.learning.plates import Plate, hold_out, read_plates, summary
from roottip.learning.recipe import FULL, Recipe
from roottip.learning.rounds import DevScore, Rounds
from roottip.places import check_folder
from roottip.scorers.cnn import card_of

SOME = 512
"""Windows that are enough to know the statistics inside the net."""

HELD_OUT = 0.2
"""Share of each dataset's groups that is held out, where that holds `ENOUGH` tips."""

ENOUGH = 200
"""Tips on held-out plates that choose a round and a threshold. Fewer are one plate's chance, and
worth more as something to learn from: the images trained with, which a net barely knows better
than others, then choose the threshold."""


def train(
    data: Sequence[Path],
    output: Path,
    recipe: Recipe = FULL,
    *,
    dev: float | None = None,
    threshold: float | None = None,
    start: Path | None = None,
    resume: bool = False,
    seed: int = 0,
    shares: Sequence[float] | None = None,
    root_width: float | None = None,
) -> Path | None:
    """Train a net on dataset folders and write it as ``model.onnx`` with its card.

    Where there are enough images, some groups of the train part are held out: they choose the
    checkpoint and the threshold. Images of other splits are never read.

    Parameters
    ----------
    data : sequence of path
        Dataset folders; of those with a column ``split`` the images with ``train``.
    output : path
        A folder for ``checkpoints/``, ``logs/`` (CSV and TensorBoard), and the best net as
        ``model.ckpt``, ``model.onnx``, its quantised twin ``model.int8.onnx``, and their cards;
        these appear at the end, together.
    recipe : Recipe
    dev : float, optional
        Share of each dataset's groups to hold out. Where they have fewer than `ENOUGH` tips, the
        threshold is chosen on all images of the train part together. With 0 it is too, and the
        last net is taken. Where not given it is `HELD_OUT` if that has `ENOUGH` tips, else 0.
    threshold : float, optional
        In place of the one that would be chosen.
    start : path, optional
        ``model.onnx``, with its card, of the net that training starts from, to fit it to more
        images. The threshold is then the nearest to that net's that does about as well as the best.
    resume : bool
        Go on from the last checkpoint in `output`.
    seed : int
        The same seed on the same machine and number of workers gives the same net.
    shares : sequence of float, optional
        How often samples come from each dataset, relative to the others, and what each weighs where
        the threshold is chosen; equally often where not given, however many images each has, and
        every tip the same.
    root_width : float, optional
        Typical root width in px of all images. Estimated from each where not given.

    Returns
    -------
    Path or None
        ``model.onnx``; None in processes that only helped the first.

    Raises
    ------
    InputError
        A dataset is malformed or has too few tips, or `output` holds a training that is not to
        be resumed, or nothing to resume, or one with other settings, a setting is out of its
        range, or with 0 rounds there is no `start`.
    """
    output, folders = Path(output), [Path(folder) for folder in data]
    check_folder(output)
    last = output / "checkpoints" / "last.ckpt"
    if resume != last.exists():
        raise InputError(
            f"there is no {last} to resume from; leave out resume"
            if resume
            else f"{output} holds a training; give resume=true or another output"
        )
    if not resume and (output / "model.onnx").exists():
        raise InputError(f"{output} holds a net, model.onnx; give another output")
    check_number("seed", seed, 0, most=2**32 - 1, whole=True)  # numpy's limit
    if threshold is not None:
        check_number("threshold", threshold, 0, most=1)
    if recipe.rounds == 0 and start is None:
        raise InputError(
            "trainer.rounds=0 learns nothing, so it needs a net to begin with; give start="
        )
    if shares is not None and not (len(shares) == len(data) and min(shares) > 0):
        raise InputError(
            f"shares={list(shares)} must be a number above 0 for each of {len(data)} data"
        )
    shares_of = None if shares is None else dict(zip(map(str, folders), shares, strict=True))
    size = {"features": recipe.features} if start is None else layer_widths(start)
    precision = precision_of(recipe.precision, recipe.accelerator)
    lightning.seed_everything(seed, workers=True, verbose=False)
    parts = _parts(read_plates(folders, root_width=root_width), dev, seed, shares_of)
    module = TipModule(
        **size,
        rate=recipe.rate,
        tip_weight=recipe.tip_weight,
        offset_weight=recipe.offset_weight,
    )
    if start is not None:
        windows = window_patches(parts.training, seed).tensors[0]
        # of all plates alike: the first would be of the first dataset
        chosen = np.random.default_rng(seed).permutation(len(windows))[:SOME]
        restore(module.net, start, windows[chosen])
        module.train()  # Lightning trains in the mode it finds
    rounds_of = Rounds(
        parts.training,
        parts.held_out,
        recipe.steps * recipe.batch,
        recipe.batch,
        recipe.workers,
        seed,
        shares_of,
    )
    best, callbacks = _callbacks(last.parent, parts.held_out, recipe.patience)
    csv = CSVLogger(output, "logs")  # a new version_N at each start: a resumed one keeps the old
    record: dict[str, Any] = {
        "data": summary(parts.training),
        "r1": R1,
        "r2": R2,
        "rounds": recipe.rounds,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "rate": recipe.rate,
        "tip_weight": recipe.tip_weight,
        "offset_weight": recipe.offset_weight,
        "shares": list(shares or [1.0] * len(data)),
        "root_width": root_width,
        "start": None if start is None else card_of(start)["sha256"],
        "seed": seed,
    }
    machines = {"devices": recipe.devices, "num_nodes": recipe.num_nodes}
    # the data last: a width or a share held out changes them too
    begun = record | size | machines | {"dev": dev}
    begun["data"] = begun.pop("data")
    begun = json.loads(json.dumps(begun, default=float))  # as a checkpoint may hold it
    if resume:
        _check_same(begun, last)
    trainer = trainer_of(
        accelerator=recipe.accelerator,
        **machines,
        precision=precision,
        max_epochs=recipe.rounds,
        reload_dataloaders_every_n_epochs=1,
        callbacks=callbacks,
        logger=[csv, TensorBoardLogger(output, "logs", csv.version)],
        log_every_n_steps=min(50, recipe.steps),
        num_sanity_val_steps=0,
        enable_model_summary=False,
        use_distributed_sampler=False,  # `Rounds` deals the samples out
    )
    learnt: Path | None = None
    if recipe.rounds > 0:
        module.hparams["recipe"] = begun  # into every checkpoint
        fit(trainer, module, datamodule=rounds_of, ckpt_path=last if resume else None)
        learnt = last.with_name(Path(best.best_model_path).name)
        module.load_state_dict(_checkpoint(learnt)["state_dict"])
    if not trainer.is_global_zero:
        return None
    record["precision"] = precision
    return finish(module.net, learnt, output, parts, record, recipe, start, threshold, seed)


def _parts(
    plates: list[Plate], dev: float | None, seed: int, shares: Mapping[str, float] | None
) -> Parts:
    """Decide what is held out, as `train` says of `dev`."""
    training, held_out = hold_out(plates, HELD_OUT if dev is None else dev, seed)
    enough = sum(len(plate.tips) for plate in held_out) >= ENOUGH
    if dev is None and not enough:
        training, held_out = plates, []
    elif dev and not any(len(plate.tips) for plate in held_out):
        raise InputError(
            f"dev={dev} holds out no group with a tip to choose the threshold on; give more "
            "groups, a larger dev, or dev=0"
        )
    return Parts(plates, training, held_out, enough, shares)


def _callbacks(
    folder: Path, held_out: Sequence[Plate], patience: int
) -> tuple[ModelCheckpoint, list[Callback]]:
    """What Lightning calls in a training, and before it that which keeps the best round.

    That one comes first: what is written after it holds what it knows, of the same round too.
    """
    rates = LearningRateMonitor("epoch")
    if not held_out:
        best = ModelCheckpoint(folder, "{epoch}", save_last=True)
        return best, [best, rates]
    best = ModelCheckpoint(folder, "{epoch}", monitor="dev_f1", mode="max")
    # of every round: what watches a score writes `last` of better ones only
    every = ModelCheckpoint(folder, "last", enable_version_counter=False)
    stopping = EarlyStopping("dev_f1", mode="max", patience=patience)
    return best, [best, rates, every, DevScore(held_out), stopping]


def _check_same(recipe: dict[str, Any], last: Path) -> None:
    """Refuse to resume a training with other settings, or one that has lost its best round."""
    checkpoint = _checkpoint(last)
    for callback in checkpoint.get("callbacks", {}).values():
        if callback.get("monitor") and Path(callback["dirpath"]).resolve() != last.parent.resolve():
            raise InputError(
                f"{last} was moved here from {callback['dirpath']}, where its best round is looked "
                "for; move it back to resume it"
            )
    begun = checkpoint.get("hyper_parameters", {}).get("recipe", recipe)
    for key, value in recipe.items():
        if begun.get(key) != value:
            own = key in ("dev", "root_width", "seed", "shares", "start")
            name = f"{key if own else f'trainer.{key}'}={begun.get(key)}, not {value}"
            raise InputError(
                f"{last} is of a training with {'other images' if key == 'data' else name}; resume "
                "it as it was begun, or begin another with start= its model.onnx"
            )


def _checkpoint(checkpoint: Path) -> dict[str, Any]:
    """What is in a checkpoint, with weights and schedule; nothing in it is ever run."""
    try:
        read = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if not {"state_dict", "lr_schedulers"} <= read.keys():
            raise ValueError("it has no weights or no schedule")
        return dict(read)
    # a damaged file fails in torch, zipfile or pickle, whose exceptions share no base
    except Exception as error:
        raise InputError(
            f"{checkpoint} is damaged, or no checkpoint of roottip "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
            "train anew into another output"
        ) from error
