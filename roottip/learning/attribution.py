"""Looking into the net: its feature maps, what each feature does, which pixels made a score.

The net here is the exported one, number for number (`roottip.learning.export` has folded the
normalisation into it), so that what is explained is what detects. Evidence is the net's last
number before the sigmoid, the log-odds of a tip: 0 is as likely as not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion
from numpy.typing import NDArray
from scipy.special import logit
from torch import Tensor, nn

from roottip import windows
from roottip.errors import InputError
from roottip.learning.net import channels_last
from roottip.scorers.cnn import CnnScorer
from roottip.scorers.runtime import torch_layers
from roottip.windows import Centres, Image

Floats = NDArray[np.float32]
Net = nn.Sequential
"""As `read_net` gives it."""

STEPS, GAP = (64, 128, 256, 512), 0.05
"""Steps from the empty window to the real one, of integrated gradients; more of them as long as
the pixels' evidence does not add up to the whole, to within this share."""

_BATCH = 128
"""Windows through the net at a time; bounds the memory."""

_TILE = 64
"""Windows along the side of a tile whose features are computed at once."""


def read_net(weights: Path) -> Net:
    """The exported net in torch: convolutions, and a ReLU after each but the last.

    Takes (N, 3, H, W) float, 0 to 255, and gives (N, 1, rows, columns) evidence.

    Raises
    ------
    InputError
        The files are missing or damaged, or the net is built otherwise.
    """
    scorer = CnnScorer(weights)  # says what is wrong with the files
    refused = InputError(f"{weights} is no chain of convolutions as roottip train makes them")
    try:
        net: Net = channels_last(torch_layers(weights.read_bytes()))
    except InputError as error:
        raise refused from error
    last = net[-1]
    assert isinstance(last, nn.Conv2d)
    for name in ("weight", "bias"):  # without the offsets
        setattr(last, name, nn.Parameter(getattr(last, name)[:1], requires_grad=False))
    last.out_channels = 1
    side = scorer.card["window"]
    example = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    scores = np.clip(scorer.score_patches(example), 1e-7, 1 - 1e-7)
    if not np.allclose(evidence(net, example), logit(scores), atol=1e-2):
        raise refused
    return net


@torch.no_grad()
def evidence(net: nn.Module, patches: Image) -> Floats:
    """(N, side, side, 3) windows to (N,) evidence."""
    parts = [net(part)[:, 0, 0, 0].numpy() for part in torch.split(planes(patches), _BATCH)]
    return np.concatenate([np.empty(0, np.float32), *parts])


def planes(patches: Image) -> Tensor:
    """(N, side, side, 3) uint8 as the net takes it, (N, 3, side, side) float."""
    return torch.from_numpy(np.ascontiguousarray(patches.transpose(0, 3, 1, 2))).float()


@torch.no_grad()
def feature_maps(net: Net, patch: Image) -> list[Floats]:
    """What each ReLU and the end of the net give for a window, (K, rows, columns) each."""
    value, maps = planes(patch[None]), []
    for i, layer in enumerate(net):
        value = layer(value)
        if isinstance(layer, nn.ReLU) or i == len(net) - 1:
            maps.append(value[0].numpy().copy())
    return maps


def first_kernels(net: Net) -> Floats:
    """(K, 3, side, side) weights of the first layer."""
    first = next(iter(net))
    assert isinstance(first, nn.Conv2d)
    return np.asarray(first.weight.detach().numpy())


def shapes(net: Net) -> list[tuple[int, int, int]]:
    """Of each of `feature_maps`: side and step of the kernels, side of what a pixel sees (px)."""
    field, step, sides = 1, 1, []
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            side, stride = int(layer.kernel_size[0]), int(layer.stride[0])
            field, step = field + (side - 1) * int(layer.dilation[0]) * step, step * stride
            sides.append((side, stride, field))
    return sides


def one_pixel(net: Net, side: int) -> int:
    """How many layers of the net come before a window is one pixel with many features."""
    maps = feature_maps(net, np.zeros((side, side, 3), np.uint8))
    depth = next(i for i, value in enumerate(maps) if value.shape[1:] == (1, 1))
    return 2 * depth + 2


