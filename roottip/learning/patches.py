"""From annotated images to training patches.

A sample is cut around one window, with a margin, so that the windows around it are trained
too: half of the samples have a tip in the middle window, half have none. A window counts as a
tip within `R1` of one and as none beyond `R2` of all; in between, near ignored points and
outside the image it counts for nothing. All distances are px at the common root width.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import albumentations
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from roottip import windows
from roottip.errors import InputError
from roottip.learning.net import STRIDE, WINDOW
from roottip.learning.plates import Plate, distance, in_threads
from roottip.windows import Centres, Image, Points

Matrix = NDArray[np.float64]

R1, R2 = 4.0, 9.0
"""px; `R1` is small so that the belief peaks in the tip and close tips stay apart, the gap up to
`R2` is about how well people's marks agree."""

ZOOM = 1.4
"""Samples are resized by a factor between this and its inverse, so that an image whose root
width is estimated wrongly by as much is still read well."""

MARGIN = 3
"""Windows on each side of a sample's middle window that are trained too."""

SIDE = WINDOW + 2 * MARGIN * STRIDE
"""px of a sample's side."""

SHIFT = R1 - 1
"""The farthest that a sample's point is from its middle, px: a whole number of pixels names the
point, which may be 0.7 px off, and the middle window must stay within `R1` at every zoom."""

MIDDLES = WINDOW // 2 + STRIDE * np.stack(
    np.meshgrid(np.arange(2 * MARGIN + 1), np.arange(2 * MARGIN + 1)), axis=-1
).reshape(-1, 2).astype(np.float64)
"""``x, y`` of a sample's windows, px of the sample, row by row."""

SHARES = {"mined": 0.5, "near": 0.35, "anywhere": 0.15}
"""How the negatives are drawn: false alarms of the net so far, windows with something in the
middle (roots, hairs, seeds, writing), any windows."""

PER_DATASET = {"tip": 12_000, "near": 3000, "anywhere": 700, "mined": 12_000}
"""How many places of a kind the samples of each dataset are cut around in a round."""


def augment(image: Image, point: Centres, seed: int) -> tuple[Image, Matrix]:
    """Cut a sample, varied as cameras, light and plants do. The same seed gives the same bytes.

    Parameters
    ----------
    image : (H, W, 3) uint8
    point : (2,) int32
        ``x, y`` of the pixel of the image that the sample is cut around.
    seed : int

    Returns
    -------
    sample : (SIDE, SIDE, 3) uint8
        Turned, mirrored, resized and shifted (the point stays within `SHIFT` of the middle),
        then changed in colour, light, sharpness, noise and compression. Beyond its border the
        image is reflected.
    place : (2, 3) float64
        Affine map from px relative to the sample's point to px of the sample.
    """
    rng = np.random.default_rng(seed)
    angle, bearing = rng.uniform(0, 2 * math.pi, size=2)
    zoom = ZOOM ** rng.uniform(-1, 1)
    mirror = rng.choice([-1.0, 1.0])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    length = SHIFT * math.sqrt(rng.uniform())
    middle = SIDE // 2 + length * np.array([math.cos(bearing), math.sin(bearing)])
    place = np.column_stack([zoom * turn * [mirror, 1.0], middle])
    from_image = place.copy()
    from_image[:, 2] -= place[:, :2] @ point
    sample = cv2.warpAffine(
        image, from_image, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=windows.BORDER
    )
    return relit(np.asarray(sample, np.uint8), rng), place


def relit(image: Image, rng: np.random.Generator) -> Image:
    """The image in another light, as `light` varies it."""
    varied = light()
    varied.set_random_seed(int(rng.integers(2**31)))
    made: Image = varied(image=image)["image"]
    return made


