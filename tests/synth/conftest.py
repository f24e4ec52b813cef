from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from roottip.synth.growth import Root
from roottip.synth.plate import Plate

OFF = [
    "translucency",
    "cap",
    "gloss",
    "faint",
    "pairs",
    "hairs",
    "haze",
    "long_hairs",
    "dirt",
    "residue",
    "fibres",
    "scratches",
    "drops",
    "stains",
    "film",
    "labels",
    "ruled",
    "grid",
    "clamp",
    "rim",
    "seeds",
    "leaves",
    "shadow",
    "light",
    "vignette",
    "grain",
    "cast",
    "noise",
]


@pytest.fixture
def clean() -> Plate:
    """A small plate with nothing on it and nothing wrong with its picture; 8 px a mm."""
    off = dict.fromkeys(OFF, 0.0)
    return Plate(width=220, height=220, px_per_mm=8.0, day=5.0, plants=0, top=3.0, **off)


@pytest.fixture
def straight() -> Callable[..., Root]:
    """Makes a straight root that ends, by its drawn shape, at a point; mm."""

    def make(degrees=90.0, end=(13.75, 18.0), length=9.0, root=1, order=0) -> Root:
        angle = np.radians(degrees)
        way = np.array([np.cos(angle), np.sin(angle)])
        back = np.linspace(length, 0, round(2 * length) + 1)
        line = np.array(end) - back[:, None] * way
        return Root(root, -1, 0, order, line, np.linspace(0, 4, len(back)), 0.4)

    return make
