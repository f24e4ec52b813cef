"""What people made by hand, to hold against what a net has learnt. No torch.

Kernels that every textbook has, and quantities of a window that a person would measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip.lines import clearest_channel, least_of, standing_out
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers.filters import Floats, ridge_strength, sample, second_derivatives
from roottip.windows import Centres, Image

KINDS = {
    "blob": "Gaussian",
    "spot": "Laplacian of a Gaussian",
    "edge": "first derivative of a Gaussian",
    "line": "second derivative of a Gaussian",
    "stripes": "Gabor",
    "Sobel": "Sobel",
}
"""The kernels made by hand: what one sees, and what the textbook calls it."""

SIGMAS = (0.8, 1.2, 1.8)
WAVELENGTHS = (3.0, 5.0)
ANGLES = tuple(range(0, 180, 15))
SHIFTS = (-1, 0, 1)
"""Sizes (px), directions (degrees) and places (px off the middle) of the kernels made by hand."""

COLOURS = {
    "grey": (1, 1, 1),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "cyan": (0, 1, 1),
    "magenta": (1, 0, 1),
    "red against green": (1, -1, 0),
    "green against blue": (0, 1, -1),
    "red against blue": (1, 0, -1),
    "yellow against blue": (1, 1, -2),
    "red against cyan": (2, -1, -1),
    "green against magenta": (-1, 2, -1),
}
"""Colours, and pairs of opponent ones, by their weights of red, green and blue."""

REACH = (5, 8, 11, 14)
"""px from the middle at which arms, roots that lead away from it, are measured."""

QUANTITIES = {
    "brightness": "how bright the middle is",
    "contrast": "how much the middle differs from the background",
    "ridge": "how strongly a ridge or a valley runs through the middle",
    "width": "how wide that ridge is",
    "arm": "how strongly a root leads away from the middle",
    "end-ness": "one arm and none on the other side: a tip, wherever it points",
    "arm to the right": "the strongest arm leads to the right (negative: left)",
    "arm downwards": "the strongest arm leads down (negative: up)",
    "crowd": "how much structure lies around the middle",
    "saturation": "how colourful the middle is",
    "warmth": "how much redder than blue the middle is",
}
"""What is measured of a window, and in plain words."""

_DIRECTIONS = 24
_SHUFFLES = 20
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Family:
    """Kernels made by hand, of one colour plane.

    Attributes
    ----------
    table : DataFrame
        ``kind`` (of `KINDS`), ``angle`` (degrees from the horizontal, anticlockwise as seen, of
        the edge, line or stripes; NaN for round ones), ``size`` (px: sigma, or the wavelength of
        stripes).
    kernels : (M, side, side) float64
        Of unit length.
    """

    table: pd.DataFrame
    kernels: NDArray[np.float64]


def family(side: int) -> Family:
    """All kernels made by hand that are `side` px wide and high."""
    offset = np.arange(side) - (side - 1) / 2
    rows: list[tuple[str, float, float]] = []
    values: list[Floats] = []

    def add(kind: str, direction: float, size: float, value: Floats) -> None:
        # brightness changes along the direction (y down), the line seen is across it (y up)
        rows.append((kind, (90 - direction) % 180, size))
        values.append(value / np.linalg.norm(value))

    for shift_x in SHIFTS:
        for shift_y in SHIFTS:
            x, y = offset[None, :] - shift_x, offset[:, None] - shift_y
            square = x**2 + y**2
            along = {
                angle: x * np.cos(np.deg2rad(angle)) + y * np.sin(np.deg2rad(angle))
                for angle in ANGLES
            }
            for sigma in SIGMAS:
                bell = np.exp(-square / (2 * sigma**2))
                add("blob", np.nan, sigma, bell)
                add("spot", np.nan, sigma, (2 * sigma**2 - square) * bell)
                for angle, u in along.items():
                    add("edge", angle, sigma, u * bell)
                    add("line", angle, sigma, (sigma**2 - u**2) * bell)
            for length in WAVELENGTHS:
                bell = np.exp(-square / (2 * (0.6 * length) ** 2))
                for angle, u in along.items():
                    wave = 2 * np.pi * u / length
                    add("stripes", angle, length, np.cos(wave) * bell)
                    add("stripes", angle, length, np.sin(wave) * bell)
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)
    diagonal = np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float64)
    sobel = {0: across, 90: across.T, 45: diagonal, 135: diagonal[:, ::-1]}
    for angle, small in sobel.items():
        for top in range(side - 2):
            for left in range(side - 2):
                value = np.zeros((side, side))
                value[top : top + 3, left : left + 3] = small
                add("Sobel", angle, 3.0, value)
    return Family(pd.DataFrame(rows, columns=["kind", "angle", "size"]), np.stack(values))


def nearest(
    kernels: Floats, known: Family, metric: Floats
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Find, for each learnt kernel, the kernel made by hand that is most like it.

    A kernel made by hand has one shape in all colour planes and any weight of each; the weights
    are fitted.

    Parameters
    ----------
    kernels : (K, 3, side, side)
    known : Family
        Of the same side.
    metric : (3 * side², 3 * side²)
        What likeness is measured by: the unit matrix for the numbers themselves; the covariance
        of what the kernels see, for what they answer to it.

    Returns
    -------
    table : DataFrame
        ``kind, angle, size``, ``colour`` (of `COLOURS`, the nearest), ``likeness`` (the
        correlation of the two, in [0, 1]) and ``explained``, its square.
    alike : (K, 3, side, side) float64
        Those kernels made by hand, weighted as fitted.
    """
    flat = kernels.reshape(len(kernels), -1).astype(np.float64)
    shapes = known.kernels.reshape(len(known.kernels), -1)
    blocks = metric.reshape(3, shapes.shape[1], 3, shapes.shape[1])
    shared = np.tensordot(shapes, blocks, ([1], [1]))  # (M, 3, 3, side²)
    among = np.einsum("mcdp,mp->mcd", shared, shapes)
    common = np.einsum("kcp,mp->kmc", (flat @ metric).reshape(len(flat), 3, -1), shapes)
    weights = np.linalg.solve(among, common[..., None])[..., 0]
    energy = np.einsum("kp,pq,kq->k", flat, metric, flat)
    explained = (weights * common).sum(axis=2) / np.maximum(energy[:, None], _TINY)
    best = explained.argmax(axis=1)
    each = np.arange(len(flat))
    colour, explained = weights[each, best], np.clip(explained[each, best], 0, 1)
    named = np.array(list(COLOURS.values()), np.float64)
    named /= np.linalg.norm(named, axis=1, keepdims=True)
    names = np.array(list(COLOURS))[np.abs(colour @ named.T).argmax(axis=1)]
    table = known.table.iloc[best].reset_index(drop=True)
    table = table.assign(colour=names, likeness=np.sqrt(explained), explained=explained)
    return table, colour[:, :, None, None] * known.kernels[best][:, None]


