"""The low-level detector: ends of ridges, found and judged by filters made by hand.

Roots are ridges of brightness (or valleys, where they are darker than the ground). Centre-line
pixels of ridges come from Gaussian second derivatives (Steger 1998, "An unbiased detector of
curvilinear structures", IEEE TPAMI 20). An oriented line-end filter, ridge behind less ridge
ahead, keeps those where a ridge ends; unlike the ends of a skeleton these may lie on other
roots. Each end is then measured a dozen ways, and a logistic function of the weighted measures
is its score. ``scripts/tune_baseline.py`` chooses the weights; ``docs/baseline.md`` says what
else was tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip import windows
from roottip.detector import WindowDetector
from roottip.errors import InputError, check_number
from roottip.lines import clearest_channel
from roottip.scorers.filters import Floats, ridge_strength, sample, second_derivatives
from roottip.windows import Centres, Image, Points, Scores

WEIGHTS = {
    "bias": -7.052,
    "ridge": 2.448,
    "ridge_ahead": -0.4104,
    "contrast_ahead": 1.516,
    "cone_near": -2.064,
    "cone_far": -1.186,
    "contrast_beside": -1.072,
    "weakest_on_walk": 0.531,
    "contrast_on_walk": 2.634,
    "length": 2.922,
    "surroundings": -2.431,
    "surroundings_ahead": -2.07,
    "colour": -5.716,
}
"""Coefficients of the logistic function; found by ``scripts/tune_baseline.py``."""

THRESHOLD = 0.62
"""Cross-validated on the images of train by the same script."""

_BEHIND = np.array([-8, -5, -2], np.float32)
_AHEAD = np.array([3, 6, 9], np.float32)
_LEAST_ENDING = 0.15  # of (behind - ahead) / (behind + ahead); real tips have 0.3 and more
_APART = 4.0  # px; ends nearer than this are one end seen twice
_CROWD = 8.0  # px; of ends that crowd closer than this only the best is painted
_STEP, _STEPS = 3.0, 20  # the walk back along the root, px and count
_TURNS = np.deg2rad([-30, -15, 0, 15, 30])
_CONE = np.array([-0.6, -0.3, 0.0, 0.3, 0.6])  # rad
_TOP, _FALL = 3.0, 2.0  # px: flat top of a response peak, wider than from a window to the next


@dataclass(frozen=True)
class BaselineScorer:
    """Scores windows by one response map of the whole image.

    Parameters
    ----------
    sigma : float
        Of the Gaussian derivatives, px; near a third of the root's width.
    least_ridge : float
        How many times stronger than the typical response a ridge must be.
    weights : mapping of str to float
        One for each of `MEASURES`, and ``bias``.
    """

    sigma: float = 1.5
    least_ridge: float = 4.0
    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises
        ------
        InputError
            Names the setting, or the weights that are missing or unknown.
        """
        for name in ("sigma", "least_ridge"):
            check_number(name, getattr(self, name), 0.3)
        if not isinstance(self.weights, Mapping):
            raise InputError(f"weights={self.weights} must be a number for each of its measures")
        for name, value in self.weights.items():
            check_number(f"weights.{name}", value, -math.inf)
        wrong = set(self.weights) ^ {"bias", *MEASURES}
        if wrong:
            raise InputError(
                f"baseline weights do not fit its measures: {', '.join(sorted(wrong))}"
            )

    def __call__(self, image: Image, centres: Centres, /) -> Scores:
        """Read the response map at the windows' centres."""
        return np.asarray(self.response(image)[centres[:, 1], centres[:, 0]])

    def response(self, image: Image) -> Scores:
        """Compute the score of every pixel.

        Parameters
        ----------
        image : (H, W) or (H, W, 3) uint8
            Roots about `scale.REFERENCE_WIDTH` px wide.

        Returns
        -------
        (H, W) float32
            In [0, 1]. Around each ridge end a flat top with the end's score, 3 px in radius,
            that falls off smoothly; 0 elsewhere.
        """
        points, measures = ridge_ends(image, self.sigma, self.least_ridge)
        weights = np.array([self.weights[name] for name in MEASURES])
        scores = (1 / (1 + np.exp(-(measures @ weights + self.weights["bias"])))).astype(np.float32)
        best = windows.suppress(points, scores, _CROWD)
        return _paint(image.shape[:2], points[best], scores[best])


