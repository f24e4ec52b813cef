"""Training of the `features` detector: the samples of the CNN, a small net of scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from roottip import __version__
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.learning.choice import best, curves, scan
from roottip.learning.mining import LEAST, RADIUS, false_alarms, finds_of
from roottip.learning.patches import MIDDLES, R1, R2, SIDE, Samples
from roottip.learning.plates import Plate, hold_out, read_plates, summary
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers.descriptors import COUNT, GROUPS, STRIDE, describe
from roottip.scorers.features import FeaturesScorer, Net, save

Floats = NDArray[np.float32]

HIDDEN = (64,)
"""Units of the hidden layers; more overfit."""

SHARE = 0.002
"""About what share of a scan's windows is on a tip; of the training windows it is a sixth."""

NEGATIVES = 8
"""Windows without a tip taken from each sample; they overlap, so more say little new."""

ROW = 5
"""Samples side by side in the image that they are described in."""


def fit(
    plates: Sequence[Plate],
    rounds: int = 4,
    length: int = 6000,
    epochs: int = 10,
    alpha: float = 0.1,
    hidden: Sequence[int] = HIDDEN,
    seed: int = 0,
    without: Sequence[str] = (),
) -> Net:
    """Train a net, with rounds of hard negatives.

    Parameters
    ----------
    plates : sequence of Plate
    rounds : int
        From the second on the plates are scanned for false alarms of the net so far; the
        samples of all rounds add up.
    length : int
        Samples a round.
    epochs : int
        Passes over all windows, each time from new weights.
    alpha : float
        Weight decay.
    hidden : sequence of int
        Units of the hidden layers.
    seed : int
        The same seed gives the same net.
    without : sequence of str
        Groups of features that the net is not to see, to learn what they are good for.
    """
    seen = np.repeat([group not in without for group in GROUPS], list(GROUPS.values()))
    features, labels = np.empty((0, COUNT), np.float32), np.empty(0, np.float32)
    net: Net | None = None
    for number in range(rounds):
        mined = (
            None
            if net is None
            else false_alarms(finds_of(detector_of(net)), plates, (seed, number))
        )
        more = windows_of(Samples(plates, length, seed, number, mined), (seed, number))
        features = np.concatenate([features, more[0] * seen])
        labels = np.concatenate([labels, more[1]])
        net = _fit_once(features, labels, epochs, alpha, hidden, seed)
    assert net is not None
    net.layers[0][0][~seen] = 0
    return net


def detector_of(net: Net) -> WindowDetector:
    """The detector that the net would be if it shipped now, on plates (no resizing)."""
    return WindowDetector(FeaturesScorer(net), STRIDE, LEAST, RADIUS, root_width=REFERENCE_WIDTH)


def windows_of(samples: Samples, seed: Sequence[int]) -> tuple[Floats, Floats]:
    """Features and labels of all windows with a tip and of some without, of each sample.

    Returns
    -------
    features : (N, COUNT) float32
    labels : (N,) float32
        1 a tip, 0 none.
    """
    rng = np.random.default_rng(seed)
    features, labels = [], []
    starts = range(0, len(samples), ROW * ROW)
    for start in tqdm(starts, desc="describing samples", leave=False, disable=None):
        members = range(start, min(start + ROW * ROW, len(samples)))
        # no window looks beyond its sample, so samples can be described side by side
        sheet = np.zeros((ROW * SIDE, ROW * SIDE, 3), np.uint8)
        centres = []
        for i in members:
            image, label, *_ = samples[i]
            corner = SIDE * np.array([i % ROW, (i - start) // ROW])
            sheet[corner[1] : corner[1] + SIDE, corner[0] : corner[0] + SIDE] = (
                image.numpy().transpose(1, 2, 0)
            )
            flat = label.numpy().ravel()
            tips, others = np.flatnonzero(flat == 1), np.flatnonzero(flat == 0)
            chosen = np.concatenate([tips, rng.permutation(others)[:NEGATIVES]])
            centres.append(corner + MIDDLES[chosen].astype(np.int32))
            labels.append(flat[chosen])
        features.append(describe(sheet, np.concatenate(centres).astype(np.int32)))
    return np.concatenate(features), np.concatenate(labels)


def _fit_once(
    features: Floats, labels: Floats, epochs: int, alpha: float, hidden: Sequence[int], seed: int
) -> Net:
    scaler = StandardScaler().fit(features)
    model = MLPClassifier(
        tuple(hidden),
        alpha=alpha,
        batch_size=min(256, len(labels)),
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # so many passes and no more are meant
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaler.transform(features), labels)
    net = net_of(scaler, model)
    # Bayes: the same net for windows of which fewer are tips; otherwise all scores of a scan
    # crowd below 1, where thresholds are too coarse to choose from
    trained = labels.mean()
    net.layers[-1][1][:] += np.log(SHARE / (1 - SHARE)) - np.log(trained / (1 - trained))
    return net


def net_of(scaler: StandardScaler, model: MLPClassifier) -> Net:
    """scikit-learn's scaler and classifier as one net; the scaling goes into the first layer."""
    layers: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (weight.astype(np.float64), bias.astype(np.float64))
        for weight, bias in zip(model.coefs_, model.intercepts_, strict=True)
    ]
    weight, bias = layers[0]
    scaled = weight / scaler.scale_[:, None]
    layers[0] = (scaled, bias - scaler.mean_ @ scaled)
    return Net(layers)


def train(
    data: Sequence[Path], output: Path, dev: float = 0.25, seed: int = 0, **settings: Any
) -> Path:
    """Train the detector on dataset folders and write it with its card.

    Some groups of the train part are held out to choose the threshold; then the net is trained
    once more, on all. Images of other splits are never read.

    Parameters
    ----------
    data : sequence of path
        Dataset folders; each has the same share of the samples.
    output : path
        ``NAME.npz``; the card becomes ``NAME.json``.
    dev : float
        Share of each dataset's groups to hold out.
    seed : int
        The same seed gives the same net.
    **settings
        Of `fit`.

    Raises
    ------
    InputError
        A dataset is malformed or has too few tips, or `dev` holds out none of them.
    """
    plates = read_plates([Path(folder) for folder in data])
    training, held_out = hold_out(plates, dev, seed)
    if not any(len(plate.tips) for plate in held_out):
        raise InputError(
            f"dev={dev} holds out no group with a tip to choose the threshold on; give more "
            "groups or a larger dev"
        )
    detector = detector_of(fit(training, seed=seed, **settings))
    threshold, f1 = best(curves(scan(detector, held_out), held_out))
    held_out_summary = {"plates": len(held_out), "threshold": threshold, "f1": round(f1, 4)}
    card = {
        "threshold": threshold,
        "threshold_from": "held-out groups of train",
        "radius": RADIUS,
        "roottip": __version__,
        "training": {
            "data": summary(plates),
            "r1": R1,
            "r2": R2,
            "seed": seed,
            **settings,
            "dev": held_out_summary,
        },
    }
    save(fit(plates, seed=seed, **settings), output, card)
    return output
