"""Looking at whole plates with the net so far: what it gets wrong.

The net looks through the detector that ships, though once only, so what is mined are the false
alarms that users would see; on a graphics card, which waits meanwhile, through the least that finds
them.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.nn.functional import max_pool2d
from tqdm import tqdm

from roottip import windows
from roottip.detector import WindowDetector
from roottip.learning.export import export
from roottip.learning.net import STRIDE, WINDOW, TipNet
from roottip.learning.patches import negatives
from roottip.learning.plates import Plate
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers import cnn
from roottip.windows import Centres, Image, Points

Find = Callable[[Image], Points]

RADIUS = 10.0
"""px at the common root width: no two tips are found closer together by scores alone, which are
high all around a tip."""

APART = 5.0
"""px at the common root width: no two tips are found closer together by a net that says where."""

SIZES = (1.0, 0.71)
"""At what sizes a net looks at images: the second time it sees twice the area around each tip."""

LEAST = 0.05
"""Score from which a false alarm is worth learning from."""

MOST = 60
"""False alarms mined on one plate, the worst ones."""

LOOKS = 400
"""Plates of a dataset that are looked at whole, drawn at random: of thousands a look at all of them
between two rounds would take longer than the rounds."""


def detector_of(net: TipNet, sizes: Sequence[float] = SIZES) -> WindowDetector:
    """The detector that the net would be if it shipped now, on plates (no resizing).

    It doubts nothing: scores of a net that is not calibrated yet say too much, or little.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        card = {"threshold": LEAST, "radius": APART, "sizes": sizes}
        export(net, path, card)
        return cnn.detector(path, root_width=REFERENCE_WIDTH)


def finds_of(detector: WindowDetector) -> Find:
    """A detector without its scores."""
    return lambda image: detector.find(image)[0]


def finder(net: TipNet) -> Find:
    """The net so far as a function of a plate's image, to its finds from `LEAST` on."""
    if next(net.parameters()).is_cuda:
        return peaks_of(net)
    # what is wrong in one look is worth learning from, whatever another says
    return finds_of(detector_of(net, sizes=(1.0,)))


def peaks_of(net: TipNet) -> Find:
    """The net on the device where it is: every highest score within `RADIUS`, best first.

    All of a plate goes through it, empty background too, and nothing through a processor.
    """
    looking = copy.deepcopy(net).eval()
    device = next(net.parameters()).device

    def peaks(image: Image) -> Points:
        padded = torch.from_numpy(windows.pad(image, WINDOW))
        with torch.inference_mode(), torch.autocast(device.type, enabled=device.type == "cuda"):
            scores = looking(padded.to(device).permute(2, 0, 1)[None]).float().sigmoid()[0]
        side = 2 * int(RADIUS / STRIDE) + 1
        highest = max_pool2d(scores[None], side, stride=1, padding=side // 2)[0]
        rows, columns = torch.nonzero((scores == highest) & (scores >= LEAST)).T
        best = torch.argsort(scores[rows, columns], descending=True)
        found = STRIDE * torch.stack([columns[best], rows[best]], dim=1)
        return found.cpu().numpy().astype(np.float64)

    return peaks


def false_alarms(
    find: Find, plates: Sequence[Plate], seed: Sequence[int], looks: int = LOOKS
) -> list[Centres]:
    """Where a net sees tips that are not there.

    Parameters
    ----------
    find : function
        As `finder` makes it.
    plates : sequence of Plate
    seed : sequence of int
    looks : int
        As `some` takes it.

    Returns
    -------
    list of (N, 2) int32
        For each plate the worst `MOST` false alarms, px; none near a tip or an ignored point, and
        none on plates that were not looked at.
    """
    mined: list[Centres] = [np.empty((0, 2), np.int32)] * len(plates)
    for number in tqdm(some(plates, seed, looks), desc="mining", leave=False, disable=None):
        points = find(plates[number].image)
        mined[number] = negatives(plates[number], np.round(points).astype(np.int32))[:MOST]
    return mined


def some(plates: Sequence[Plate], seed: int | Sequence[int], looks: int = LOOKS) -> list[int]:
    """Numbers of plates to look at whole, at most `looks` of each dataset, drawn at random."""
    taken: Counter[str] = Counter()
    numbers = []
    for number in np.random.default_rng(seed).permutation(len(plates)).tolist():
        taken[plates[number].dataset] += 1
        if taken[plates[number].dataset] <= looks:
            numbers.append(number)
    return numbers
