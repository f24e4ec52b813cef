"""The trained net, slid over the whole image as one convolution.

Beside the weights, ``NAME.onnx``, lies their card, ``NAME.json``: everything that using them
needs and how they came about. `roottip.learning.export` writes the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roottip import windows
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.scorers.card import detector_of, net_sha256, read_card, read_weights
from roottip.scorers.review import open_review
from roottip.scorers.runtime import OpenNet, check_runtime
from roottip.windows import Centres, Image, Points, Scores

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "cnn.onnx"
"""Made by ``scripts/train_release.py``; ``MODEL_CARD.md`` beside it says what it can do."""

CARD_VERSION = 1
"""Changes when a card's keys change their meaning."""

_TILE = 128
"""Windows along a tile's side. Small enough for a layer to stay in the processor's cache, large
enough for the halo, pixels that two tiles both compute, to be a small share."""

_SPARSE, _REACH = 0.25, 2
"""Where less than this share of a tile's windows is wanted, each cluster of them is scanned by
itself: more pixels are computed twice, but most of the tile is left out. Clusters so close that
their pixels mostly are the same, each this many windows from where they meet, are one."""

_PIXELS = 500_000
"""Pieces of one shape are scanned together up to so many pixels: a runtime works best on what has
the shape of what came before."""

_BATCH = 512
"""Cut patches scored at a time; bounds the memory."""


