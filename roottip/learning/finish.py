"""From a net that has learnt to the files that detect: scores calibrated, settings chosen."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roottip import __version__
from roottip.learning import glance, review
from roottip.learning.calibration import calibrate
from roottip.learning.choice import choose
from roottip.learning.export import export
from roottip.learning.mining import APART, LEAST, SIZES, some
from roottip.learning.net import TipNet
from roottip.learning.plates import Plate
from roottip.learning.quantise import write_int8
from roottip.learning.recipe import Recipe
from roottip.scorers import card as cards
from roottip.scorers.cnn import card_of, glance_of, int8_of
from roottip.scorers.review import review_of

JUDGES = 150
"""Plates of each dataset, drawn at random, by which scores are calibrated and settings chosen."""


@dataclass(frozen=True)
class Parts:
    """The plates of a training, by what they are for.

    Attributes
    ----------
    plates, training, held_out : list of Plate
        All; those that the net learns from; those that choose a round.
    enough : bool
        The held-out ones have tips enough to choose the settings too; else all do.
    shares : mapping of str to float, optional
        How much each dataset counts, by its name. Else all count the same where scores are
        calibrated, and every tip where settings are chosen.
    """

    plates: list[Plate]
    training: list[Plate]
    held_out: list[Plate]
    enough: bool
    shares: Mapping[str, float] | None


def finish(
    net: TipNet,
    learnt: Path | None,
    output: Path,
    parts: Parts,
    record: Mapping[str, Any],
    recipe: Recipe,
    start: Path | None,
    threshold: float | None,
    seed: int,
) -> Path:
    """Write ``model.onnx``, and all that belongs to it, into a training's folder.

    All of it appears at the end: what a kill leaves before is no net that could be used.

    Parameters
    ----------
    net : TipNet
    learnt : Path, optional
        The checkpoint whose net it is.
    output : Path
    parts : Parts
    record : mapping
        How it was trained, as the card says it.
    recipe, start, threshold, seed
        As `train.train` takes them.

    Returns
    -------
    Path
        ``model.onnx``.
    """
    part = output / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    path = part / "model.onnx"
    judges = parts.held_out if parts.enough else parts.plates
    judges = [judges[number] for number in some(judges, seed, JUDGES)]
    card: dict[str, Any] = {
        "threshold": LEAST if threshold is None else float(threshold),
        "radius": APART,
        "sizes": list(SIZES),
        "surest": 0.0,
        "roottip": __version__,
        "training": dict(record),
        "calibration": calibrate(net, judges, parts.shares),
    }
    if learnt is not None:
        shutil.copyfile(learnt, path.with_suffix(".ckpt"))
    export(net, path, card)
    write_int8(path, parts.plates, seed)
    if recipe.review_steps > 0:
        taught = _review_plates(parts.training, judges)
        review.teach(path, taught, recipe.review_steps, seed, recipe.accelerator, recipe.precision)
    elif start is not None and review_of(start).exists():
        review.adopt(start, path)
    if threshold is None or parts.held_out or review_of(path).exists():
        known = None if start is None else card_of(start)["threshold"]
        handed_on = recipe.review_steps == 0
        choice = choose(path, judges, parts.shares, known, handed_on)
        card["surest"] = choice.surest
        card["training"]["dev"] = {
            "plates": len(parts.held_out),
            "threshold": choice.threshold,
            "f1": round(choice.f1, 4),
        }
        if threshold is None:
            card["threshold"] = choice.threshold
            origin = "held-out groups of train" if parts.enough else "train"
            card["threshold_from"] = origin if start is None else f"{origin}, near the start's"
        for weights in (path, int8_of(path)):
            cards.amend(weights, **card)
        if review_of(path).exists() and not choice.review:
            said = "of the net begun with does harm" if handed_on else "taught does not help"
            print(f"the review {said} on these images, and is left out", file=sys.stderr)
            for suffix in (".onnx", ".json"):
                review_of(path).with_suffix(suffix).unlink(missing_ok=True)
    if start is not None and glance_of(start).exists():
        glance.adopt(start, path, parts.plates)
    elif recipe.glance_steps > 0:
        glance.distil(path, parts.plates, recipe.glance_steps, seed)
    return _in_place(path, output)


def _review_plates(training: Sequence[Plate], judges: Sequence[Plate]) -> list[Plate]:
    """Plates to teach a review on: none that judge it, but of datasets that all judge, all."""
    judging = {id(plate) for plate in judges}
    others = [plate for plate in training if id(plate) not in judging]
    free = {plate.dataset for plate in others}
    return [*others, *(plate for plate in training if plate.dataset not in free)]


def _in_place(path: Path, output: Path) -> Path:
    """Move a net with all that belongs to it, itself last; what an earlier one left here goes."""
    for made in (glance_of(path), review_of(path), int8_of(path), path):
        for suffix in (".ckpt", ".json", ".onnx"):
            new, there = made.with_suffix(suffix), output / made.with_suffix(suffix).name
            if new.exists():
                new.replace(there)
            elif suffix != ".ckpt":
                there.unlink(missing_ok=True)
    path.parent.rmdir()
    return output / path.name
