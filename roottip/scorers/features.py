"""Traditional machine learning: features made by hand, and a small fully connected net.

`roottip.scorers.descriptors` computes the features, `roottip.learning.features` trains the net;
here it is a few matrix products. The weights are plain arrays, ``NAME.npz``, with their card
``NAME.json`` beside them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from roottip import windows
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers import card as cards
from roottip.scorers.descriptors import COUNT, DEFINITION, STRIDE, WINDOW, describe, on_ridge
from roottip.windows import Centres, Image, Scores

Floats = NDArray[np.floating[Any]]

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "features.npz"
"""Made by ``scripts/train_features.py``; its card says from what."""

CARD_VERSION = 1
"""Changes when a card's keys change their meaning."""

_TILE = 512
"""px of a tile's side: its maps stay in the processor's cache, and only tiles with windows are
computed."""


class Net:
    """A fully connected net: layers of a matrix product and a bias, all but the last with a ReLU.

    Parameters
    ----------
    layers : sequence of ((inputs, outputs), (outputs,)) float
        Weights and biases; the last layer has one output.
    """

    def __init__(self, layers: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> None:
        self.layers = [(w.astype(np.float32), b.astype(np.float32)) for w, b in layers]

    def __call__(self, features: Floats) -> Scores:
        """(N, inputs) features to (N,) scores in [0, 1]."""
        value = features
        for i, (weight, bias) in enumerate(self.layers):
            value = (np.maximum(value, 0) if i else value) @ weight + bias
        scores: Scores = expit(value[:, 0])
        return scores


class FeaturesScorer:
    """Scores windows with a net on their features.

    Parameters
    ----------
    net : Net
    card : mapping, optional
        What the card of the net's weights says; a net in training has none.
    """

    def __init__(self, net: Net, card: Mapping[str, Any] | None = None) -> None:
        self.net, self.card = net, dict(card or {})

    def __call__(self, image: Image, centres: Centres, /) -> Scores:
        """Score windows.

        Parameters
        ----------
        image : (H, W) or (H, W, 3) uint8
            RGB, resized so that roots are `scale.REFERENCE_WIDTH` px wide.
        centres : (N, 2) int32
            ``x, y`` of the windows, on any grid or none.

        Returns
        -------
        (N,) float32
            In [0, 1].
        """
        scores = np.zeros(len(centres), dtype=np.float32)
        promising = np.flatnonzero(on_ridge(image, centres))
        image = windows.in_colour(image)
        half = WINDOW // 2
        padded = windows.pad(image, WINDOW)
        for tile in windows.tiles(centres[promising], _TILE):
            members = promising[tile]
            here = centres[members]
            left, top = here.min(axis=0)
            right, bottom = here.max(axis=0) + WINDOW
            features = describe(padded[top:bottom, left:right], here - (left, top) + half)
            scores[members] = self.net(features)
        return scores


def load(weights: Path) -> tuple[Net, dict[str, Any]]:
    """Read a net and its card.

    Raises
    ------
    InputError
        One of the two is missing or damaged, they do not belong together, or the net was
        trained on features that this version computes otherwise.
    """
    card = cards.read_card(weights, CARD_VERSION, {"features": dict})
    if card["features"] != DEFINITION or (card["window"], card["stride"]) != (WINDOW, STRIDE):
        raise InputError(
            f"{weights} was trained on features that this roottip computes otherwise; "
            "train it again with scripts/train_features.py"
        )
    content = cards.read_weights(weights, card)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            layers = [
                (arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(len(arrays.files) // 2)
            ]
        sides = [COUNT, *(weight.shape[1] for weight, _ in layers)]
        fits = sides[-1] == 1 and all(
            weight.shape == (rows, columns) and bias.shape == (columns,)
            for (weight, bias), (rows, columns) in zip(layers, pairwise(sides), strict=True)
        )
    # what numpy raises for a foreign file depends on its first bytes
    except (ValueError, KeyError, IndexError, OSError, EOFError, BadZipFile) as error:
        raise InputError(f"{weights} holds no net of roottip ({error})") from error
    if not fits:
        raise InputError(f"{weights} is a net of {sides} units, which is none for {COUNT} features")
    return Net(layers), card


def save(net: Net, weights: Path, card: Mapping[str, Any]) -> None:
    """Write a net as plain arrays, and its card beside it.

    Parameters
    ----------
    net : Net
    weights : Path
        ``NAME.npz``; the card becomes ``NAME.json``.
    card : mapping
        ``threshold``, ``radius`` and what is to be known about the training.
    """
    arrays: dict[str, Any] = {}
    for i, (weight, bias) in enumerate(net.layers):
        arrays[f"weight{i}"], arrays[f"bias{i}"] = weight, bias
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    full = {
        "card_version": CARD_VERSION,
        "window": WINDOW,
        "stride": STRIDE,
        "root_width": REFERENCE_WIDTH,
        **card,
        "features": DEFINITION,
        "parameters": sum(array.size for array in arrays.values()),
    }
    cards.write(weights, file.getvalue(), full)


def detector(
    weights: str | Path | None = None,
    threshold: float | None = None,
    radius: float | None = None,
    root_width: float | None = None,
) -> WindowDetector:
    """Make the detector.

    Parameters
    ----------
    weights : path, optional
        ``NAME.npz`` with its card beside it; the shipped net where not given.
    threshold : float, optional
        Least score of a found tip; the card's where not given.
    radius : float, optional
        Of windows that see tips closer together than this, in px where roots are 5 px wide, the
        best is kept; the card's where not given.
    root_width : float, optional
        Typical width of the roots in px of the images; estimated where not given.
    """
    net, card = load(SHIPPED if weights is None else Path(weights))
    return cards.detector_of(FeaturesScorer(net, card), card, threshold, radius, root_width)