class CnnScorer:
    """Scores windows with a trained net.

    Neighbouring windows share most of their pixels, so the windows of a regular grid are
    scored by sliding the net over the image, tile by tile, leaving out tiles without windows.
    Every window gets the score that its cut patch would get, to within 1e-5.

    Parameters
    ----------
    weights : path
        ``NAME.onnx``; the card ``NAME.json`` lies beside it.
    runtime : str
        What computes it, one of `runtime.RUNTIMES`.

    Attributes
    ----------
    card : dict
        What the card says: ``window``, ``stride``, ``root_width``, ``radius`` (px),
        ``threshold``, ``sha256`` of the weights, how they were trained.
    runtime : str
        What computes it.
    reach : int
        A score depends on pixels up to this far from the window's centre, px.

    Raises
    ------
    InputError
        The weights or the card are missing, damaged, or do not belong together, or there is
        no such runtime.
    """

    def __init__(self, weights: str | Path, runtime: str = "onnxruntime") -> None:
        weights = Path(weights)
        self.card = card_of(weights)
        self.runtime = check_runtime(runtime)
        self._window, self._stride = self.card["window"], self.card["stride"]
        self.reach = self._window // 2
        model = read_weights(weights, self.card)
        try:
            self._net = OpenNet(model, self.runtime)
            self._check_fit()
        except InputError:
            raise
        # the runtimes' exceptions share no base but Exception
        except Exception as error:
            raise InputError(
                f"{weights} is no net that roottip can use ({str(error).splitlines()[0]}); "
                "make one with roottip train"
            ) from error

    def __call__(self, image: Image, centres: Centres, /) -> Scores:
        """Score windows.

        Parameters
        ----------
        image : (H, W) or (H, W, 3) uint8
            RGB, resized so that roots are ``card["root_width"]`` px wide.
        centres : (N, 2) int32
            ``x, y`` of the windows. Those of one grid of the card's stride are scanned; any
            others are cut and scored one by one, with the same result.

        Returns
        -------
        (N,) float32
            In [0, 1].
        """
        return self._answers(image, centres)[:, 0]

    def look(self, image: Image, centres: Centres) -> tuple[Scores, Points]:
        """Score windows, and say where the tip is that each of them sees.

        Parameters
        ----------
        image, centres
            As when called.

        Returns
        -------
        scores : (N,) float32
            In [0, 1].
        places : (N, 2) float64
            ``x, y``, px; the centre itself where the net was not taught offsets.
        """
        answers = self._answers(image, centres)
        return answers[:, 0], centres.astype(np.float64) + answers[:, 1:]

    def score_patches(self, patches: Image) -> Scores:
        """Score patches cut beforehand: (N, window, window, 3) uint8 to (N,) float32."""
        return self.slide(patches)[:, 0, 0]

    def slide(self, images: Image) -> Scores:
        """Score all windows that lie inside images, from the top-left on, a stride apart.

        Parameters
        ----------
        images : (N, H, W, 3) uint8
            At least a window wide and high.

        Returns
        -------
        (N, rows, columns) float32
            ``rows = (H - window) // stride + 1``.
        """
        # pixels that belong to no window; a net in 8 bits wants an even number of them
        sides = [
            self._window + (side - self._window) // self._stride * self._stride
            for side in images.shape[1:3]
        ]
        return self._net(np.ascontiguousarray(images[:, : sides[0], : sides[1]]))[0]

    def _answers(self, image: Image, centres: Centres) -> Scores:
        """(N, 3): the scores, and ``x, y`` from the centre to the tip, 0 if the net has no say."""
        image = windows.in_colour(image)
        answers = np.zeros((len(centres), 3), dtype=np.float32)
        if len(centres):
            phase = centres % self._stride
            fill = self._scan if bool((phase == phase[0]).all()) else self._cut
            fill(image, centres, answers)
        return answers

    def _scan(self, image: Image, centres: Centres, answers: Scores) -> None:
        padded = windows.pad(image, self._window)
        alike = defaultdict(list)
        for members in self._pieces(centres):
            left, top, width, height = _box(centres[members])
            alike[height + self._window, width + self._window].append((members, left, top))
        for (height, width), pieces in alike.items():
            most = max(1, _PIXELS // (height * width))
            for some in (pieces[i : i + most] for i in range(0, len(pieces), most)):
                cut = np.stack([padded[y : y + height, x : x + width] for _, x, y in some])
                score, *offset = self._net(cut)
                for number, (members, *start) in enumerate(some):
                    column, row = ((centres[members] - start) // self._stride).T
                    answers[members, 0] = score[number, row, column]
                    for of_pieces in offset:
                        answers[members, 1:] = of_pieces[number, row, column]

    def _pieces(self, centres: Centres) -> Iterator[NDArray[np.intp]]:
        """Which windows to scan together."""
        side = self._stride * _TILE
        inside = centres - centres.min(axis=0)
        for tile in windows.tiles(inside, side):
            here = inside[tile]
            _, _, width, height = _box(here)
            spanned = (width // self._stride + 1) * (height // self._stride + 1)
            if len(tile) >= _SPARSE * spanned:
                yield tile
            else:
                yield from (tile[c] for c in windows.clusters(here, self._stride, _REACH))

    def _cut(self, image: Image, centres: Centres, answers: Scores) -> None:
        for start in range(0, len(centres), _BATCH):
            part = slice(start, start + _BATCH)
            score, *offset = self._net(windows.patches(image, centres[part], self._window))
            answers[part, 0] = score[:, 0, 0]
            for of_patches in offset:
                answers[part, 1:] = of_patches[:, 0, 0]

    def _check_fit(self) -> None:
        """The net must look at just the card's window and step by the card's stride."""
        window, stride = self._window, self._stride
        for side, outputs in ((window, 1), (window + stride - 1, 1), (window + stride, 2)):
            shape = self.slide(np.zeros((1, side, side, 3), dtype=np.uint8)).shape
            if shape != (1, outputs, outputs):
                raise InputError(
                    f"the card says a window of {window} px and a stride of {stride}, but the "
                    f"net answers an image of {side} px with scores of shape {shape}; the card "
                    "belongs to another net"
                )


def _box(centres: Centres) -> tuple[int, int, int, int]:
    """The least ``x, y`` and how far the others span; column by column, which is fast."""
    x, y = centres.T
    left, top = int(x.min()), int(y.min())
    return left, top, int(x.max()) - left, int(y.max()) - top


class GlancingScorer:
    """Scores with the trained net only the windows where a small one sees anything.

    Nearly all windows are plainly no tip. Beside the net, ``NAME.onnx``, may lie a glance,
    ``NAME.glance.onnx``: a net of the same stride and a small share of the work, distilled from
    it (`roottip.learning.glance`). Windows to which it gives less than its card's threshold
    score 0, all others what `CnnScorer` gives them.

    Parameters
    ----------
    net, glance : CnnScorer

    Attributes
    ----------
    card : dict
        The net's, and ``glance``, the SHA-256 of the other's weights.
    reach : int
        That of the one with the larger window, px.
    runtime : str
        The net's.

    Raises
    ------
    InputError
        The glance was made for another net.
    """

    def __init__(self, net: CnnScorer, glance: CnnScorer) -> None:
        self.card = {**net.card, "glance": glance.card["sha256"]}
        self.reach, self.runtime = max(net.reach, glance.reach), net.runtime
        self._net, self._glance = net, glance
        same = glance.card["stride"] == net.card["stride"]
        if not same or glance.card.get("glance_of") != net_sha256(net.card):
            raise InputError(
                "the glance beside the net (NAME.glance.onnx) was made for another net; delete "
                "it, or make one with roottip train"
            )

    def __call__(self, image: Image, centres: Centres, /) -> Scores:
        """Score windows, as `CnnScorer` does."""
        return self.look(image, centres)[0]

    def look(self, image: Image, centres: Centres) -> tuple[Scores, Points]:
        """Score windows and say where their tips are, as `CnnScorer.look` does."""
        scores, places = np.zeros(len(centres), dtype=np.float32), centres.astype(np.float64)
        seen = self._glance(image, centres) >= self._glance.card["threshold"]
        scores[seen], places[seen] = self._net.look(image, centres[seen])
        return scores, places


def card_of(weights: Path) -> dict[str, Any]:
    """Read and check the card of a net, its twin or its glance, as `read_card` does."""
    return read_card(weights, CARD_VERSION)


def glance_of(weights: Path) -> Path:
    """Where a net's glance lies: ``NAME.onnx`` to ``NAME.glance.onnx``."""
    return weights.with_suffix(".glance.onnx")


def int8_of(weights: Path) -> Path:
    """Where a net's quantised twin lies: ``NAME.onnx`` to ``NAME.int8.onnx``."""
    return weights.with_suffix(".int8.onnx")


def net_of(weights: Path, int8: bool = True, runtime: str = "onnxruntime") -> CnnScorer:
    """Open a net, or its twin in 8 bits if it has one, without its glance; as `scorer` does.

    Raises
    ------
    InputError
        Weights or card cannot be used, or the twin is another net's.
    """
    if runtime == "torch" or not (int8 and int8_of(weights).exists()):
        return CnnScorer(weights, runtime)
    net = CnnScorer(int8_of(weights), runtime)
    if net.card.get("int8_of") != card_of(weights)["sha256"]:
        raise InputError(
            f"{int8_of(weights)} was made of another net than {weights.name}; delete it, or "
            "make one with roottip train"
        )
    return net


def scorer(
    weights: Path = SHIPPED, glance: bool = True, int8: bool = True, runtime: str = "onnxruntime"
) -> CnnScorer | GlancingScorer:
    """Open a net with what lies beside it.

    Parameters
    ----------
    weights : Path
        ``NAME.onnx``, its card beside it.
    glance, int8, runtime
        As `detector` takes them. What is in 8 bits is for processors: ``torch`` computes neither.

    Raises
    ------
    InputError
        A file is missing or damaged, or the twin or the glance is another net's.
    """
    net = net_of(weights, int8, runtime)
    if glance and runtime != "torch" and glance_of(weights).exists():
        return GlancingScorer(net, CnnScorer(glance_of(weights), runtime))
    return net


def detector(
    weights: str | Path | None = None,
    threshold: float | None = None,
    radius: float | None = None,
    root_width: float | None = None,
    glance: bool = True,
    int8: bool = True,
    runtime: str = "onnxruntime",
    sizes: Sequence[float] | None = None,
    surest: float | None = None,
    review: bool = True,
) -> WindowDetector:
    """Make the detector.

    Parameters
    ----------
    weights : path, optional
        ``NAME.onnx`` with its card beside it; the shipped net where not given.
    threshold : float, optional
        Least score of a found tip; the card's where not given.
    radius : float, optional
        Non-maximum suppression: of finds closer together than this, px where roots are 5 px wide,
        the best is kept; the card's where not given.
    root_width : float, optional
        Typical width of the roots in px of the images; estimated where not given.
    glance : bool
        Look closer only where the net's glance, if it has one, sees anything: 1.3 times as
        fast in 8 bits, 1.8 times without. Without it every window is scored.
    int8 : bool
        Compute with the net's quantised twin, if it has one, whose scores are some thousandths
        off: two to three times as fast on processors that sum 8-bit numbers, 1.6 times on others.
    runtime : str
        What computes the net, one of `runtime.RUNTIMES`.
    sizes : sequence of float, optional
        At what sizes to look at an image (`WindowDetector`); the card's where not given, for its
        threshold and calibration are of these.
    surest : float, optional
        Least score of an image's surest find; where no find reaches it, all scores of the image
        are lowered (`WindowDetector`). The card's where not given.
    review : bool
        Look again at each find, and at more of what is around it, with the net's review, if it has
        one; the card's threshold is for scores with it.

    Raises
    ------
    InputError
        A setting is out of its range, weights or card cannot be used, or the runtime is not
        installed.
    """
    for name, value in {"glance": glance, "int8": int8, "review": review}.items():
        if not isinstance(value, bool):
            raise InputError(f"{name}={value} must be true or false")
    path = Path(SHIPPED if weights is None else weights)
    opened = scorer(path, glance, int8, runtime)
    card = opened.card
    again = open_review(path, net_sha256(card), runtime) if review else None
    return detector_of(opened, card, threshold, radius, root_width, sizes, surest, again)
