"""Pictures: points drawn on images, and small copies for pages."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd

from roottip.matching import FALSE_ALARM, HIT, IGNORED, MISS
from roottip.scale import resize
from roottip.windows import Image

FOUND = "found"

# Colours of Okabe and Ito (2008, "Color Universal Design"), told apart by colour-blind people;
# the marks differ in shape too, and have a dark rim that shows on any background.
_MARKS: dict[str, tuple[tuple[int, int, int], int | None]] = {
    FOUND: ((86, 180, 233), None),
    HIT: ((86, 180, 233), None),
    MISS: ((240, 228, 66), cv2.MARKER_SQUARE),
    FALSE_ALARM: ((230, 120, 40), cv2.MARKER_TILTED_CROSS),
    IGNORED: ((190, 190, 190), cv2.MARKER_DIAMOND),
}


def overlay(image: Image, points: pd.DataFrame) -> Image:
    """Draw points on a copy of an image.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    points : DataFrame
        Found points (``x, y``), or the rows of `Evaluation.matches` of this image
        (``outcome``, and ``truth_x, truth_y`` for misses).

    Returns
    -------
    (H, W, 3) uint8
        RGB. Found points and hits are circles, misses squares, false alarms crosses,
        ignored finds diamonds.
    """
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image.copy()
    # legible when the whole image is shown at screen size
    radius = max(10, round(max(image.shape[:2]) / 130))
    thickness = max(2, radius // 6)
    outcomes = points["outcome"] if "outcome" in points else [FOUND] * len(points)
    missed = points["outcome"] == MISS if "outcome" in points else np.zeros(len(points), bool)
    x = points["x"].where(~missed, points.get("truth_x"))
    y = points["y"].where(~missed, points.get("truth_y"))
    for outcome, px, py in zip(outcomes, x, y, strict=True):
        colour, marker = _MARKS[outcome]
        at = (round(float(px)), round(float(py)))
        for shade, width in (((20, 20, 20), thickness + 2), (colour, thickness)):
            if marker is None:
                cv2.circle(canvas, at, radius, shade, width, cv2.LINE_AA)
            else:
                cv2.drawMarker(canvas, at, shade, marker, 2 * radius, width, cv2.LINE_AA)
    return np.asarray(canvas, dtype=np.uint8)


def shrink(image: Image, side: int) -> Image:
    """The image with its longer side at most `side` px; itself where it is no longer."""
    while max(image.shape[:2]) >= 2 * side:  # halving is many times as fast
        half = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return resize(image, min(1.0, side / max(image.shape[:2])))


def encode(image: Image, suffix: str, settings: Sequence[int] = ()) -> bytes:
    """A grey or RGB image as the bytes of a file of that ending; `settings` are OpenCV's."""
    stored = image if image.ndim == 2 else image[..., ::-1]
    done, data = cv2.imencode(suffix, stored, settings)
    if not done:
        raise ValueError(f"OpenCV could not encode {suffix}")
    return bytes(data.tobytes())


def thumbnail(image: Image, side: int = 480) -> str:
    """A JPEG of a grey or RGB image as a ``data:`` address, its longer side at most `side` px."""
    data = encode(shrink(image, side), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 80])
    return address(data, "jpeg")


def address(picture: bytes, kind: str) -> str:
    """The content of an image file of that kind, such as ``png``, as a ``data:`` address."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
