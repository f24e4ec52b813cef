"""A small net that says where a trained one need not look, distilled from it.

It learns the large net's scores, window for window, on samples such as training makes of the
same plates (Hinton et al. 2015, https://arxiv.org/abs/1503.02531). What it cannot tell apart,
roots from hairs, it need not: the large net has the last word on all that it lets through. It
computes in 8 bits, and its threshold is chosen so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from roottip import __version__, windows
from roottip.learning.choice import TOLERANCE
from roottip.learning.export import export
from roottip.learning.mining import RADIUS, some
from roottip.learning.module import Learner, cross_entropy, fit_once, logits_of
from roottip.learning.net import STRIDE, GlanceNet
from roottip.learning.patches import Samples
from roottip.learning.plates import Plate, distance
from roottip.learning.quantise import quantise_file, typical
from roottip.scale import rescaled, resize
from roottip.scorers import card as cards
from roottip.scorers.card import read_weights
from roottip.scorers.cnn import CnnScorer, card_of, glance_of, net_of

BATCH, RATE, DECAY, TIP_WEIGHT = 64, 6e-3, 1e-2, 4.0

LOST = 0.005
"""Share of the tips that the net sees on its own plates that its glance may pass over."""

FAINTER = 0.7
"""The net sees a tip where a look scores this share of the threshold: another look, or the review,
may think more of it."""


class Student(Learner):
    """Learns another net's scores in place of the labels."""

    def __init__(self, teacher: CnnScorer) -> None:
        super().__init__(GlanceNet(), RATE, DECAY, TIP_WEIGHT)
        self._teacher = teacher

    def _loss(self, batch: Sequence[Tensor]) -> Tensor:
        image = batch[0]
        scores = self._teacher.slide(np.ascontiguousarray(image.cpu().permute(0, 2, 3, 1)))
        target = torch.from_numpy(scores).to(image.device)
        # the windows' middles are the same
        edge = (self._teacher.card["window"] - self.net.window) // 2
        seen = image[..., edge : image.shape[-2] - edge, edge : image.shape[-1] - edge]
        return cross_entropy(logits_of(self.net, seen), target, self.tip_weight)


def distil(weights: Path, plates: Sequence[Plate], steps: int, seed: int = 0) -> Path:
    """Make a net's glance.

    Parameters
    ----------
    weights : Path
        ``NAME.onnx``, its card beside it.
    plates : sequence of Plate
        Those that it was trained on.
    steps : int
        Of the training, `BATCH` samples each.
    seed : int

    Returns
    -------
    Path
        ``NAME.glance.onnx``, its card beside it. The card's ``threshold`` is what all but
        `LOST` of the tips score in the glance that the net sees on the plates.
    """
    lightning.seed_everything(seed, workers=True, verbose=False)
    # its twin, where it has one: as good a teacher in a third of the time
    student = Student(net_of(weights))
    samples = DataLoader(Samples(plates, steps * BATCH, seed), BATCH, num_workers=1)
    fit_once(student, samples, accelerator="cpu")  # where the teacher is
    path = glance_of(weights)
    # lets all through until `_fit` says
    export(student.net, path, {"threshold": 0.0, "radius": RADIUS, "steps": steps, "seed": seed})
    quantise_file(path, typical(plates, seed))
    return _fit(path, weights, plates)


def adopt(start: Path, weights: Path, plates: Sequence[Plate]) -> Path:
    """Make the glance of the net that another one was trained from its glance too.

    Only the threshold is made anew; of few tips it is no higher than it was.

    Parameters
    ----------
    start, weights : Path
        ``NAME.onnx`` of the net that has a glance and of the one that was trained from it.
    plates : sequence of Plate
        Those that `weights` was trained on.

    Returns
    -------
    Path
        As `distil` gives it.
    """
    glance = glance_of(start)
    return _fit(glance, weights, plates, card_of(glance)["threshold"])


def _fit(start: Path, weights: Path, plates: Sequence[Plate], known: float | None = None) -> Path:
    """Write a glance as that of `weights`, with the score from which on it lets windows through.

    Of few tips that is no higher than the one `known`, of the net that it was made for.
    """
    net, glance = net_of(weights), CnnScorer(start)
    of_hits, of_all = [], []
    looks = [(plates[i], size) for i in some(plates, 0) for size in net.card.get("sizes", [1.0])]
    for plate, size in tqdm(looks, desc="glancing", leave=False, disable=None):
        image = resize(plate.image, size)
        centres = windows.grid(image.shape, STRIDE)
        (scores, places), seen = net.look(image, centres), glance(image, centres)
        likely = np.flatnonzero(scores >= FAINTER * net.card["threshold"])
        kept = likely[windows.suppress(places[likely], scores[likely], net.card["radius"])]
        hits = kept[distance(rescaled(places[kept], 1 / size), plate.tips) <= TOLERANCE]
        of_hits.append(seen[hits])
        of_all.append(seen)
    needed, every = np.concatenate(of_hits), np.concatenate(of_all)
    # of no hit nothing is known: look everywhere
    least = float(np.quantile(needed, LOST, method="lower")) if len(needed) else 0.0
    origin = (
        f"all but {LOST:.1%} of {len(needed)} tips that score {FAINTER:g} of the "
        "net's threshold, the same in each look counted again, on the train part"
    )
    # of so few it is the lowest of all, and of others some score less
    if known is not None and len(needed) * LOST <= 1 and known < least:
        least = known
        origin = f"the net that it was made for; lets through more than {origin}"
    measured = {
        "threshold": least,
        "threshold_from": origin,
        "share_of_windows": round(float((every >= least).mean()), 4),
        "glance_of": cards.net_sha256(net.card),
        "roottip": __version__,
    }
    path = glance_of(weights)
    cards.write(path, read_weights(start, glance.card), {**glance.card, **measured})
    return path
