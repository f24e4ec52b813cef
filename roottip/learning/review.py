"""A net that looks at each find again, made of the one that found it.

It is that net once more, learnt on with squares in which roots are finer than in a window, so that
more of them is in view, and only on what the first one took for tips: what is wrong there is hard.
Roots that nobody knows are where it matters most, so plates that the first net has not learnt
from should be among those that it is taught on; and each is shown in other light, inverted and cut
too (`variants`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray
from scipy.special import logit
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from roottip import __version__
from roottip.errors import InputError
from roottip.learning.choice import TOLERANCE
from roottip.learning.export import export, layer_widths, restore
from roottip.learning.mining import APART
from roottip.learning.module import Learner, cross_entropy, fit_once
from roottip.learning.net import WINDOW, ReviewNet, TipNet
from roottip.learning.patches import relit
from roottip.learning.plates import Plate, distance
from roottip.learning.quantise import quantise_file
from roottip.learning.variants import variants
from roottip.matching import match
from roottip.scale import REFERENCE_WIDTH, rescaled, resize
from roottip.scorers import card as cards
from roottip.scorers import cnn
from roottip.scorers.review import CARD_VERSION, review_of
from roottip.surroundings import WORTH
from roottip.windows import BORDER, Image

SIZES = (0.71, 0.35)
"""How large roots are in the squares around a find, times `REFERENCE_WIDTH`."""

BATCH, RATE, DECAY = 64, 5e-4, 2e-2

PASSES = 10
"""Each find is looked at no more often than this on average: few photographs are soon known by
heart, and then say nothing about others."""

TRUST = 0.7
"""What a review says is multiplied by this: of finds that it never saw it says too much."""

ZOOM = 1.2
"""Squares are resized by a factor between this and its inverse."""

TYPICAL = 160
"""Finds whose squares say what numbers there are inside the net."""

_CERTAIN = 1e-4
"""A score's logit is taken no farther than this from 0 and 1."""