def detector(
    stride: int = 4,
    threshold: float = THRESHOLD,
    radius: float = 12.0,
    root_width: float | None = None,
    margin: float = 4.0,
    scorer: Mapping[str, Any] | None = None,
) -> WindowDetector:
    """Make the baseline detector.

    Parameters
    ----------
    stride, threshold, radius, root_width, margin
        As in `WindowDetector`.
    scorer : mapping, optional
        Arguments of `BaselineScorer`.

    Raises
    ------
    InputError
        A setting is none that can be.
    """
    if not isinstance(scorer, Mapping | None):
        raise InputError(f"scorer={scorer} must be settings by name, as in detector.scorer.KEY=…")
    given = dict(scorer or {})
    known = [field.name for field in fields(BaselineScorer)]
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise InputError(f"scorer.{unknown} is no setting; there is {', '.join(known)}")
    origin = "cross-validated on train" if threshold == THRESHOLD else "given"
    return WindowDetector(
        BaselineScorer(**given), stride, threshold, radius, root_width, margin, origin
    )


def ridge_ends(
    image: Image, sigma: float = 1.5, least_ridge: float = 4.0
) -> tuple[Points, NDArray[np.float64]]:
    """Find the ends of ridges and measure them.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    sigma, least_ridge : float
        As in `BaselineScorer`.

    Returns
    -------
    points : (N, 2) float64
        ``x, y`` of each end.
    measures : (N, M) float64
        In the order of `MEASURES`.
    """
    ridges = _Ridges.of(image, sigma)
    x, y, tx, ty = _ends(ridges, least_ridge)
    values = _measure(ridges, image, x, y, tx, ty)
    by = _to_half_contrast(ridges, x, y, tx, ty)
    size = np.array(image.shape[1::-1])
    points = np.stack([x + by * tx, y + by * ty], axis=1).astype(np.float64).clip(0, size - 1)
    return points, np.stack([values[name] for name in MEASURES], axis=1).astype(np.float64)


@dataclass(frozen=True)
class _Ridges:
    """Maps of an image, `(H, W)` float32, signed so that roots are bright.

    The second derivatives are in units of the typical ridge response.
    """

    xx: Floats
    xy: Floats
    yy: Floats
    strength: Floats
    contrast: Floats  # to the background, in units of the noise; roots are above 0

    @classmethod
    def of(cls, image: Image, sigma: float) -> _Ridges:
        channel, background, _ = clearest_channel(image)
        xx, xy, yy = second_derivatives(channel.astype(np.float32), sigma)
        bright, dark = ridge_strength((xx, xy, yy))
        typical = _typical(bright) + 0.3
        difference = channel.astype(np.float32) - background
        # a bright root has dark valleys beside it, but those are no darker than the ground
        strong = [
            float(np.maximum(towards, 0)[side > 8 * typical].sum())
            for side, towards in ((bright, difference), (dark, -difference))
        ]
        sign = 1.0 if strong[0] >= strong[1] else -1.0
        contrast = difference * np.float32(sign / (_typical(difference) + 1))
        unit = np.float32(sign / typical)
        strength = np.maximum(bright if sign > 0 else dark, 0) / np.float32(typical)
        return cls(xx * unit, xy * unit, yy * unit, np.asarray(strength), contrast)

    def along(self, x: Floats, y: Floats, tx: Floats, ty: Floats) -> Floats:
        """Strength of a ridge that runs in the direction ``tx, ty`` at ``x, y``."""
        across = (
            ty * ty * sample(self.xx, x, y)
            - 2 * tx * ty * sample(self.xy, x, y)
            + tx * tx * sample(self.yy, x, y)
        )
        return np.maximum(-across, 0)


def _typical(values: Floats) -> float:
    """How far from 0 noise is: the median distance where all is noise.

    From the upper quartile, for up to half of an image may be plain ground that a plate lies on.
    """
    # every fourth pixel does for a quartile; of normal numbers it is so much above the median
    return float(np.quantile(np.abs(values[::2, ::2]), 0.75)) / 1.7