@torch.no_grad()
def features(
    net: Net, layers: int, image: Image, centres: Centres, side: int, stride: int
) -> Floats:
    """The features of windows where they are one pixel: (N, K).

    Parameters
    ----------
    net : Sequential
    layers : int
        From `one_pixel`.
    image : (H, W, 3) uint8
    centres : (N, 2) int32
        Of one grid of the net's stride.
    side, stride : int
        Of the net's window and of its steps, px.
    """
    head = net[:layers]
    padded = windows.pad(image, side)
    found: Floats | None = None
    for members in windows.tiles(centres, stride * _TILE):
        here = centres[members]
        left, top = here.min(axis=0)
        right, bottom = here.max(axis=0) + side
        value = head(planes(padded[None, top:bottom, left:right]))[0].numpy()
        column, row = ((here - (left, top)) // stride).T
        if found is None:
            found = np.empty((len(centres), len(value)), np.float32)
        found[members] = value[:, row, column].T
    return np.empty((0, 0), np.float32) if found is None else found


@torch.no_grad()
def effects(net: Net, layers: int, patches: Image, blanks: Image) -> Floats:
    """How much evidence each feature gives: what is lost when it sees nothing.

    Parameters
    ----------
    net : Sequential
    layers : int
        After how many of the net's layers the features are.
    patches, blanks : (N, side, side, 3) uint8
        Windows, and the empty ground of each.

    Returns
    -------
    (N, K) float32
        The fall of a window's evidence when one feature's map is that of the empty ground.
    """
    head, tail = net[:layers], net[layers:]
    falls = []
    for patch, blank in zip(planes(patches), planes(blanks), strict=True):
        seen, empty = head(patch[None])[0], head(blank[None])[0]
        changed = seen.repeat(len(seen), 1, 1, 1)
        each = torch.arange(len(seen))
        changed[each, each] = empty
        # in one batch: in another of its own the same window's answer may be rounded otherwise
        answers = tail(torch.cat([seen[None], changed]))[:, 0, 0, 0]
        falls.append((answers[0] - answers[1:]).numpy())
    return np.stack(falls) if falls else np.empty((0, 0), np.float32)


def integrated_gradients(net: nn.Module, patch: Image, blank: Image) -> tuple[Floats, float]:
    """Share the evidence out among the pixels (Sundararajan, Taly and Yan 2017).

    Parameters
    ----------
    net : Module
    patch, blank : (side, side, 3) uint8
        The window, and the empty ground that it is held against.

    Returns
    -------
    given : (side, side) float32
        Evidence that each pixel gave, its colours added up.
    gap : float
        Their sum less the difference of evidence between the two: 0 with steps without end.
        Steps are the first of `STEPS` with which it is no more than `GAP` of that, or the last.
    """
    method, (here, empty) = (
        IntegratedGradients(_answer(net)),
        (planes(patch[None]), planes(blank[None])),
    )
    for steps in STEPS:
        given, gap = method.attribute(
            here,
            empty,
            n_steps=steps,
            # the integrand has kinks wherever a ReLU wakes: equal steps, not Gauss-Legendre's
            method="riemann_middle",
            internal_batch_size=_BATCH,
            return_convergence_delta=True,
        )
        moved = float(given.sum()) - float(gap)
        if abs(float(gap)) <= GAP * abs(moved):
            break
    return given[0].sum(dim=0).detach().float().numpy(), float(gap)


@torch.no_grad()
def occlusion(net: nn.Module, patch: Image, blank: Image, side: int) -> Floats:
    """How much evidence is lost when a square is covered with empty ground.

    Parameters
    ----------
    net : Module
    patch, blank : (H, W, 3) uint8
    side : int
        Of the squares, px; they lie side by side.

    Returns
    -------
    (H, W) float32
        The same all over a square.
    """
    method = Occlusion(_answer(net))
    falls = method.attribute(
        planes(patch[None]),
        sliding_window_shapes=(3, side, side),
        strides=(3, side, side),
        baselines=planes(blank[None]),
        perturbations_per_eval=_BATCH,
    )
    return np.asarray(falls[0, 0].float().numpy())


def _answer(net: nn.Module) -> Any:
    return lambda image: net(image)[:, 0, 0, 0]
