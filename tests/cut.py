"""An image in memory as one too large for it comes: in strips."""

from __future__ import annotations

import numpy as np

from roottip.bands import Strips


class Cut(Strips):
    """An image in memory, in strips of uneven heights."""

    def __init__(self, image, seed=0):
        self.image, self.shape = image, image.shape
        self.rng = np.random.default_rng(seed)

    def __iter__(self):
        cuts = np.sort(self.rng.integers(1, max(2, len(self.image)), 6))
        for part in np.split(self.image, np.unique(cuts)):
            if len(part):
                yield part
