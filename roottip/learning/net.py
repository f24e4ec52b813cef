"""The net that looks at a window: a bare torch module.

Nothing is padded, so the same weights see one window (one answer comes out) or a whole image
(one answer for every window, `STRIDE` apart): a scan *is* the windows, cut one by one.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

_Module = TypeVar("_Module", bound=nn.Module)

STRIDE = 4
"""Pixels between the windows of neighbouring output numbers."""

GAPS = (1, 1, 1, 1, 2, 2, 3, 3)
"""How far apart the taps of the inner layers are, in strides (Yu and Koltun 2016): the last ones
look far around for as little work as the first."""

WINDOW = 16 + 2 * STRIDE * sum(GAPS)
"""Side of the window, px: exactly what one output number depends on."""

MEAN, SPREAD = 127.5, 64.0
"""Grey levels are shifted and divided by these inside the net; constants, because a window's
score must not depend on what lies outside the window."""


class TipNet(nn.Module):
    """Tip or not, and where: unpadded convolutions down to one pixel with many features.

    Where a window's tip is, an offset, was learnt in Hough forests (Gall et al. 2011, IEEE TPAMI
    33) and since: windows that see one tip point to one place, those between two to either.

    Parameters
    ----------
    kernels : int
        Kernels of the first two layers, at half resolution.
    features : int
        Kernels of the layers at the final resolution.
    hidden : int
        Width of the fully connected layer (a 1x1 convolution) before the answer.
    """

    window = WINDOW

    def __init__(self, kernels: int = 32, features: int = 64, hidden: int = 128) -> None:
        super().__init__()
        layers = [
            *_layer(3, kernels, 6, stride=2),
            *_layer(kernels, kernels, 3),
            *_layer(kernels, features, 4, stride=2),
        ]
        for gap in GAPS:
            layers += _layer(features, features, 3, dilation=gap)
        layers += _layer(features, hidden, 1)
        self.layers = nn.Sequential(*layers, nn.Conv2d(hidden, 3, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of all windows, as `look` does."""
        return self.look(image)[0]

    def look(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Look at all windows.

        Parameters
        ----------
        image : (N, 3, H, W) uint8 or float
            RGB, 0 to 255, at least `WINDOW` px wide and high.

        Returns
        -------
        logits : (N, rows, columns) float
            ``rows = (H - WINDOW) // STRIDE + 1``; entry ``[i, j]`` is the window whose
            top-left pixel is ``(x, y) = (STRIDE * j, STRIDE * i)``.
        offsets : (N, 2, rows, columns) float
            ``x, y`` of the tip seen from the window's centre, px; means nothing where the logit
            says that there is none.
        """
        level = (image.float() - MEAN) / SPREAD
        answer: Tensor = self.layers(level)
        return answer[:, 0], STRIDE * answer[:, 1:]


class GlanceNet(nn.Module):
    """The same stride for a small share of the work: a smaller window, few kernels, wide gaps."""

    window = 80

    def __init__(self) -> None:
        super().__init__()
        kernels, features = 16, 32
        layers = [*_layer(3, kernels, 6, stride=2), *_layer(kernels, features, 4, stride=2)]
        for gap in (1, 1, 2, 4):
            layers += _layer(features, features, 3, dilation=gap)
        self.layers = nn.Sequential(*layers, nn.Conv2d(features, 1, 2))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of all windows, as `TipNet.look` does."""
        logits: Tensor = self.layers((image.float() - MEAN) / SPREAD)
        return logits[:, 0]


class ReviewNet(nn.Module):
    """Looks at several squares around a find and says how much speaks for a tip.

    All squares go through the layers of a net of windows, which are learnt on; a small fully
    connected net weighs what they bring together.

    Parameters
    ----------
    net : TipNet
        Whose layers to begin with; it stays as it is.
    squares : int
        How many around each find.
    """

    window = WINDOW

    def __init__(self, net: TipNet, squares: int) -> None:
        super().__init__()
        hidden = 128
        *layers, last = copy.deepcopy(net.layers)
        self.layers = nn.Sequential(*layers)
        assert isinstance(last, nn.Conv2d)
        self.head = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(squares * last.in_channels, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.3),
            nn.Linear(hidden, 1),
        )
        # a review that begins by leaving scores as they are
        answer = self.head[-1]
        assert isinstance(answer, nn.Linear)
        nn.init.zeros_(answer.weight)
        nn.init.zeros_(answer.bias)

    def forward(self, squares: Tensor) -> Tensor:
        """Look at finds.

        Parameters
        ----------
        squares : (N, S, 3, WINDOW, WINDOW) uint8
            RGB, 0 to 255.

        Returns
        -------
        (N,) float
            What to add to the logits of the finds' scores.
        """
        level = (squares.flatten(0, 1).float() - MEAN) / SPREAD
        seen = self.layers(level.contiguous(memory_format=torch.channels_last))
        answer: Tensor = self.head(seen.reshape(len(squares), -1))
        return answer[:, 0]


Net = TipNet | GlanceNet | ReviewNet
"""What can be trained and exported."""


def channels_last(net: _Module) -> _Module:
    """The same net, its numbers laid out so that oneDNN and cuDNN convolve twice as fast."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    return net


def _layer(
    inputs: int, outputs: int, side: int, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, side, stride, dilation=dilation, bias=False)
    if inputs == outputs:
        # a layer that begins by passing on what it gets, as in DiracNets (Zagoruyko and Komodakis
        # 2017, https://arxiv.org/abs/1706.00388): otherwise the middle of the window hardly
        # reaches the end of a net this deep, which says "none" for hundreds of steps
        noise = nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear").detach().clone()
        nn.init.dirac_(convolution.weight)
        convolution.weight.data += noise
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
