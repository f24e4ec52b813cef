"""Shapes drawn by OpenCV with smooth edges, and laid over a picture as one thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip.synth.growth import Line

Corner = tuple[int, int]

SHIFT = 4  # cv2 draws in fixed point with this many binary digits after the point
_EDGE = 3.0  # px that a smooth edge and the rounding of places may reach further


@dataclass(frozen=True)
class Shape:
    """Something of one colour.

    Attributes
    ----------
    around : (N, 2) float
        ``x, y``, px: points whose rectangle holds the shape.
    colour : sequence of float
        Red, green, blue; what is below 0 or above 255 is cut off.
    fill : callable
        ``fill(canvas, value, corner)`` draws it, with smooth edges, on a canvas whose upper left
        pixel is `corner` of the picture.
    """

    around: Line
    colour: Any
    fill: Callable[[Any, Any, Corner], None]


def area(xy: Any, colour: Any) -> Shape:
    """A filled polygon, (N, 2) px."""

    def fill(canvas: Any, value: Any, corner: Corner) -> None:
        cv2.fillPoly(canvas, [_fixed(xy, corner)], value, cv2.LINE_AA, SHIFT)

    return Shape(np.asarray(xy), colour, fill)


def line(xy: Any, thickness: int, colour: Any) -> Shape:
    """A bent line, (N, 2) px, so many px thick."""

    def fill(canvas: Any, value: Any, corner: Corner) -> None:
        points = [_fixed(xy, corner)]
        cv2.polylines(canvas, points, False, value, thickness, cv2.LINE_AA, SHIFT)

    return Shape(_within(xy, thickness), colour, fill)


def ellipse(
    x: float, y: float, axes: tuple[float, float], turn: float, colour: Any, thickness: int = -1
) -> Shape:
    """An ellipse of two half axes, px, the first turned by so many degrees from the right.

    Filled, or a line of a thickness in px.
    """

    def fill(canvas: Any, value: Any, corner: Corner) -> None:
        middle = _fixed([[x, y]], corner)[0].tolist()
        halves = [max(1, round(half * 2**SHIFT)) for half in axes]
        cv2.ellipse(canvas, middle, halves, turn, 0, 360, value, thickness, cv2.LINE_AA, SHIFT)

    return Shape(_within([[x, y]], max(axes) + max(thickness, 0)), colour, fill)


def disc(x: float, y: float, radius: float, colour: Any) -> Shape:
    """A filled circle, px."""
    return ellipse(x, y, (radius, radius), 0.0, colour)


def letter(text: str, x: int, y: int, font: int, scale: float, pen: int, colour: Any) -> Shape:
    """A letter of one of OpenCV's fonts, its lower left corner at a place, px."""
    wide, high = letter_size(text, font, scale, pen)

    def fill(canvas: Any, value: Any, corner: Corner) -> None:
        at = (x - corner[0], y - corner[1])
        cv2.putText(canvas, text, at, font, scale, value, pen, cv2.LINE_AA)

    # letters such as g reach below the line, and pens beyond what cv2 says
    around = np.array([(x - high, y - 2.0 * high), (x + wide + high, y + high)])
    return Shape(around, colour, fill)


def letter_size(text: str, font: int, scale: float, pen: int) -> tuple[int, int]:
    """Width and height of a letter above its line, px."""
    (wide, high), _ = cv2.getTextSize(text, font, scale, pen)
    return wide, high


def lay(paint: Any, thing: Sequence[Shape], opacity: float) -> tuple[Any, NDArray[np.bool_]]:
    """Lay a thing over what a picture has there, in place.

    Parameters
    ----------
    paint : (H, W, 4) uint8
        Red, green, blue, each times the opacity, and the opacity.
    thing : sequence of Shape
        The later hide the earlier; where they overlap the thing is no more opaque.
    opacity : float
        Of the thing, 0 to 1.

    Returns
    -------
    (slice, slice), (h, w) bool
        A part of the picture, and of which of its pixels the thing takes a quarter or more.
    """
    points = np.concatenate([shape.around for shape in thing])
    size = np.array(paint.shape[1::-1])
    left, top = np.clip(np.floor(points.min(axis=0) - _EDGE), 0, size).astype(int).tolist()
    right, low = np.clip(np.ceil(points.max(axis=0) + _EDGE), (left, top), size).astype(int)
    part = (slice(top, int(low)), slice(left, int(right)))
    below = paint[part]
    drawn = np.zeros_like(below)
    if drawn.size:
        for shape in thing:
            colour = np.clip(np.asarray(shape.colour, dtype=float), 0, 255).tolist()
            shape.fill(drawn, (*colour, 255.0), (left, top))
        above = drawn * np.float32(opacity)
        through = 1 - above[..., 3:] * np.float32(1 / 255)
        paint[part] = np.minimum(np.rint(above + below * through), 255)
    return part, drawn[..., 3] > 63


def _within(xy: Any, reach: float) -> Line:
    """Corners of squares around points."""
    middle = np.asarray(xy, dtype=float)
    return np.concatenate([middle - reach, middle + reach])


def _fixed(xy: Any, corner: Corner) -> NDArray[np.int32]:
    return np.asarray(np.round((np.asarray(xy) - corner) * 2**SHIFT), dtype=np.int32)