def _ends(ridges: _Ridges, least_ridge: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Where ridges end, ``x, y``, and the unit vectors ``tx, ty`` that point on and out."""
    row, column = np.nonzero(ridges.strength > least_ridge)
    xx, xy, yy = (part[row, column] for part in (ridges.xx, ridges.xy, ridges.yy))
    # the direction across the ridge has the most negative second derivative
    across = 0.5 * np.arctan2(2 * xy, xx - yy) + np.float32(np.pi / 2)
    nx, ny = np.cos(across), np.sin(across)
    x, y = column.astype(np.float32), row.astype(np.float32)
    here = ridges.strength[row, column]
    crest = np.ones(len(x), dtype=bool)
    for side in (-1, 1):
        crest &= here >= sample(ridges.strength, x + side * nx, y + side * ny)
    x, y, nx, ny = x[crest], y[crest], nx[crest], ny[crest]
    x, y = np.tile(x, 2), np.tile(y, 2)
    tx, ty = np.concatenate([-ny, ny]), np.concatenate([nx, -nx])

    offsets = np.concatenate([_BEHIND, _AHEAD])
    profile = ridges.along(
        x[:, None] + offsets * tx[:, None],
        y[:, None] + offsets * ty[:, None],
        tx[:, None],
        ty[:, None],
    )
    behind = profile[:, : len(_BEHIND)].min(axis=1)
    ahead = profile[:, len(_BEHIND) :].mean(axis=1)
    ending = (behind - ahead) / (behind + ahead + 2)
    kept = np.flatnonzero((behind > least_ridge) & (ending > _LEAST_ENDING))
    strength = ending[kept] * np.log1p(behind[kept])
    places = np.stack([x[kept], y[kept]], axis=1).astype(np.float64)
    kept = kept[windows.suppress(places, strength.astype(np.float32), _APART)]
    return x[kept], y[kept], tx[kept], ty[kept]


def _to_half_contrast(ridges: _Ridges, x: Floats, y: Floats, tx: Floats, ty: Floats) -> Floats:
    """How far along ``tx, ty`` the visible end is: where contrast falls to half the root's, px."""
    offsets = np.arange(-8, 7, dtype=np.float32)
    profile = sample(
        ridges.contrast, x[:, None] + offsets * tx[:, None], y[:, None] + offsets * ty[:, None]
    )
    half = 0.5 * profile[:, :6].mean(axis=1, keepdims=True)
    still = np.logical_and.accumulate(profile >= half, axis=1)
    return np.asarray(offsets[np.maximum(still.sum(axis=1) - 1, 0)])


def _measure(
    ridges: _Ridges, image: Image, x: Floats, y: Floats, tx: Floats, ty: Floats
) -> dict[str, Floats]:
    """Every measure of every end; most are logarithms of strengths, in units of noise."""

    def ahead(by: float, turn: float = 0.0) -> tuple[Floats, Floats]:
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        return x + by * (tx * c - ty * s), y + by * (tx * s + ty * c)

    def cone(by: float) -> Floats:
        fan = [sample(ridges.strength, *ahead(by, turn)) for turn in _CONE]
        return np.asarray(np.log1p(np.max(fan, axis=0)))

    def beside(by: float) -> Floats:
        values = [
            sample(ridges.contrast, x - back * tx - side * by * ty, y - back * ty + side * by * tx)
            for back in (0, 5, 10)
            for side in (-1, 1)
        ]
        return np.asarray(np.log1p(np.mean(np.maximum(values, 0), axis=0)))

    def surroundings(px: Floats, py: Floats) -> Floats:
        return np.log1p(sample(busy, px, py))

    busy = np.asarray(cv2.blur(np.abs(ridges.contrast), (13, 13)), dtype=np.float32)
    walk_x, walk_y, walk_ridge = _walk_back(ridges, x, y, tx, ty)
    weakest = np.minimum.accumulate(walk_ridge, axis=0)
    on_walk = sample(ridges.contrast, walk_x, walk_y)
    return {
        "ridge": np.log1p(ridges.along(x, y, tx, ty)),
        "ridge_ahead": np.log1p(ridges.along(*ahead(10), tx, ty)),
        "contrast_ahead": np.log1p(np.maximum(sample(ridges.contrast, *ahead(2)), 0)),
        "cone_near": cone(4),
        "cone_far": cone(10),
        "contrast_beside": beside(5),
        "weakest_on_walk": np.log1p(weakest[-1]),
        "contrast_on_walk": np.log1p(np.maximum(on_walk.mean(axis=0), 0)),
        "length": (weakest > 3).mean(axis=0, dtype=np.float32),
        "surroundings": surroundings(x, y),
        "surroundings_ahead": surroundings(*ahead(10)),
        "colour": _colour(image, walk_x, walk_y, x, y),
    }


MEASURES = (
    "ridge",
    "ridge_ahead",
    "contrast_ahead",
    "cone_near",
    "cone_far",
    "contrast_beside",
    "weakest_on_walk",
    "contrast_on_walk",
    "length",
    "surroundings",
    "surroundings_ahead",
    "colour",
)
"""Names of the measures of a ridge end."""


def _walk_back(
    ridges: _Ridges, x: Floats, y: Floats, tx: Floats, ty: Floats
) -> tuple[Floats, Floats, Floats]:
    """Follow each ridge back from its end, step by step, where it is strongest.

    Returns
    -------
    x, y, ridge : (steps, N) float32
        Where each step ended and the ridge's strength there.
    """
    dx, dy = -tx, -ty
    cos, sin = np.cos(_TURNS).astype(np.float32), np.sin(_TURNS).astype(np.float32)
    each = np.arange(len(x))
    steps = []
    for _ in range(_STEPS):
        turned_x = dx[:, None] * cos - dy[:, None] * sin
        turned_y = dx[:, None] * sin + dy[:, None] * cos
        to_x, to_y = x[:, None] + _STEP * turned_x, y[:, None] + _STEP * turned_y
        ridge = ridges.along(to_x, to_y, turned_x, turned_y)
        # going straight wins where the ridge says nothing
        best = (ridge - 0.5 * np.abs(_TURNS)).argmax(axis=1)
        x, y, dx, dy = (part[each, best] for part in (to_x, to_y, turned_x, turned_y))
        steps.append((x, y, ridge[each, best]))
    walk_x, walk_y, strength = (np.stack(part) for part in zip(*steps, strict=True))
    return walk_x, walk_y, strength


def _colour(image: Image, walk_x: Floats, walk_y: Floats, x: Floats, y: Floats) -> Floats:
    """How much more colourful than its surroundings: shoots and seeds are, roots are not."""
    if image.ndim == 2:
        return np.zeros(len(x), dtype=np.float32)
    red, green, blue = cv2.split(image)
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    saturation = cv2.subtract(most, least)
    fine = cv2.blur(saturation, (3, 3)).astype(np.float32)
    coarse = cv2.blur(saturation, (61, 61)).astype(np.float32)
    near = slice(2, 9, 3)  # 9 to 27 px behind the tip: the tip itself may be translucent
    on_root = sample(fine, walk_x[near], walk_y[near]).mean(axis=0)
    return np.asarray(np.maximum(on_root - sample(coarse, x, y), 0) / 64)


def _paint(shape: tuple[int, ...], points: Points, scores: Scores) -> Scores:
    """A map with a flat-topped peak of its score at each point; where they meet, the higher."""
    reach = int(_TOP + 3 * _FALL)
    canvas = np.zeros((shape[0] + 2 * reach, shape[1] + 2 * reach), dtype=np.float32)
    steps = np.arange(-reach, reach + 1)
    for (x, y), score in zip(points, scores, strict=True):
        column, row = round(x), round(y)
        distance = np.hypot(column + steps - x, (row + steps - y)[:, None])
        peak = score * np.exp(-(np.maximum(distance - _TOP, 0) ** 2) / (2 * _FALL**2))
        spot = canvas[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
        np.maximum(spot, peak, out=spot)
    return canvas[reach : reach + shape[0], reach : reach + shape[1]]