def chance(kernels: Floats, known: Family, metric: Floats, seed: int) -> tuple[float, float]:
    """Median likeness of shuffled kernels, and what 95 % of them stay below.

    Shuffled kernels have a kernel's own colours at places drawn anew: with so many kernels made
    by hand, one of them is somewhat like anything.
    """
    rng = np.random.default_rng(seed)
    flat = kernels.reshape(*kernels.shape[:2], -1)
    likeness = []
    for _ in range(_SHUFFLES):
        order = np.stack([rng.permutation(flat.shape[2]) for _ in flat])
        shuffled = np.take_along_axis(flat, order[:, None, :], axis=2)
        likeness.append(nearest(shuffled.reshape(kernels.shape), known, metric)[0]["likeness"])
    median, high = np.quantile(likeness, [0.5, 0.95])
    return float(median), float(high)


def quantities(image: Image, centres: Centres) -> pd.DataFrame:
    """Measure windows by hand: a column for each of `QUANTITIES`.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, with roots `scale.REFERENCE_WIDTH` px wide.
    centres : (N, 2) int32
        Of the windows.
    """
    channel, background, _ = clearest_channel(image)
    level = channel.astype(np.float32)
    contrast = level - background
    column, row = centres[:, 0], centres[:, 1]
    maps, sign = second_derivatives(level, 1.5), _side(level)
    scales = np.array([1.0, 1.4, 2.0, 2.8, 4.0, 5.6])
    near = np.ones((5, 5), np.uint8)  # the middle of a window may be 2 px beside the root's
    own = 0 if sign > 0 else 1
    at_scales = [ridge_strength(second_derivatives(level, sigma))[own] for sigma in scales]
    ridges = np.stack([cv2.dilate(np.maximum(ridge, 0), near)[row, column] for ridge in at_scales])
    arms = _arms(maps, sign, centres)
    angle = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    strongest = arms.argmax(axis=1)
    arm = arms.max(axis=1)
    half = _DIRECTIONS // 2
    turn = np.abs((np.arange(_DIRECTIONS) - strongest[:, None] + half) % _DIRECTIONS - half)
    others = np.where(turn >= 5, arms, 0).max(axis=1)  # 75 degrees and more away
    saturation = (image.max(axis=2) - image.min(axis=2)).astype(np.float32)
    warmth = image[..., 0].astype(np.float32) - image[..., 2]
    measured = [
        cv2.blur(level, (5, 5))[row, column],
        np.abs(cv2.blur(contrast, (5, 5)))[row, column],
        ridges.max(axis=0),
        2 * scales[ridges.argmax(axis=0)],  # a bar answers most to half its width
        arm,
        (arm - others) / (arm + 1),
        arm * np.cos(angle[strongest]),
        arm * np.sin(angle[strongest]),
        cv2.blur(np.abs(contrast), (61, 61))[row, column],
        cv2.blur(saturation, (5, 5))[row, column],
        cv2.blur(warmth, (5, 5))[row, column],
    ]
    return pd.DataFrame(dict(zip(QUANTITIES, measured, strict=True)))


