"""What the `features` detector knows of a window: features made by hand.

Each window is described in its own frame: the axis points from the window's centre to where a
root leads away from it, so a turned window has the same features. In that frame ridges,
histograms of oriented gradients, structure tensors, local binary patterns, grey levels and
colour are read at fixed places around the centre. ``docs/features.md`` names the sources.

Everything is measured inside the window, its clearest channel, its side (bright or dark roots)
and its units too: no feature depends on a pixel outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip import windows
from roottip.lines import clearest_channel
from roottip.scorers.filters import Floats, ridge_strength, sample, second_derivatives
from roottip.windows import Centres, Image

WINDOW = 80
"""Side of the window, px; a glance (`roottip.learning.net`) sees as much."""

STRIDE = 4
"""Pixels from one window to the next."""

FINE, COARSE = 1.5, 3.0
"""Sigma of the ridge filters, px: roots are 5 px wide, shoots and bundles more."""

LEAST_RIDGE = 2.0
"""2 of the 1225 training tips of `osr` and `tillmore` are on weaker ridges, and half or more
of the windows."""

CELL = 7
"""Side of the cells that oriented gradients are averaged over, px: a little over a root."""

DEFINITION: dict[str, Any] = {
    "version": 1,  # changes with any change below that these numbers do not show
    "window": WINDOW,
    "sigma": [FINE, COARSE],
    "least_ridge": LEAST_RIDGE,
    "cell": CELL,
    "heading": [3, 6, 9, 12, 15],
    "ridge": {"rings": [0, 4, 8, 12, 17, 22, 27, 31], "angles": 16},
    "ring": {"rings": [4, 8, 12, 17, 22, 27, 31], "angles": 24, "ranks": [0, 2, 4, 8, 14]},
    "coarse": {"rings": [0, 8, 16, 25], "angles": 8},
    "hog": {"rings": [0, 8, 18, 30], "angles": 8},
    "tensor": {"rings": [0, 12], "angles": 8, "sides": [9, 25]},
    "lbp": {"reach": 2, "sides": [15, 49]},
    "grey": {
        "rings": [0, 3, 6, 9, 13, 18, 24, 31, 37],
        "angles": 16,
        "ranks": [2, 12, 32, 64, 96, 116, 126],
    },
    "colour": {"rings": [0, 6, 16], "angles": 8},
}
"""How the features are computed. A card repeats it: weights trained on other features are
refused."""

GROUPS = {
    "ridge": 228,
    "ring": 63,
    "coarse": 50,
    "hog": 126,
    "tensor": 72,
    "lbp": 20,
    "grey": 137,
    "colour": 18,
}
"""How many features each group has, in the order in which `describe` gives them."""

COUNT = sum(GROUPS.values())

_CIRCLE = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_LABELS = 10  # of uniform patterns: 0 to 8 bright neighbours in one arc, and all others


def on_ridge(image: Image, centres: Centres) -> NDArray[np.bool_]:
    """Which windows are worth describing: those with a ridge within 4 px of the centre.

    It must be `LEAST_RIDGE` times as strong as the median response of the image; it is the one
    thing about a window that depends on more than the window.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    centres : (N, 2) int32

    Returns
    -------
    (N,) bool
    """
    channel, _, _ = clearest_channel(image)
    maps = second_derivatives(channel.astype(np.float32), FINE)
    strength = np.maximum(*ridge_strength(maps))
    # every fourth pixel does for a median
    least = LEAST_RIDGE * (float(np.median(strength[::2, ::2])) + 0.3)
    mask = cv2.dilate((strength > least).astype(np.uint8), np.ones((9, 9), np.uint8))
    return np.asarray(mask[centres[:, 1], centres[:, 0]] > 0)


def describe(image: Image, centres: Centres) -> Floats:
    """The features of windows.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB; all windows lie inside.
    centres : (N, 2) int32

    Returns
    -------
    (N, COUNT) float32
        Group after group, as in `GROUPS`.
    """
    channels = [_Channel.of(np.ascontiguousarray(image[..., i])) for i in range(3)]
    energy = np.stack([channel.energy[centres[:, 1], centres[:, 0]] for channel in channels])
    clearest = energy.argmax(axis=0)
    saturation, patterns = _saturation(image), _patterns(image)
    features = np.empty((len(centres), COUNT), dtype=np.float32)
    for i, channel in enumerate(channels):
        members = np.flatnonzero(clearest == i)
        if len(members) == 0:
            continue
        groups = _in_frame(channel, saturation, patterns, centres[members])
        features[members] = np.concatenate([groups[name] for name in GROUPS], axis=1)
    return features


@dataclass(frozen=True)
class _Channel:
    """Maps of one colour channel, `(H, W)` float32."""

    level: Floats  # averaged over 3 x 3 px
    fine: tuple[Floats, Floats, Floats]  # second derivatives
    coarse: tuple[Floats, Floats, Floats]
    energy: Floats  # of ridges around a pixel; the channel with the most is the clearest
    side: Floats  # above 0 where bright ridges outweigh dark ones
    unit: Floats  # typical ridge strength
    mean: Floats  # of the grey levels, and their standard deviation
    spread: Floats
    gradient: tuple[Floats, ...]  # cell averages of the magnitude and of its harmonics
    slope: Floats  # typical gradient
    tensors: tuple[tuple[Floats, Floats, Floats], ...]

    @classmethod
    def of(cls, plane: Image) -> _Channel:
        raw = plane.astype(np.float32)
        level, mean = _mean(raw, 3), _mean(raw, 65)
        fine = second_derivatives(level, FINE)
        bright, dark = (np.maximum(ridge, 0) for ridge in ridge_strength(fine))
        strongest = np.maximum(bright, dark)
        gx = np.asarray(cv2.Sobel(raw, cv2.CV_32F, 1, 0, scale=1 / 8), dtype=np.float32)
        gy = np.asarray(cv2.Sobel(raw, cv2.CV_32F, 0, 1, scale=1 / 8), dtype=np.float32)
        squares = gx * gx, gx * gy, gy * gy
        magnitude = np.sqrt(squares[0] + squares[2])
        # magnitude times cosine and sine of twice and of four times the gradient's angle: a
        # histogram of orientations is the same in as many bins as there are harmonics
        safe = np.maximum(magnitude, np.float32(1e-6))
        cos2, sin2 = (squares[0] - squares[2]) / safe, 2 * squares[1] / safe
        cos4, sin4 = (cos2 * cos2 - sin2 * sin2) / safe, 2 * cos2 * sin2 / safe
        return cls(
            level=level,
            fine=fine,
            coarse=second_derivatives(raw, COARSE),
            energy=_mean(strongest**2, 33),
            # cubes: a root outweighs the valleys beside it, which respond half as much
            side=_mean(bright**3 - dark**3, 33),
            unit=_mean(strongest, 61) + np.float32(0.3),
            mean=mean,
            spread=np.sqrt(np.maximum(_mean(raw * raw, 65) - mean * mean, 0)) + np.float32(1),
            gradient=tuple(_mean(part, CELL) for part in (magnitude, cos2, sin2, cos4, sin4)),
            slope=_mean(magnitude, 65) + np.float32(0.3),
            tensors=tuple(
                (_mean(squares[0], side), _mean(squares[1], side), _mean(squares[2], side))
                for side in DEFINITION["tensor"]["sides"]
            ),
        )


def _in_frame(
    channel: _Channel, colour: list[Floats], patterns: list[Floats], centres: Centres
) -> dict[str, Floats]:
    """All groups, for windows of which this channel is the clearest."""
    column, row = centres[:, 0], centres[:, 1]
    x, y = centres.astype(np.float32).T
    sign = np.where(channel.side[row, column] >= 0, 1, -1).astype(np.float32)[:, None]
    unit = channel.unit[row, column][:, None]
    spread = channel.spread[row, column][:, None]
    slope = channel.slope[row, column][:, None]
    mean = channel.mean[row, column][:, None]

    def ridges(maps: tuple[Floats, Floats, Floats], places: _Places) -> tuple[Floats, Floats]:
        """Strength of ridges that lead away from the centre, and of those around it."""
        xx, xy, yy = (sample(part, places.x, places.y) for part in maps)
        c, s = places.cos, places.sin
        away = -(s * s * xx - 2 * c * s * xy + c * c * yy) * (sign / unit)
        around = -(c * c * xx + 2 * c * s * xy + s * s * yy) * (sign / unit)
        return np.arcsinh(away), np.arcsinh(around)

    zero = np.zeros(len(x), np.float32)
    every = DEFINITION["ring"]["angles"]
    away, _ = ridges(channel.fine, _Places.of(x, y, zero, DEFINITION["heading"], every))
    heading = _heading(np.maximum(away, 0).reshape(len(x), -1, every).sum(axis=1))

    def places(group: str) -> _Places:
        return _Places.of(x, y, heading, **{k: DEFINITION[group][k] for k in ("rings", "angles")})

    def steered(energy: Floats, cos: Floats, sin: Floats, order: int) -> list[Floats]:
        """Turn a harmonic of that order into the window's frame; relative to the energy."""
        c, s = np.cos(order * heading)[:, None], np.sin(order * heading)[:, None]
        return [(c * cos + s * sin) / energy, (c * sin - s * cos) / energy]

    groups: dict[str, list[Floats]] = {}
    groups["ridge"] = [*ridges(channel.fine, places("ridge")), np.log(unit), sign]

    away, _ = ridges(channel.fine, places("ring"))
    rings = away.reshape(len(x), -1, every)
    ranked = -np.sort(-rings, axis=2)[:, :, DEFINITION["ring"]["ranks"]]
    waves = np.abs(np.fft.rfft(np.maximum(rings, 0), axis=2))[:, :, 1:5] / every
    groups["ring"] = [ranked.reshape(len(x), -1), waves.astype(np.float32).reshape(len(x), -1)]

    groups["coarse"] = list(ridges(channel.coarse, places("coarse")))

    around = places("hog")
    gradient = [sample(part, around.x, around.y) for part in channel.gradient]
    energy = gradient[0] + np.float32(1e-3)
    groups["hog"] = [
        np.log((gradient[0] + np.float32(0.05)) / slope),
        *steered(energy, gradient[1], gradient[2], 2),
        *steered(energy, gradient[3], gradient[4], 4),
        np.log(slope),
    ]

    groups["tensor"] = []
    around = places("tensor")
    for maps in channel.tensors:
        xx, xy, yy = (sample(part, around.x, around.y) for part in maps)
        energy = xx + yy + np.float32(1e-3)
        groups["tensor"] += [
            np.log(energy / slope**2),
            *steered(energy, xx - yy, 2 * xy, 2),
            np.hypot(xx - yy, 2 * xy) / energy,
        ]

    groups["lbp"] = [np.stack([part[row, column] for part in patterns], axis=1)]

    around = places("grey")
    level = sample(channel.level, around.x, around.y)
    grey = (level - mean) * (sign / spread)
    ranked = np.sort(grey, axis=1)[:, DEFINITION["grey"]["ranks"]]
    groups["grey"] = [grey, ranked, np.log(spread)]

    around = places("colour")
    saturation = sample(colour[0], around.x, around.y)
    far = colour[1][row, column][:, None]
    groups["colour"] = [(saturation - far) / 64, far / 64]
    return {
        name: np.concatenate(parts, axis=1).astype(np.float32) for name, parts in groups.items()
    }