class Finds(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """What a detector took for tips, and what it is.

    Item ``i`` depends on the seed and ``i`` only.

    Parameters
    ----------
    plates : iterable of Plate
        Looked at one by one; copies in the sizes of `SIZES` are kept.
    weights : path
        ``NAME.onnx`` of the net whose finds these are.
    length : int
        How many items.
    seed : int

    Items
    -----
    squares : (S, 3, WINDOW, WINDOW) uint8
        Around a find, all turned, mirrored, resized and coloured alike.
    logit : () float32
        Of its score.
    label : () float32
        1 a tip, 0 none.

    Raises
    ------
    InputError
        There are no tips, or nothing else, among the finds.
    """

    def __init__(self, plates: Iterable[Plate], weights: Path, length: int, seed: int) -> None:
        self._length, self._seed = length, seed
        detector = cnn.detector(
            weights, threshold=WORTH, root_width=REFERENCE_WIDTH, surest=0.0, review=False
        )
        self._images: list[list[Image]] = []
        self._ratios: list[list[NDArray[np.float64]]] = []
        plate_of, points, scores, labels, datasets = [], [], [], [], []
        for number, plate in enumerate(plates):
            resized = [resize(plate.image, size) for size in SIZES]
            sides = np.array(plate.image.shape[1::-1])
            self._images.append(resized)
            self._ratios.append([np.array(image.shape[1::-1]) / sides for image in resized])
            found, score = detector.find(plate.image)
            hit = np.zeros(len(found), dtype=bool)
            hit[match(found, plate.tips, TOLERANCE)[0]] = True
            known = hit | (distance(found, plate.ignored) > TOLERANCE)
            count = int(known.sum())
            plate_of += [number] * count
            datasets += [plate.dataset] * count
            points.append(found[known])
            scores.append(score[known])
            labels.append(hit[known])
        self._plate_of, self._points = np.array(plate_of, np.int64), np.concatenate(points)
        self._labels = np.concatenate(labels).astype(np.float32)
        if len(np.unique(self._labels)) < 2:
            raise InputError(
                "what the net finds on these plates is all tips, or none, so a review has nothing "
                "to tell apart; train without review_steps"
            )
        certain = np.clip(np.concatenate(scores), _CERTAIN, 1 - _CERTAIN)
        self._logits = logit(certain).astype(np.float32)
        self._cumulative = self._chances(datasets).cumsum()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        if not 0 <= i < self._length:
            raise IndexError(i)
        rng = np.random.default_rng((self._seed, i))
        drawn = rng.random() * self._cumulative[-1]
        find = int(np.searchsorted(self._cumulative, drawn, side="right"))
        squares = self._squares(find, rng)
        planes = torch.from_numpy(np.ascontiguousarray(squares.transpose(0, 3, 1, 2)))
        return planes, torch.tensor(self._logits[find]), torch.tensor(self._labels[find])

    def _chances(self, datasets: Sequence[str]) -> NDArray[np.float64]:
        """How likely each find is to be drawn: datasets alike, but none of its finds too often."""
        counts = Counter(datasets)
        share, left = {}, 1.0
        for number, (name, count) in enumerate(sorted(counts.items(), key=lambda item: item[1])):
            share[name] = min(left / (len(counts) - number), PASSES * count / self._length)
            left -= share[name]
        return np.array([share[name] / counts[name] for name in datasets])

    def _squares(self, find: int, rng: np.random.Generator) -> Image:
        """(S, WINDOW, WINDOW, 3), varied as `patches.augment` varies samples."""
        angle, zoom = rng.uniform(0, 2 * math.pi), ZOOM ** rng.uniform(-1, 1)
        turn = zoom * np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        turn = turn * [rng.choice([-1.0, 1.0]), 1.0]
        point = self._points[find] + rng.normal(0, 1, 2)  # finds are some px off
        squares = []
        plate = self._plate_of[find]
        for image, ratio in zip(self._images[plate], self._ratios[plate], strict=True):
            middle = rescaled(point, ratio)
            # the very middle, as `surroundings` cuts, and no pixel's centre
            place = np.column_stack([turn, (WINDOW - 1) / 2 - turn @ middle])
            squares.append(
                cv2.warpAffine(
                    image, place, (WINDOW, WINDOW), flags=cv2.INTER_LINEAR, borderMode=BORDER
                )
            )
        # one picture, or each square would get a light of its own
        sheet = relit(np.concatenate(squares), rng)
        return sheet.reshape(len(SIZES), WINDOW, WINDOW, 3)


class ReviewModule(Learner):
    """Trains a `ReviewNet`."""

    net: ReviewNet

    def __init__(self, net: ReviewNet) -> None:
        super().__init__(net, RATE, DECAY, tip_weight=1.0)

    def _loss(self, batch: Sequence[Tensor]) -> Tensor:
        squares, before, label = batch
        return cross_entropy(before + self.net(squares).float(), label, self.tip_weight)


def teach(
    weights: Path,
    plates: Sequence[Plate],
    steps: int,
    seed: int = 0,
    accelerator: str = "auto",
    precision: str = "auto",
) -> Path:
    """Make a net's review.

    Parameters
    ----------
    weights : Path
        ``NAME.onnx``, its card beside it.
    plates : sequence of Plate
        Best also some that it was not trained on. Variants of all are looked at besides.
    steps : int
        Of the training, `BATCH` finds each.
    seed : int
    accelerator, precision : str
        As in a `Recipe`.

    Returns
    -------
    Path
        ``NAME.review.onnx``, in whole numbers of 8 bits, its card beside it.

    Raises
    ------
    InputError
        The net finds nothing to tell apart.
    """
    lightning.seed_everything(seed, workers=True, verbose=False)
    looked_at = chain(plates, variants(plates, seed))
    finds = Finds(
        tqdm(looked_at, "finding", leave=False, disable=None), weights, steps * BATCH, seed
    )
    squares = torch.stack([finds[i][0] for i in range(min(TYPICAL, len(finds)))])
    net = TipNet(**layer_widths(weights))
    restore(net, weights, squares.flatten(0, 1))
    module = ReviewModule(ReviewNet(net, len(SIZES))).train()
    fit_once(module, DataLoader(finds, BATCH, num_workers=1), accelerator, precision)
    path = review_of(weights)
    made = {
        "card_version": CARD_VERSION,
        "threshold": 0.0,
        "radius": APART,
        "sizes": list(SIZES),
        "review_of": cnn.card_of(weights)["sha256"],
        "plates": len(plates),
        "steps": steps,
        "seed": seed,
        "roottip": __version__,
    }
    answer = module.net.head[-1]
    assert isinstance(answer, nn.Linear)
    with torch.no_grad():
        answer.weight.mul_(TRUST)
        answer.bias.mul_(TRUST)
    export(module.net, path, made)
    quantise_file(path, list(squares.permute(0, 1, 3, 4, 2).contiguous().numpy()))
    return path


def adopt(start: Path, weights: Path) -> Path:
    """Make the review of the net that another one was trained from its review too."""
    path = review_of(weights)
    card = cards.read_card(review_of(start), CARD_VERSION)
    content = cards.read_weights(review_of(start), card)
    net = cnn.card_of(weights)["sha256"]
    cards.write(path, content, {**card, "review_of": net})
    return path
