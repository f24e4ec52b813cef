"""Samples made on the graphics card, where a hundred processors would not keep up with it.

They are what `patches.Samples` makes, a batch at a time: cut around the same kinds of places,
turned, resized and shifted alike, labelled by the same distances. What light and camera do to
them is modelled in torch in place of albumentations, which computes on processors: not the same
pictures, but the same kinds of change in about the same shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from roottip.learning.patches import MARGIN, MIDDLES, R1, R2, SHIFT, SIDE, ZOOM, Samples
from roottip.learning.plates import Plate
from roottip.windows import Points

_NOWHERE = 1e5
"""px; a plate with fewer points than the others has the rest of its row here."""

_EXACT = "donot_use_mm_for_euclid_dist"
"""For torch.cdist: by products, coordinates of thousands lose tenths of a px in float32."""

_LUMA = (0.299, 0.587, 0.114)
_ALONG = 2 * MARGIN + 1


class Stock:
    """Plates on the GPU: all pixels in a row, and where each plate's begin.

    Parameters
    ----------
    plates : sequence of Plate
    device : torch.device
    """

    def __init__(self, plates: Sequence[Plate], device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.pixels = torch.cat([torch.from_numpy(p.image).reshape(-1, 3) for p in plates])
        self.pixels = self.pixels.to(device)
        self.sizes = torch.tensor([p.image.shape[1::-1] for p in plates], device=device)
        self.starts = self.sizes.prod(dim=1).cumsum(0) - self.sizes.prod(dim=1)
        self.tips = _rows([p.tips for p in plates]).to(device)
        self.ignored = _rows([p.ignored for p in plates]).to(device)


class GpuSamples:
    """The samples of one round of training, batch by batch, on the GPU.

    Parameters
    ----------
    samples : Samples
        Says where samples are cut, how many there are, and the seed.
    stock : Stock
        Its plates.
    batch : int
    own : range, optional
        Which of the samples; all where not given.

    Items
    -----
    As those of `Samples`, `batch` of each; the plates' numbers are not on the GPU.
    """

    def __init__(
        self, samples: Samples, stock: Stock, batch: int, own: range | None = None
    ) -> None:
        self._samples, self._stock, self._batch = samples, stock, batch
        self._own = range(len(samples)) if own is None else own

    def __len__(self) -> int:
        return -(-len(self._own) // self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        rng = np.random.default_rng((*self._samples.seed, self._own.start))
        chance = torch.Generator(self._stock.device)
        chance.manual_seed(int(rng.integers(2**31)))
        for start in self._own[:: self._batch]:
            count = min(self._batch, self._own.stop - start)
            plates, points = map(torch.from_numpy, self._samples.places(count, rng))
            image, label, offset = cut(self._stock, plates, points, chance)
            yield light(image, chance).byte(), label, offset, plates


def cut(
    stock: Stock, plates: Tensor, points: Tensor, chance: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut samples, turned, mirrored, resized and shifted at random, as `patches.augment` does.

    Parameters
    ----------
    stock : Stock
    plates : (B,) int64
        Of which plate each sample is.
    points : (B, 2) int32
        ``x, y`` of the pixel that it is cut around.
    chance : Generator
        On the stock's device.

    Returns
    -------
    image : (B, 3, SIDE, SIDE) float
        RGB, 0 to 255, linear between pixels; beyond the border the plate is reflected.
    label, offset : (B, n, n), (B, 2, n, n) float
        With ``n = 2 * MARGIN + 1``, as from `patches.labels` and `patches.offsets`.
    """
    draw = _Draws(len(plates), chance)
    plates, points = plates.to(stock.device), points.to(stock.device).float()
    zoom = ZOOM ** draw.between(-1, 1)
    mirror = draw.chosen(0.5) * 2.0 - 1
    cos, sin = _direction(draw.between(0, 2 * math.pi))
    rows = torch.stack([cos * mirror, -sin], -1), torch.stack([sin * mirror, cos], -1)
    linear = zoom[:, None, None] * torch.stack(rows, 1)
    back = torch.linalg.inv(linear)
    bearing = torch.stack(_direction(draw.between(0, 2 * math.pi)), -1)
    middle = SIDE // 2 + SHIFT * draw.between(0, 1).sqrt()[:, None] * bearing

    def on_plate(places: Tensor) -> Tensor:
        """(B, N, 2) px of the plates from (N, 2) px of the samples."""
        return torch.einsum("bij,bnj->bni", back, places - middle[:, None]) + points[:, None]

    along = torch.arange(SIDE, device=stock.device, dtype=torch.float32)
    y, x = torch.meshgrid(along, along, indexing="ij")
    image = _read(stock, plates, on_plate(torch.stack([x.ravel(), y.ravel()], -1)))
    places = on_plate(torch.from_numpy(MIDDLES).float().to(stock.device))
    apart = torch.cdist(places, stock.tips[plates], compute_mode=_EXACT)
    tip, nearest = apart.min(dim=-1)
    tip = tip * zoom[:, None]
    ignored = torch.cdist(places, stock.ignored[plates], compute_mode=_EXACT)
    ignored = ignored.amin(dim=-1) * zoom[:, None]
    inside = ((places > -0.5) & (places < stock.sizes[plates][:, None] - 0.5)).all(dim=-1)
    counts = inside & (ignored > R2)
    label = torch.full_like(tip, math.nan)
    label = label.where(~(counts & (tip <= R1)), 1.0).where(~(counts & (tip > R2)), 0.0)
    to_tip = stock.tips[plates].gather(1, nearest[..., None].expand(-1, -1, 2)) - places
    known = counts & (tip <= R2)
    offset = torch.einsum("bij,bnj->bin", linear, to_tip).where(known[:, None], math.nan)
    return (
        image.reshape(-1, 3, SIDE, SIDE),
        label.reshape(-1, _ALONG, _ALONG),
        offset.reshape(-1, 2, _ALONG, _ALONG),
    )