@dataclass(frozen=True)
class _Places:
    """Where to look, (N, K): px of the image, and the direction away from the centre there."""

    x: Floats
    y: Floats
    cos: Floats
    sin: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats, heading: Floats, rings: list[int], angles: int) -> _Places:
        """Rings around the centres, each from the heading on; ring 0 is the centre."""
        turn = [2 * np.pi * i / angles for ring in rings for i in range(angles if ring else 1)]
        radius = np.array([r for r in rings for _ in range(angles if r else 1)], np.float32)
        angle = (heading[:, None] + np.array(turn)).astype(np.float32)
        cos, sin = np.cos(angle), np.sin(angle)
        # OpenCV reads at steps of 1/32 px: rounded here, the step does not depend on where in
        # the image the window lies
        dx, dy = (np.round(32 * radius * part) / 32 for part in (cos, sin))
        return cls(x[:, None] + dx, y[:, None] + dy, cos, sin)


def _heading(profile: Floats) -> Floats:
    """(N,) rad: where a ring profile is highest, between its places by a parabola."""
    smooth = np.roll(profile, 1, axis=1) + 2 * profile + np.roll(profile, -1, axis=1)
    best = smooth.argmax(axis=1)
    each, count = np.arange(len(profile)), profile.shape[1]
    before, here, after = (smooth[each, (best + step) % count] for step in (-1, 0, 1))
    curvature = np.maximum(2 * here - before - after, np.float32(1e-6))
    by = np.clip((after - before) / (2 * curvature), -0.5, 0.5)
    return np.asarray((best + by) * (2 * np.pi / count), dtype=np.float32)


