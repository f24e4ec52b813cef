"""What roots are seen on and with: paper, light, a film of water, the sensor's noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip.synth.plate import Plate, stream

Plane = NDArray[np.float32]


def field_of(plate: Plate, rng: np.random.Generator, cell: float, stretch: float = 1.0) -> Plane:
    """Smooth noise of zero mean and unit spread, (H, W).

    `cell` is the size of what varies, px; `stretch` > 1 makes it longer upwards.
    """
    rows = max(2, round(plate.height / cell / stretch) + 1)
    columns = max(2, round(plate.width / cell * stretch) + 1)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    how = cv2.INTER_LINEAR if cell < 3 else cv2.INTER_CUBIC
    wide = cv2.resize(coarse, (plate.width, plate.height), interpolation=how)
    return np.asarray(wide, dtype=np.float32)


def paper(plate: Plate, seed: int) -> Plane:
    """The empty plate, (3, H, W) grey levels: colour, grain, soft stains."""
    rng = stream(seed, "paper")
    grain = field_of(plate, rng, plate.grain_size, rng.choice([1.0, 1.0, 1.6]))
    grain += 0.5 * field_of(plate, rng, 7 * plate.grain_size + 4)
    grain *= np.float32(plate.grain)
    stains = _stains(plate, stream(seed, "stains"))
    tint = 1 + 0.25 * rng.uniform(-1, 1, 3)  # grain is not quite grey
    empty = np.empty((3, plate.height, plate.width), dtype=np.float32)
    for plane, value, t in zip(empty, plate.paper, tint, strict=True):
        np.multiply(grain, np.float32(t), out=plane)
        plane += np.float32(value)
        plane *= stains
    return empty


def _stains(plate: Plate, rng: np.random.Generator) -> Plane:
    """Soft spots of damp or mould: what is left of the light, at an eighth of the size."""
    small = (plate.height // 8 + 1, plate.width // 8 + 1)
    spots = np.zeros(small, dtype=np.uint8)
    for _ in range(rng.poisson(plate.stains * plate.megapixels)):
        x, y = rng.uniform((0, 0), small[::-1])
        axes = np.maximum(1, rng.gamma(2, 1.2) * rng.uniform(0.6, 1.4, 2)).astype(int)
        turn, value = rng.uniform(0, 180), int(rng.uniform(10, 80))
        cv2.ellipse(spots, (int(x), int(y)), axes.tolist(), turn, 0, 360, value, -1)
    soft = cv2.GaussianBlur(spots, (0, 0), 0.8)
    wide = cv2.resize(soft, (plate.width, plate.height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 - wide * np.float32(1 / 255), dtype=np.float32)


def light(plate: Plate, seed: int) -> Plane:
    """How bright each pixel is lit, (H, W), about 1: a slope, a slow wave, dark corners."""
    rng = stream(seed, "light")
    y, x = np.mgrid[-1:1:24j, -1:1:24j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    wave = cv2.resize(rng.standard_normal((3, 3)), (24, 24), interpolation=cv2.INTER_CUBIC)
    slope = 0.5 * (np.cos(turn) * x + np.sin(turn) * y) + 0.15 * wave
    lit = (1 + plate.light * slope) * (1 - plate.vignette * (x * x + y * y) / 2)
    wide = cv2.resize(lit.astype(np.float32), (plate.width, plate.height))
    return np.asarray(np.maximum(wide, 0.1), dtype=np.float32)


def film(plate: Plate, seed: int) -> Plane | None:
    """Where a film of water lies, (H, W) 0 to 1; None without any."""
    if plate.film <= 0:
        return None
    rng = stream(seed, "film")
    wave = field_of(plate, rng, max(plate.width, plate.height) / 5)
    edge = np.clip((wave - np.float32(0.2)) * np.float32(rng.uniform(1, 5)), 0, 1)
    return np.asarray(edge * np.float32(plate.film), dtype=np.float32)


def noise(plate: Plate, seed: int, scene: Plane) -> None:
    """Add the sensor's noise in place: brightness for each pixel, colour in coarser blotches."""
    if plate.noise <= 0:
        return
    rng = stream(seed, "noise", round(1000 * plate.day))
    grey = rng.standard_normal(scene.shape[1:], dtype=np.float32)
    grey *= np.float32(0.9 * plate.noise)
    half = (plate.height // 2 + 1, plate.width // 2 + 1)
    for plane in scene:
        colour = rng.standard_normal(half, dtype=np.float32)
        colour *= np.float32(0.7 * plate.noise)
        plane += cv2.resize(colour, (plate.width, plate.height))
        plane += grey