def light(image: Tensor, chance: torch.Generator) -> Tensor:
    """Other papers, gels, lamps, cameras: each change is made to some of the samples.

    Parameters
    ----------
    image : (B, 3, H, W) float
        RGB, 0 to 255; sides a multiple of 8.
    chance : Generator

    Returns
    -------
    (B, 3, H, W) float
        Whole numbers, 0 to 255.
    """
    count, (height, width) = len(image), image.shape[-2:]
    draw = _Draws(count, chance)
    image = torch.einsum("bij,bjhw->bihw", _colours(draw), image)
    tinted = draw.chosen(0.08)[:, None] * draw.between(-60, 60, 3)
    image = (image + tinted[:, :, None, None]).clamp(0, 255)
    image = torch.where(_wide(draw.chosen(0.1)), 255 - image, image)
    # brighter towards one side
    x, y = (torch.linspace(-1, 1, side, device=image.device) for side in (width, height))
    cos, sin = map(_wide, _direction(draw.between(0, 2 * math.pi)))
    slope = _wide(draw.chosen(0.25) * draw.between(0, 40))
    image = image + slope * (cos * x + sin * y[:, None])
    exposed = draw.chosen(0.7)
    contrast = _wide(1 + exposed * draw.between(-0.65, 0.5))
    middle = _wide(draw.chosen(0.5) * image.mean(dim=(1, 2, 3)))
    brightness = _wide(exposed * draw.between(-0.3, 0.3) * 255)
    image = ((image - middle) * contrast + middle + brightness).clamp(0, 255)
    gamma = torch.where(draw.chosen(0.4), draw.between(0.6, 1.6), 1.0)
    image = 255 * (image / 255).clamp(1e-4).pow(_wide(gamma))
    for share, change in ((0.3, _blurred), (0.35, _noisy), (0.3, _compressed)):
        rows = draw.some(share)
        image = image.index_copy(0, rows, change(image[rows], _Draws(len(rows), chance)))
    return image.round().clamp(0, 255)