def _mean(values: Floats, side: int) -> Floats:
    return np.asarray(cv2.blur(values, (side, side)), dtype=np.float32)


def _saturation(image: Image) -> list[Floats]:
    """Saturation near a pixel and around it: shoots and seeds are colourful, roots are not."""
    saturation = (image.max(axis=2) - image.min(axis=2)).astype(np.float32)
    return [_mean(saturation, 5), _mean(saturation, 65)]


def _patterns(image: Image) -> list[Floats]:
    """Shares of each uniform local binary pattern around a pixel, in two cells."""
    reach = DEFINITION["lbp"]["reach"]
    grey = np.asarray(cv2.blur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (3, 3)), dtype=np.uint8)
    label = uniform_patterns(grey, reach)
    found = [(label == value).astype(np.float32) for value in range(_LABELS)]
    return [_mean(part, side) for side in DEFINITION["lbp"]["sides"] for part in found]


def uniform_patterns(grey: Image, reach: int) -> Image:
    """Rotation-invariant uniform local binary patterns (Ojala 2002) of eight neighbours.

    The neighbours are pixels: between pixels, ties of a plain ground would be decided by
    rounding errors, and a cut patch would differ from its image.

    Parameters
    ----------
    grey : (H, W) uint8
    reach : int
        How far the neighbours are, along both axes, px.

    Returns
    -------
    (H, W) uint8
        How many neighbours are at least as bright as the pixel, 0 to 8, where they are one arc;
        9 where they are not.
    """
    height, width = grey.shape
    padded = windows.pad(grey, 2 * reach + 1)
    code = np.zeros((height, width), dtype=np.uint8)
    for bit, (dx, dy) in enumerate(_CIRCLE):
        top, left = reach * (1 + dy), reach * (1 + dx)
        code |= (padded[top : top + height, left : left + width] >= grey).view(np.uint8) << bit
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    table = np.where(changes <= 2, bits.sum(axis=1), _LABELS - 1).astype(np.uint8)
    return np.asarray(table[code])