@functools.cache
def light() -> albumentations.Compose:
    """Other papers, gels, cameras: colours that are not the training images' own, but also those.

    Inversion is rare: pencil on paper looks like an inverted root.
    """
    a = albumentations
    grey = [a.ToGray(method=method, p=1) for method in ("weighted_average", "max", "average")]
    hue = a.HueSaturationValue(90, 60, 0, p=1)

    coarse = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    shift = a.RGBShift((-60, 60), (-60, 60), (-60, 60), p=1)
    return a.Compose(
        [
            a.OneOf([hue, shift, a.ChannelShuffle(p=1), *grey], p=0.5),
            a.InvertImg(p=0.08),
            a.RandomBrightnessContrast(0.3, (-0.6, 0.5), p=0.7),
            a.RandomGamma((60, 160), p=0.4),
            a.OneOf(
                [
                    a.GaussianBlur((3, 5), p=1),
                    # left to themselves these two move the picture by up to 1.5 px
                    a.MotionBlur((3, 5), allow_shifted=False, direction_range=(0, 0), p=1),
                    a.Downscale((0.6, 0.9), interpolation_pair=coarse, p=1),
                ],
                p=0.3,
            ),
            a.OneOf([a.GaussNoise((0.01, 0.06), p=1), a.ISONoise(p=1)], p=0.3),
            a.ImageCompression(quality_range=(40, 95), p=0.3),
        ]
    )


def labels(plate: Plate, places: Points, zoom: float = 1.0) -> NDArray[np.float32]:
    """What windows of a plate are: 1 a tip, 0 none, NaN to be left out.

    Parameters
    ----------
    plate : Plate
    places : (N, 2) float
        ``x, y`` of the windows' middles, px of the plate.
    zoom : float
        Size of the sample over size of the plate; `R1` and `R2` are px of the sample.
    """
    tip = zoom * distance(places, plate.tips)
    label = np.full(len(places), np.nan, dtype=np.float32)
    counts = _counting(plate, places, zoom)
    label[counts & (tip <= R1)] = 1
    label[counts & (tip > R2)] = 0
    return label


def _counting(plate: Plate, places: Points, zoom: float) -> NDArray[np.bool_]:
    """(N,): which windows lie inside the plate and near no ignored point."""
    height, width = plate.image.shape[:2]
    inside = ((places > -0.5) & (places < [width - 0.5, height - 0.5])).all(axis=1)
    counting: NDArray[np.bool_] = inside & (zoom * distance(places, plate.ignored) > R2)
    return counting


def negatives(plate: Plate, centres: Centres) -> Centres:
    """Those centres that are no tip however the sample is zoomed and shifted."""
    clear = (R2 + SHIFT) * ZOOM
    far = (distance(centres, plate.tips) > clear) & (distance(centres, plate.ignored) > clear)
    return centres[far]


def offsets(plate: Plate, places: Points, linear: Matrix) -> NDArray[np.float32]:
    """Where the nearest tip is, seen from windows of a plate.

    Parameters
    ----------
    plate : Plate
    places : (N, 2) float
        ``x, y`` of the windows' middles, px of the plate.
    linear : (2, 2) float
        From px of the plate to px of the sample, without the shift.

    Returns
    -------
    (N, 2) float32
        ``x, y``, px of the sample; NaN beyond `R2` of all tips, near ignored points, and outside
        the plate, where a mirrored tip is nearer.
    """
    if len(plate.tips) == 0:
        return np.full((len(places), 2), np.nan, np.float32)
    zoom = math.sqrt(abs(np.linalg.det(linear)))
    apart, nearest = cKDTree(plate.tips).query(places)
    known = _counting(plate, places, zoom) & (zoom * apart <= R2)
    offset = (plate.tips[nearest] - places) @ linear.T
    return np.where(known[:, None], offset, np.nan).astype(np.float32)