class _Draws:
    """Random numbers, one for each of `count` samples."""

    def __init__(self, count: int, chance: torch.Generator) -> None:
        self.count, self.chance = count, chance
        self.where = chance.device

    def between(self, low: float, high: float, *each: int) -> Tensor:
        drawn = torch.rand(self.count, *each, generator=self.chance, device=self.where)
        return low + (high - low) * drawn

    def chosen(self, share: float) -> Tensor:
        return self.between(0, 1) < share

    def some(self, share: float) -> Tensor:
        """Which `share` of the samples; as many each time, so that nobody waits for a count."""
        order = torch.randperm(self.count, generator=self.chance, device=self.where)
        return order[: round(share * self.count)]

    def normal(self, *each: int) -> Tensor:
        return torch.randn(self.count, *each, generator=self.chance, device=self.where)


def _colours(draw: _Draws) -> Tensor:
    """(B, 3, 3): hues turned and paled, channels exchanged or mixed, grey; half as they are."""
    one, luma = torch.eye(3, device=draw.where), torch.tensor(_LUMA, device=draw.where)
    grey = torch.full((3, 3), 1 / 3, device=draw.where)
    turn = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=draw.where) / math.sqrt(3)
    cos, sin = _direction(draw.between(0, 2 * math.pi))
    # about the axis of greys
    hue = cos[:, None, None] * (one - grey) + sin[:, None, None] * turn
    hue = grey + draw.between(0.3, 1.8)[:, None, None] * hue
    exchanged = one[draw.between(0, 1, 3).argsort(dim=1)]
    weights = draw.between(0, 1, 3) ** 2
    weights = torch.where(draw.chosen(0.4)[:, None], luma, weights / weights.sum(1, keepdim=True))
    flat = weights[:, None].expand(-1, 3, -1)
    mixed = one + 0.25 * draw.normal(3, 3)
    kinds = torch.stack([hue, hue, exchanged, flat, flat, mixed, *[one.expand_as(hue)] * 6], 1)
    return kinds[torch.arange(draw.count, device=draw.where), draw.between(0, 12).long()]


def _blurred(image: Tensor, draw: _Draws) -> Tensor:
    """By a Gaussian of 5 x 5 px, round, or long in some direction as a moved camera's."""
    along = torch.arange(-2.0, 3.0, device=draw.where)
    y, x = torch.meshgrid(along, along, indexing="ij")
    cos, sin = (part[:, None, None] for part in _direction(draw.between(0, math.pi)))
    moved, wide = draw.chosen(0.35), draw.between(0.3, 1.3)
    length = torch.where(moved, draw.between(1, 2), wide)[:, None, None]
    breadth = torch.where(moved, 0.4, wide)[:, None, None]
    kernel = -(((cos * x + sin * y) / length) ** 2 + ((cos * y - sin * x) / breadth) ** 2) / 2
    kernel = kernel.exp() / kernel.exp().sum(dim=(1, 2), keepdim=True)
    padded, (height, width) = pad(image, (2, 2, 2, 2), mode="reflect"), image.shape[-2:]
    total = torch.zeros_like(image)
    for row in range(5):
        for column in range(5):
            part = padded[:, :, row : row + height, column : column + width]
            total += _wide(kernel[:, row, column]) * part
    return total


def _noisy(image: Tensor, draw: _Draws) -> Tensor:
    """Each pixel by itself, of some samples all colours alike."""
    noise = draw.normal(*image.shape[1:])
    noise = torch.where(_wide(draw.chosen(0.4)), noise[:, :1], noise)
    return (image + _wide(255 * draw.between(0.008, 0.06)) * noise).clamp(0, 255)


def _compressed(image: Tensor, draw: _Draws) -> Tensor:
    return jpeg(image.round(), draw.between(35, 95))


_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))