def structure(image: Image) -> NDArray[np.uint8]:
    """Where something lies on the background: 1 above half of the contrast nearby, else 0.

    The clearest channel's brighter or darker side, whichever has the stronger ridges: roots, and
    what looks like them.
    """
    channel, background, rough = clearest_channel(image)
    sign = _side(channel.astype(np.float32))
    contrast = cv2.subtract(*((channel, background) if sign > 0 else (background, channel)))
    return np.asarray(standing_out(contrast, least_of(rough)), dtype=np.uint8) // 255


ZONES = ("tip", "along the root", "other roots and things", "ground")


def zones(mask: NDArray[np.uint8], width: float) -> NDArray[np.uint8]:
    """What each pixel of a window is, as the index of one of `ZONES`.

    Parameters
    ----------
    mask : (side, side) uint8
        `structure` of the window.
    width : float
        Of a root, px: pixels as near as this to the middle are the tip; structure that touches
        them is its root.
    """
    side = len(mask)
    y, x = np.mgrid[:side, :side] - side // 2
    middle = np.hypot(x, y) <= width
    _, label = cv2.connectedComponents(mask | middle.astype(np.uint8), connectivity=8)
    own = label == label[side // 2, side // 2]
    return np.asarray(np.select([middle, own, mask > 0], [0, 1, 2], 3), dtype=np.uint8)


def _side(level: Floats) -> float:
    """1 where bright ridges as wide as roots outweigh dark ones, else -1."""
    maps = second_derivatives(level, REFERENCE_WIDTH / 2)
    bright, dark = (np.maximum(ridge, 0) for ridge in ridge_strength(maps))
    # cubes: a root outweighs the valleys beside it, which respond half as much
    return 1.0 if float((bright**3 - dark**3).sum()) >= 0 else -1.0


def _arms(maps: tuple[Floats, Floats, Floats], sign: float, centres: Centres) -> Floats:
    """(N, directions): mean strength of ridges that lead away from the middle."""
    angle = 2 * np.pi * np.arange(_DIRECTIONS, dtype=np.float32) / _DIRECTIONS
    c, s = np.cos(angle), np.sin(angle)
    total = np.zeros((len(centres), _DIRECTIONS), np.float32)
    for radius in REACH:
        x = centres[:, :1].astype(np.float32) + radius * c
        y = centres[:, 1:].astype(np.float32) + radius * s
        xx, xy, yy = (sample(part, x, y) for part in maps)
        total += np.maximum(-sign * (s * s * xx - 2 * c * s * xy + c * c * yy), 0)
    return np.asarray(total / len(REACH))


def empty_ground(image: Image) -> Image:
    """The (3,) colour of an empty place of the image: the median of each channel."""
    return np.asarray(np.median(image.reshape(-1, 3), axis=0).round(), dtype=np.uint8)