class Samples(Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    """The samples of one round of training.

    They are cut around places that are drawn once for each round. Sample ``i`` depends on the
    seed, the round and ``i`` only, not on which worker makes it. Even ones have a tip in the
    middle window, odd ones have none; a dataset's share does not depend on how many it has.

    Parameters
    ----------
    plates : sequence of Plate
    length : int
        Samples in the round.
    seed, number : int
        `number` is the round's.
    mined : sequence of (N, 2) int32, optional
        False alarms on each plate, px.
    shares : mapping of str to float, optional
        How often samples come from each dataset, relative to the others; 1 where not given. A
        dataset without tips has its share of the samples without one only, half of all.

    Items
    -----
    sample : (3, SIDE, SIDE) uint8
    label : (2 * MARGIN + 1, 2 * MARGIN + 1) float32
        Of each window, as from `labels`.
    offset : (2, 2 * MARGIN + 1, 2 * MARGIN + 1) float32
        Of each window, as from `offsets`.
    plate : int
        Which plate it was cut from.
    """

    def __init__(
        self,
        plates: Sequence[Plate],
        length: int,
        seed: int,
        number: int = 0,
        mined: Sequence[Centres] | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self._shares = shares or {}
        self._plates, self._length, self.seed = plates, length, (seed, number)
        rng = np.random.default_rng(self.seed)
        images = Counter(plate.dataset for plate in plates)
        there: Counter[tuple[str, str]] = Counter()
        for i, plate in enumerate(plates):
            there["tip", plate.dataset] += len(plate.tips)
            there["mined", plate.dataset] += 0 if mined is None else len(mined[i])
        plate_of: list[int] = []
        points: list[NDArray[np.int32]] = []
        self._pools: dict[str, dict[str, list[int]]] = {
            kind: {} for kind in ("tip", "near", "anywhere", "mined")
        }
        grounds = in_threads(_grounds, plates, "looking for places")
        for i, plate in enumerate(plates):
            wanted = {kind: -(-most // images[plate.dataset]) for kind, most in PER_DATASET.items()}
            kinds = _candidates(plate, grounds[i], wanted, rng)
            if mined is not None:
                kinds["mined"] = mined[i]
            for kind, every in kinds.items():
                kept = PER_DATASET[kind] / max(there[kind, plate.dataset], 1)
                centres = every if kept >= 1 else every[rng.random(len(every)) < kept]
                pool = self._pools[kind].setdefault(plate.dataset, [])
                pool.extend(range(len(points), len(points) + len(centres)))
                points.extend(centres)
                plate_of.extend([i] * len(centres))
        self._points, self._plate_of = np.array(points), np.array(plate_of)
        for kind, pools in self._pools.items():
            self._pools[kind] = {dataset: pool for dataset, pool in pools.items() if pool}
        if not self._pools["tip"] or not any(self._pools[kind] for kind in SHARES):
            raise InputError(
                "the images hold no tip apart from ignored ones, or no place apart from tips, "
                "so there is nothing to tell apart; train with more images"
            )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor, int]:
        if not 0 <= i < self._length:
            raise IndexError(i)
        rng = np.random.default_rng((*self.seed, i))
        numbers, points = self._drawn(
            "tip" if i % 2 == 0 else self._negative_kinds(1, rng)[0], 1, rng
        )
        number, point = int(numbers[0]), points[0]
        plate = self._plates[number]
        sample, place = augment(plate.image, point, int(rng.integers(2**31)))
        linear = place[:, :2]
        places = (MIDDLES - place[:, 2]) @ np.linalg.inv(linear).T + point
        zoom = math.sqrt(abs(np.linalg.det(linear)))
        side = 2 * MARGIN + 1
        label = labels(plate, places, zoom).reshape(side, side)
        offset = offsets(plate, places, linear).T.reshape(2, side, side)
        image = np.ascontiguousarray(sample.transpose(2, 0, 1))
        return torch.from_numpy(image), torch.from_numpy(label), torch.from_numpy(offset), number

    def places(
        self, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Draw places to cut samples around, every other one a tip.

        Returns
        -------
        plates : (count,) int64
            The numbers of their plates.
        points : (count, 2) int32
            ``x, y``, px of the plate.
        """
        kinds = np.array(["anywhere"] * count)
        kinds[::2], kinds[1::2] = "tip", self._negative_kinds(count // 2, rng)
        plates, points = np.empty(count, np.int64), np.empty((count, 2), np.int32)
        for kind in sorted(set(kinds)):
            rows = np.flatnonzero(kinds == kind)
            plates[rows], points[rows] = self._drawn(kind, len(rows), rng)
        return plates, points

    def _negative_kinds(self, count: int, rng: np.random.Generator) -> list[str]:
        kinds = [kind for kind in SHARES if self._pools[kind]]
        share = np.array([SHARES[kind] for kind in kinds])
        return [kinds[number] for number in rng.choice(len(kinds), count, p=share / share.sum())]

    def _drawn(
        self, kind: str, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        pools = self._pools[kind]
        share = np.array([self._shares.get(dataset, 1.0) for dataset in pools])
        of_set = rng.choice(len(pools), count, p=share / share.sum())
        members = np.empty(count, np.int64)
        for number, pool in enumerate(pools.values()):
            rows = np.flatnonzero(of_set == number)
            members[rows] = np.take(pool, rng.integers(len(pool), size=len(rows)))
        return self._plate_of[members], self._points[members]


def window_patches(plates: Sequence[Plate], seed: int, kind: str = "near") -> TensorDataset:
    """Single windows as they are, to measure accuracy on: as many tips as others.

    Parameters
    ----------
    plates : sequence of Plate
    seed : int
    kind : str
        How the others are drawn: ``near`` something in the image, or ``anywhere``.

    Returns
    -------
    TensorDataset
        (3, WINDOW, WINDOW) uint8 and (1, 1) float32, the label. Each tip once, its window
        up to `SHIFT` off; each other window as far from tips and ignored points as `negatives`
        are, which leaves out those that are hardest to tell. Every plate gives as many of both.
    """
    rng = np.random.default_rng(seed)
    images, label = [], []
    for plate in plates:
        count = len(plate.tips)
        wanted = {"near": count, "anywhere": count}
        candidates = _candidates(plate, _grounds(plate), wanted, rng)
        tips, others = candidates["tip"], candidates[kind]
        bearing = rng.uniform(0, 2 * math.pi, size=len(tips))
        length = SHIFT * np.sqrt(rng.uniform(size=len(tips)))
        shift = length * np.stack([np.cos(bearing), np.sin(bearing)])
        tips = np.round(tips + shift.T).astype(np.int32)
        tips = tips[labels(plate, tips.astype(np.float64)) == 1]
        count = min(len(tips), len(others))
        centres = np.concatenate([tips[:count], others[:count]])
        images.append(windows.patches(plate.image, centres, WINDOW))
        label.append(np.repeat([1.0, 0.0], count))
    planes = np.ascontiguousarray(np.concatenate(images).transpose(0, 3, 1, 2))
    answers = np.concatenate(label).astype(np.float32).reshape(-1, 1, 1)
    return TensorDataset(torch.from_numpy(planes), torch.from_numpy(answers))


def _grounds(plate: Plate) -> tuple[Centres, Centres]:
    """Centres that are no tip, on a grid, and those of them near something."""
    grid = negatives(plate, windows.grid(plate.image.shape, STRIDE))
    return grid, grid[windows.foreground(plate.image, grid)]


def _candidates(
    plate: Plate,
    grounds: tuple[Centres, Centres],
    wanted: dict[str, int],
    rng: np.random.Generator,
) -> dict[str, Centres]:
    """Tips, and negatives drawn near something and anywhere."""
    shape = plate.image.shape
    # a mark may lie outside the image, or a fraction of a pixel past its edge
    tips = np.clip(np.round(plate.tips), 0, [shape[1] - 1, shape[0] - 1]).astype(np.int32)
    grid, near = grounds
    return {
        "tip": tips[distance(plate.tips, plate.ignored) > (R2 + SHIFT) * ZOOM],
        "near": rng.permutation(near)[: wanted["near"]],
        "anywhere": rng.permutation(grid)[: wanted["anywhere"]],
    }