_STEPS = (
    (
        (16, 11, 10, 16, 24, 40, 51, 61),
        (12, 12, 14, 19, 26, 58, 60, 55),
        (14, 13, 16, 24, 40, 57, 69, 56),
        (14, 17, 22, 29, 51, 87, 80, 62),
        (18, 22, 37, 56, 68, 109, 103, 77),
        (24, 35, 55, 64, 81, 104, 113, 92),
        (49, 64, 78, 87, 103, 121, 120, 101),
        (72, 92, 95, 98, 112, 100, 103, 99),
    ),
    (
        (17, 18, 24, 47, 99, 99, 99, 99),
        (18, 21, 26, 66, 99, 99, 99, 99),
        (24, 26, 56, 99, 99, 99, 99, 99),
        (47, 66, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
        (99, 99, 99, 99, 99, 99, 99, 99),
    ),
)
"""Quantisation of luma and chroma in Annex K of ITU-T T.81."""


def jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """What JPEG leaves of images (ITU-T T.81), colours as fine as brightness.

    Parameters
    ----------
    image : (B, 3, H, W) float
        RGB, 0 to 255; sides a multiple of 8.
    quality : (B,) float
        1 to 100, as libjpeg takes it.
    """
    (height, width), device = image.shape[-2:], image.device
    to_ycc = torch.tensor(_TO_YCC, device=device)
    k = torch.arange(8.0, device=device)
    cosines = torch.cos(math.pi * (2 * k + 1) * k[:, None] / 16) / 2
    cosines[0] /= math.sqrt(2)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    luma, chroma = (torch.tensor(steps, device=device) for steps in _STEPS)
    steps = torch.stack([luma, chroma, chroma]) * scale[:, None, None, None]
    steps = (steps + 0.5).floor().clamp(1, 255)[:, :, None, None]
    level = torch.tensor([128.0, 0, 0], device=device)[:, None, None]
    planes = torch.einsum("ij,bjhw->bihw", to_ycc, image) - level
    blocks = planes.reshape(-1, 3, height // 8, 8, width // 8, 8).transpose(3, 4)
    kept = (cosines @ blocks @ cosines.T / steps).round() * steps
    planes = (cosines.T @ kept @ cosines).transpose(3, 4).reshape(-1, 3, height, width) + level
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), planes).clamp(0, 255)


def _read(stock: Stock, plates: Tensor, places: Tensor) -> Tensor:
    """(B, 3, N): plates read at (B, N, 2) places ``x, y``, linear between pixels."""
    whole = places.floor()
    right, down = (places - whole).unbind(-1)
    size, start = stock.sizes[plates][:, None], stock.starts[plates][:, None]
    value = torch.zeros(*places.shape[:2], 3, device=stock.device)
    for step_y, share_y in ((0, 1 - down), (1, down)):
        for step_x, share_x in ((0, 1 - right), (1, right)):
            step = torch.tensor([step_x, step_y], device=stock.device)
            x, y = _reflected(whole.long() + step, size).unbind(-1)
            pixel = stock.pixels[start + y * size[..., 0] + x]
            value += (share_x * share_y)[..., None] * pixel
    return value.transpose(1, 2)


def _reflected(place: Tensor, size: Tensor) -> Tensor:
    """As `windows.BORDER`: the edge pixel is not repeated."""
    period = (2 * (size - 1)).clamp(min=1)
    place = place % period
    return torch.where(place >= size, period - place, place)


def _rows(points: Sequence[Points]) -> Tensor:
    """(P, most, 2) float: the points of each plate, and `_NOWHERE`."""
    most = max(1, *map(len, points))
    rows: NDArray[np.float32] = np.full((len(points), most, 2), _NOWHERE, np.float32)
    for row, own in zip(rows, points, strict=True):
        row[: len(own)] = own
    return torch.from_numpy(rows)


def _direction(angle: Tensor) -> tuple[Tensor, Tensor]:
    return angle.cos(), angle.sin()


def _wide(each: Tensor) -> Tensor:
    """One number for each sample, to go with (B, 3, H, W)."""
    return each[:, None, None, None]
