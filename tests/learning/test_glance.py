"""From which score on a glance lets windows through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from roottip.learning.glance import adopt
from roottip.learning.plates import read_plates
from roottip.scorers import card as cards
from roottip.scorers.cnn import SHIPPED, CnnScorer, glance_of


def test_a_glance_lets_through_what_every_look_of_its_net_finds(
    drawn: Path, shipped_alone: Callable[[], Path]
) -> None:
    weights = shipped_alone()
    (plate, *_) = read_plates([drawn])
    assert len(plate.tips) == 2
    card = CnnScorer(adopt(SHIPPED, weights, [plate])).card
    # in two sizes
    assert "of 4 tips that score 0.7 of the net's threshold" in card["threshold_from"]
    assert card["share_of_windows"] < 0.1
    # what another look, or the review, may think more of counts too
    cards.amend(weights, threshold=1.0)
    fainter = CnnScorer(adopt(SHIPPED, weights, [plate])).card
    assert (fainter["threshold_from"], fainter["threshold"]) == (
        card["threshold_from"],
        card["threshold"],
    )
    # four tips are too few to say that others score as much in the glance
    assert fainter["threshold"] == CnnScorer(glance_of(SHIPPED)).card["threshold"]
    # of a net that sees no tip nothing may be passed over
    blind = CnnScorer(adopt(SHIPPED, weights, [replace(plate, tips=np.empty((0, 2)))])).card
    assert (blind["threshold"], blind["share_of_windows"]) == (0, 1)
