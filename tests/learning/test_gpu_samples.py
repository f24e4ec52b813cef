"""Samples made by the graphics card's way, here on the processor, against those of `patches`."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import pytorch_lightning as lightning
import torch

from roottip import windows
from roottip.learning import gpu_samples, patches
from roottip.learning.gpu_samples import GpuSamples, Stock
from roottip.learning.module import TipModule
from roottip.learning.patches import MARGIN, MIDDLES, SHIFT, SIDE, ZOOM, Samples
from roottip.learning.plates import Plate, read_plates

pytestmark = pytest.mark.filterwarnings(
    # Lightning's, about its own use of torch and about the few cores and batches of a test
    "ignore::FutureWarning:pytorch_lightning",
    "ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning",
)

COUNT = 24


@pytest.fixture(scope="module")
def plates(drawn: Path) -> list[Plate]:
    """Blurred, so that a fraction of a pixel is a fraction of a grey level."""
    sharp = read_plates([drawn])
    return [
        Plate(p.dataset, p.name, p.group, cv2.GaussianBlur(p.image, (0, 0), 3), p.tips, p.ignored)
        for p in sharp
    ]


@pytest.fixture(scope="module")
def samples(plates: list[Plate]) -> Samples:
    return Samples(plates, COUNT, seed=3)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def affine(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What `cut` draws first: of each sample (2, 2) px of the plate to px of it, and its middle."""
    draw = gpu_samples._Draws(COUNT, chance(seed))
    zoom = ZOOM ** draw.between(-1, 1).numpy()
    mirror = np.where(draw.chosen(0.5).numpy(), 1.0, -1.0)
    angle, bearing = (draw.between(0, 2 * math.pi).numpy() for _ in range(2))
    length = SHIFT * np.sqrt(draw.between(0, 1).numpy())
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = (zoom * turn).transpose(2, 0, 1) * np.stack([mirror, np.ones(COUNT)], 1)[:, None]
    middle = SIDE // 2 + length[:, None] * np.stack([np.cos(bearing), np.sin(bearing)], 1)
    return linear, middle


def test_a_sample_is_the_plate_turned_and_labelled_as_patches_do(
    plates: list[Plate], samples: Samples
) -> None:
    numbers, points = samples.places(COUNT, np.random.default_rng(1))
    image, label, offset = gpu_samples.cut(
        Stock(plates, "cpu"), torch.from_numpy(numbers), torch.from_numpy(points), chance(5)
    )
    side = 2 * MARGIN + 1
    for i, (linear, middle) in enumerate(zip(*affine(5), strict=True)):
        plate, point = plates[numbers[i]], points[i]
        place = np.column_stack([linear, middle - linear @ point])
        warped = cv2.warpAffine(plate.image, place, (SIDE, SIDE), borderMode=windows.BORDER)
        # OpenCV rounds places to a 32nd of a pixel and levels to whole numbers
        assert np.abs(image[i].permute(1, 2, 0).numpy() - warped).max() < 2
        zoom = math.sqrt(abs(np.linalg.det(linear)))
        places = (MIDDLES - middle) @ np.linalg.inv(linear).T + point
        expected = patches.labels(plate, places, zoom).reshape(side, side)
        np.testing.assert_array_equal(label[i].numpy(), expected)
        expected = patches.offsets(plate, places, linear).T.reshape(2, side, side)
        np.testing.assert_allclose(offset[i].numpy(), expected, atol=1e-3)
    assert (label[::2, MARGIN, MARGIN] == 1).all()


def test_light_keeps_levels_and_its_seed(plates: list[Plate], samples: Samples) -> None:
    numbers, points = map(torch.from_numpy, samples.places(COUNT, np.random.default_rng(0)))
    image, *_ = gpu_samples.cut(Stock(plates, "cpu"), numbers, points, chance())
    first, again, other = (gpu_samples.light(image, chance(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, first.round())
    assert (first.amin(), first.amax()) >= (0, 100)
    assert first.amax() <= 255


def test_colours_are_changed_in_half_and_turning_a_hue_leaves_grey_grey() -> None:
    colours = gpu_samples._colours(gpu_samples._Draws(4000, chance()))
    same = (colours == torch.eye(3)).all(dim=(1, 2))
    assert 0.47 < same.float().mean() < 0.57  # a sixth of the exchanged ones are as they were
    whole = colours[(colours.sum(dim=2) - 1).abs().amax(dim=1) < 1e-5]
    # all but the mixed ones, a twelfth
    assert 0.89 < len(whole) / 4000 < 0.95


def test_jpeg_is_opencvs(plates: list[Plate]) -> None:
    """Of a grey image: colours are kept at half the resolution there."""
    noise = np.random.default_rng(0).normal(0, 12, (96, 96))
    grey = np.clip(plates[0].image[:96, :96].mean(axis=2) + noise, 0, 255).round()
    image = torch.from_numpy(np.tile(grey, (2, 3, 1, 1))).float()
    ours = gpu_samples.jpeg(image, torch.tensor([40.0, 50.0])).round()
    for i, quality in enumerate((40, 50)):
        coded = cv2.imencode(".jpg", grey.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        lost = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE) - grey
        assert np.abs(lost).mean() > 1
        # a number just between two steps may be rounded either way
        assert np.corrcoef(lost.ravel(), (ours[i, 0].numpy() - grey).ravel())[0, 1] > 0.99


def test_batches_of_a_round(plates: list[Plate], samples: Samples) -> None:
    stock = Stock(plates, "cpu")
    batches = list(GpuSamples(samples, stock, 10))
    assert [len(batch[0]) for batch in batches] == [10, 10, 4]
    assert len(GpuSamples(samples, stock, 10)) == 3
    again = next(iter(GpuSamples(samples, stock, 10)))
    for first, second in zip(batches[0], again, strict=True):
        torch.testing.assert_close(first, second, equal_nan=True, rtol=0, atol=0)
    assert batches[0][0].dtype == torch.uint8
    # the second of two processes has other samples than the first, half as many as one alone
    halves = [list(GpuSamples(samples, stock, 10, range(12 * n, 12 * n + 12))) for n in (0, 1)]
    assert [[len(batch[0]) for batch in half] for half in halves] == [[10, 2], [10, 2]]
    assert not torch.equal(halves[0][0][0], halves[1][0][0])


def test_a_net_learns_from_them(plates: list[Plate]) -> None:
    torch.manual_seed(0)
    module = TipModule(kernels=4, features=6, hidden=5)
    before = module.net.layers[0].weight.detach().clone()
    batches = GpuSamples(Samples(plates, 16, seed=0), Stock(plates, "cpu"), 8)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, batches)
    assert trainer.global_step == 2
    assert not torch.equal(module.net.layers[0].weight, before)


def test_each_round_has_batches_of_its_own(plates: list[Plate]) -> None:
    stock = Stock(plates, "cpu")
    rounds = (GpuSamples(Samples(plates, COUNT, 3, number), stock, COUNT) for number in (0, 1))
    # of samples around tips, which are the same places in every round
    first, second = (next(iter(batches))[2][::2].nan_to_num() for batches in rounds)
    assert not torch.equal(first, second)
