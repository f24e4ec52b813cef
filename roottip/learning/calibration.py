"""Scores that can be taken at their word: of finds that score 0.8, 80 % are tips.

Training counts a tip as several non-tips and sees as many tips as non-tips, an image shows
thousands of times more of the latter, so a net's own score says too much. Platt's scaling puts
that right (Platt 1999, Advances in Large Margin Classifiers, 61): the logit of the score times a
slope, plus a shift, both fitted by maximum likelihood. The order of the scores stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from torch import nn

from roottip.learning.choice import evaluated, scan
from roottip.learning.mining import detector_of
from roottip.learning.net import TipNet
from roottip.learning.plates import Plate, by_dataset
from roottip.matching import FALSE_ALARM, HIT

FEWEST = 10
"""Hits, and false alarms, without which nothing can be fitted."""

_CERTAIN = 1e-6
"""Scores in float32 are rounded to 0 and 1; no logit is taken beyond this far from them."""

Scores = NDArray[np.float64]


def calibrate(
    net: TipNet, plates: Sequence[Plate], shares: Mapping[str, float] | None = None
) -> dict[str, Any] | None:
    """Change a net's last layer so that its scores are the share of tips among such finds.

    What is fitted to finds, whose scores are means of two looks, is laid upon each look: the same
    where the looks agree, or where little is changed.

    Parameters
    ----------
    net : TipNet
        Its last layer's weight and bias are changed in place.
    plates : sequence of Plate
        Where its finds are judged, best those that it did not learn from.
    shares : mapping of str to float, optional
        What the finds of each dataset weigh together, however many they are; the same where
        not given.

    Returns
    -------
    dict or None
        For the card: ``slope``, ``shift``, and how many ``finds`` they come from. None, with the
        net as it was, where there are fewer than `FEWEST` hits or false alarms, or where a higher
        score makes a tip no likelier.
    """
    detector = detector_of(net)
    parts = []
    for dataset, here in by_dataset(plates).items():
        own = evaluated(scan(detector, here), here).matches
        own = own[own["outcome"].isin([HIT, FALSE_ALARM])]
        share = 1.0 if shares is None else shares[dataset]
        parts.append(own.assign(weight=share / max(1, len(own))))
    found = pd.concat(parts)
    scores, weight = (found[name].to_numpy(dtype=np.float64) for name in ("score", "weight"))
    hits = (found["outcome"] == HIT).to_numpy()
    if min(hits.sum(), (~hits).sum()) < FEWEST:
        return None
    slope, shift = platt(scores, hits, weight)
    if not slope > 0:
        return None
    last = net.layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        # the other outputs are offsets
        last.weight[0] *= slope
        last.bias[0] = last.bias[0] * slope + shift
    return {"slope": round(slope, 4), "shift": round(shift, 4), "finds": len(hits)}


def platt(
    scores: Scores, hits: NDArray[np.bool_], weight: Scores | None = None
) -> tuple[float, float]:
    """Slope and shift of the logit under which `hits` are likeliest.

    Parameters
    ----------
    scores : (N,) float
        In [0, 1].
    hits : (N,) bool
        Some of them, not all.
    weight : (N,) float, optional
        Of each find; all alike where not given.

    Returns
    -------
    slope, shift : float
        With Platt's targets, which stop short of 0 and 1, so that both are finite even where a
        score parts hits from the rest.
    """
    count = len(hits), int(hits.sum())
    target = np.where(hits, (count[1] + 1) / (count[1] + 2), 1 / (count[0] - count[1] + 2))
    x = logit(np.clip(scores, _CERTAIN, 1 - _CERTAIN))[:, None]
    weight = np.ones(count[0]) if weight is None else weight / weight.mean()
    # a target between the labels is each of them in part
    model = LogisticRegression(C=1e6).fit(
        np.concatenate([x, x]),
        np.repeat([1, 0], count[0]),
        sample_weight=np.concatenate([target, 1 - target]) * np.tile(weight, 2),
    )
    return float(model.coef_[0, 0]), float(model.intercept_[0])
