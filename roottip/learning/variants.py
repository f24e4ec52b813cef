"""Plates as other cameras, lamps and hands would have shown them, to find more errors on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from roottip.learning.patches import R2, relit
from roottip.learning.plates import Plate
from roottip.scale import REFERENCE_WIDTH, adjustment, rescaled, resize
from roottip.windows import Points

WANTED = 400
"""Variants of the plates of each dataset together, about."""

MOST = 4
"""Variants of one plate at most."""

INVERTED, CUT = 0.5, 0.5
"""Share of variants that are dark where the plate is bright, and that show a part of it."""

SMALLEST = 0.3
"""Share of a plate's height and width that a cut leaves at least."""

ZOOM = 1.2
"""Variants are resized by a factor between this and its inverse."""


def variants(plates: Sequence[Plate], seed: int) -> Iterator[Plate]:
    """Vary plates in colour, light and sharpness, in size, and in how much of them is in view.

    A net makes few errors on plates that it was trained with: here it makes more. Variant ``i`` of
    a plate depends on the seed, ``i`` and the plate's place in the sequence only. They are made
    one by one, for together they may be more than what is in memory.
    """
    of_dataset = Counter(plate.dataset for plate in plates)
    for number, plate in enumerate(plates):
        count = min(MOST, WANTED / of_dataset[plate.dataset])
        for i in range(int(count + np.random.default_rng((seed, number, 0)).random())):
            # from 1 on: what says whether there is a variant must not say how it varies too
            yield _varied(plate, np.random.default_rng((seed, number, i + 1)))


def _varied(plate: Plate, rng: np.random.Generator) -> Plate:
    height, width = plate.image.shape[:2]
    left = top = 0
    if rng.random() < CUT:
        tall, wide = (rng.uniform(SMALLEST, 1, 2) * [height, width]).astype(int).clip(1)
        top, left = (int(rng.integers(side + 1)) for side in (height - tall, width - wide))
        height, width = int(tall), int(wide)
    part = plate.image[top : top + height, left : left + width]
    resized = resize(part, ZOOM ** rng.uniform(-1, 1))
    factor = np.array(resized.shape[1::-1]) / [width, height]
    image = relit(resized, rng)
    if rng.random() < INVERTED:
        image = 255 - image
    image = adjustment(image, REFERENCE_WIDTH)(image)  # as detectors will see it

    def seen(points: Points) -> Points:
        moved = rescaled(points - [left, top], factor)
        return moved[((moved > -0.5) & (moved < np.array(image.shape[1::-1]) - 0.5)).all(axis=1)]

    tips, ignored = seen(plate.tips), seen(plate.ignored)
    end = np.array(image.shape[1::-1]) - 1
    clear = ((tips > R2) & (tips < end - R2)).all(axis=1)  # cut so near its end it may be anything
    return replace(
        plate, image=image, tips=tips[clear], ignored=np.concatenate([ignored, tips[~clear]])
    )
