"""From an image to tips: any scorer, one sliding window, one suppression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip import bands, table, windows
from roottip.bands import Strips
from roottip.checks import check_image, check_places, check_scores
from roottip.errors import InputError, check_number, is_number
from roottip.looks import agreed, doubted
from roottip.scale import (
    EIGHTH,
    Adjustment,
    adjustment,
    check_width,
    in_eighths,
    rescaled,
    resize,
    resized,
)
from roottip.surroundings import Reviewer, reviewed
from roottip.windows import Centres, Image, Points, Scores

PIECE = 1024
"""Rows and columns of a large image whose windows are scored at a time."""

FAINTEST = 0.01
"""Score from which a find of one look may be confirmed by another, or by the review."""

_ONE_TIP = 8.0
"""Finds of two looks this close are one tip, px like `WindowDetector`'s radius: within one look
points are some px off, and off otherwise in the other."""

Look = Callable[[Image, Centres], tuple[Scores, Points]]

_Seen = tuple[int, tuple[Centres, Scores, Points], NDArray[Any]]
"""What was seen in one size: how many of `WindowDetector.sizes` it is, the windows, and the width
and height of the resized image, without what was reflected to fill a last block."""


class Scorer(Protocol):
    """Says of each window how much it believes that a tip is in its centre.

    Any function of two arguments will do. It is given the whole image and the windows'
    centres, so it may cut patches (`windows.patches`) or compute one map and read it there.
    If it has a method ``look`` of the same arguments, which returns besides the scores where each
    window sees a tip, ``(N, 2)`` px, that is asked: points then come closer to the tips, and
    two tips beside each other are told apart.
    Of images larger than `bands.WHOLE` it is given pieces, if its attribute ``reach`` says that
    it looks no further than that from a window's centre, px.
    """

    def __call__(self, image: Image, centres: Centres, /) -> Scores:
        """Return ``(N,)`` scores in [0, 1] for ``(N, 2)`` centres ``x, y``."""
        ...


class Detector(Protocol):
    """Anything that turns an image into points with scores.

    If it has them, it is asked for ``threshold_from`` and ``most_pixels`` (see `WindowDetector`),
    and for a run's record ``scorer.card``, ``scorer.runtime``, ``review.card`` (`provenance`).
    """

    @property
    def threshold(self) -> float:
        """Least score of a found point."""
        ...

    def find(self, image: Image | Strips, threshold: float | None = None) -> tuple[Points, Scores]:
        """Return ``(N, 2)`` points ``x, y`` in px and ``(N,)`` scores, best first."""
        ...


class Candidates(NamedTuple):
    """What is taken for tips in an image before all of them are judged together."""

    image: Image | Strips
    """Smoothed, its contrast raised."""
    scale: float
    """By what factor it was resized."""
    points: Points
    scores: Scores


@dataclass(frozen=True)
class WindowDetector:
    """Score every window of an image and keep the best of each crowd.

    The image is resized so that its roots are `scale.REFERENCE_WIDTH` px wide; `stride`
    and `radius` are px of that image. Points come back in px of the image given.

    Parameters
    ----------
    scorer : Scorer
        A function of the image and the windows' centres.
    stride : int
        Pixels from one window to the next.
    threshold : float
        Least score of a found point, 0 to 1.
    radius : float
        Of windows that see tips closer to each other than this, px, the best is kept. Where the
        windows around it agree, or another look does, its point may come somewhat nearer to others.
    root_width : float, optional
        Typical width of the roots in px of the image given; estimated from each image
        where it is None.
    margin : float
        Points closer than this to the image's border are left out, px like `radius`: a root
        that reaches the border goes on outside, so its end cannot be seen.
    threshold_from : str
        Where the threshold came from, for tables that compare detectors.
    sizes : sequence of float
        At what sizes to look at an image, times the one where roots are of reference width, and
        never larger than both that and the original. Each find's score is then the mean of all
        looks (`looks.agreed`); points stay where the first look sees them.
    surest : float
        Least score of an image's surest find by which all its scores stand (0: always); under it
        they are lowered. Of small images less is asked, of enlarged ones more (`looks.doubted`).
    review : Reviewer, optional
        Looks again at each find; `surest` is asked of the scores before and after it.
    """

    scorer: Scorer
    stride: int = 4
    threshold: float = 0.5
    radius: float = 8.0
    root_width: float | None = None
    margin: float = 4.0
    threshold_from: str = "given"
    sizes: Sequence[float] = (1.0,)
    surest: float = 0.0
    review: Reviewer | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before any image is read.

        Raises
        ------
        InputError
            Names the setting, its value and what it must be.
        """
        check_number("stride", self.stride, 1, whole=True)
        check_number("radius", self.radius, 0)
        check_number("margin", self.margin, 0)
        check_number("threshold", self.threshold, 0, most=1)
        check_width(self.root_width)
        if not (is_number(self.surest) and 0 <= self.surest < 1):
            raise InputError(f"surest={self.surest} must be a number from 0 to less than 1")
        fit = isinstance(self.sizes, Sequence) and not isinstance(self.sizes, str)
        fit = fit and all(is_number(size) and 0 < size < np.inf for size in self.sizes)
        if not (fit and self.sizes):
            raise InputError(f"sizes={self.sizes} must be a list of numbers above 0, such as [1]")
        # a list from a file is the same detector, and one that cannot change
        object.__setattr__(self, "sizes", tuple(self.sizes))

    @property
    def most_pixels(self) -> int:
        """Pixels of the largest image that is looked at whole, not in pieces."""
        return bands.LARGE if getattr(self.scorer, "reach", None) is None else bands.WHOLE

    def find(self, image: Image | Strips, threshold: float | None = None) -> tuple[Points, Scores]:
        """Find points, as arrays.

        Parameters
        ----------
        image : (H, W) or (H, W, 3) uint8, or Strips
            RGB order. One of more pixels than `bands.WHOLE` is worked through in pieces, if the
            scorer can; one of more than `bands.LARGE` only so.
        threshold : float, optional
            In place of the detector's own.

        Returns
        -------
        points : (N, 2) float64
            ``x, y`` in px, inside the image, best first.
        scores : (N,) float32

        Raises
        ------
        InputError
            The image is no such array, the threshold not from 0 to 1, the scorer's answer none.
        """
        least = self.threshold if threshold is None else threshold
        check_number("threshold", least, 0, most=1)
        # another look, or the review, may think more of a find than this one
        alone = len(self.sizes) == 1 and self.review is None
        lowest = least if alone else min(least, FAINTEST)
        return self.judged(self.candidates(image, lowest), least)

    def candidates(self, image: Image | Strips, least: float) -> Candidates:
        """What the scorer takes for tips in any of the sizes, from a score of `least` on."""
        if not isinstance(image, Strips):
            image = check_image(image)
        size = np.array(image.shape[1::-1])
        adjusting, prepared, looks = self._looks(image, least)
        finds, weights, factors = [], [], []
        for weight, seen, scaled_size in looks:
            finds.append(self._settled(*seen, size, scaled_size, least))
            weights.append(weight)
            factors.append(float(size[0] / scaled_size[0]))
        found = finds[0] if len(finds) == 1 else agreed(finds, weights, _ONE_TIP * factors[0])
        return Candidates(prepared, adjusting.scale, *found)

    def judged(self, seen: Candidates, least: float) -> tuple[Points, Scores]:
        """Those that score `least` or more by what `surest` and the review say, best first."""
        image, scale, points, scores = seen
        area = float(np.prod(image.shape[:2])) * scale**2
        scores = doubted(scores, self.surest, area, scale)
        if self.review is not None:
            points, scores = reviewed(self.review, image, points, scores, scale)
            # what was plain to one net only is no plain tip
            scores = doubted(scores, self.surest, area, scale)
        # as doubles, which tables hold: what is left out here is left out by `evaluate` too
        enough = scores.astype(np.float64) >= least
        return points[enough], scores[enough]

    def _settled(
        self,
        centres: Centres,
        scores: Scores,
        places: Points,
        size: NDArray[np.int_],
        scaled_size: NDArray[Any],
        least: float,
    ) -> tuple[Points, Scores]:
        """The best of each crowd of windows, in px of the image."""
        candidates = np.flatnonzero(scores >= least)
        kept = candidates[windows.suppress(places[candidates], scores[candidates], self.radius)]
        points = windows.refine(centres, places, scores, kept, self.stride)
        to_border = np.minimum(points, scaled_size - 1 - points).min(axis=1)
        points, kept = points[to_border >= self.margin], kept[to_border >= self.margin]
        points = rescaled(points, size / scaled_size)
        return np.clip(points, 0, size - 1), scores[kept]

    def _look(self, image: Image, centres: Centres) -> tuple[Scores, Points]:
        """Scores of windows, and where each sees a tip: in its centre, if nobody says more."""
        if len(centres) == 0:
            return np.empty(0, np.float32), np.empty((0, 2))
        look: Look | None = getattr(self.scorer, "look", None)
        scores, places = look(image, centres) if look else (self.scorer(image, centres), centres)
        return check_scores(scores, len(centres)), check_places(places, centres)

    def _looks(
        self, image: Image | Strips, least: float
    ) -> tuple[Adjustment, Image | Strips, Iterator[_Seen]]:
        """Look at an image, prepared, in each size, whole or in pieces.

        Of a large image, what depends on all of it, how to adjust it and how rough it is then, is
        measured on crops.

        Returns
        -------
        How it is adjusted, the image prepared, and what is seen in each size.
        """
        if not isinstance(image, Strips) and image.shape[0] * image.shape[1] <= self.most_pixels:
            adjusting = adjustment(image, self.root_width)
            image = adjusting.prepared(image)
            return adjusting, image, self._whole(image, adjusting)
        halo = self._halo()
        crops = bands.crops(image)
        adjusting = adjustment(crops, self.root_width)
        image = adjusting.prepared(image)
        crops = [adjusting.prepared(crop) for crop in crops]
        steps = []
        for eighths, weight in Counter(map(in_eighths, self._scales(adjusting.scale))).items():
            small = (resize(crop, EIGHTH / eighths) for crop in crops)
            noise = windows.typical([windows.structures(part) for part in small])
            steps.append((eighths, weight, noise))
        size = np.array(image.shape[1::-1])
        seen = (
            (
                weight,
                self._look_in_pieces(image, eighths, noise, halo, least),
                size * (EIGHTH / eighths),
            )
            for eighths, weight, noise in steps
        )
        return adjusting, image, seen

    def _whole(self, image: Image, adjusting: Adjustment) -> Iterator[_Seen]:
        for own, weight in Counter(self._scales(adjusting.scale)).items():
            scaled = resize(image, own)
            centres = windows.grid(scaled.shape, self.stride)
            centres = centres[windows.foreground(scaled, centres)]
            scores, places = self._look(scaled, centres)
            yield weight, (centres, scores, places), np.array(scaled.shape[1::-1])

    def _halo(self) -> int:
        """How far around a piece of a large image its windows depend on pixels, px."""
        reach: int | None = getattr(self.scorer, "reach", None)
        if reach is None:
            raise InputError(
                f"this detector judges windows by all of an image, and one of more than "
                f"{bands.LARGE // 1_000_000} megapixels is seen in pieces; use detector=cnn, or "
                "cut the image into parts"
            )
        # whole blocks, or the foreground of a piece would be another than that of the image
        return -(-max(reach, windows.FOREGROUND_REACH) // EIGHTH) * EIGHTH

    def _scales(self, scale: float) -> list[float]:
        """By what factors to resize an image: enlarged it holds no more than the original did."""
        return [min(size * scale, max(scale, 1.0)) for size in self.sizes]

    def _look_in_pieces(
        self,
        image: Image | Strips,
        eighths: int,
        noise: float,
        halo: int,
        least: float,
    ) -> tuple[Centres, Scores, Points]:
        """Score the windows of a large image piece by piece, from left to right in each band.

        Returns
        -------
        centres, scores, places
            Of the windows whose score is `least` or more, and of those that `windows.refine`
            and the pieces' borders need besides.
        """
        height, width = (-(-side // eighths) * EIGHTH for side in image.shape[:2])
        strips = resized(bands.pieces(image), image.shape[0], eighths)
        found = [(np.empty((0, 2), np.int32), np.empty(0, np.float32), np.empty((0, 2)))]
        for top, above, band in bands.in_bands(strips, PIECE, halo):
            for left in range(0, width, PIECE):
                start = np.array([max(0, left - halo), above], np.int32)
                piece = np.ascontiguousarray(band[:, start[0] : left + PIECE + halo])
                own = (top, top + PIECE), (left, left + PIECE)
                centres = windows.grid((height, width), self.stride, *own)
                centres = centres[windows.foreground(piece, centres - start, noise=noise)]
                if len(centres) == 0:
                    continue
                scores, places = self._look(piece, centres - start)
                # the pieces beside it may need those along the border
                inside = (centres - (left, top)).T
                needed = ((inside < self.stride) | (inside >= PIECE - self.stride)).any(axis=0)
                needed |= windows.around(centres, scores >= least, self.stride)
                found.append((centres[needed], scores[needed], places[needed] + start))
        centres, scores, places = (np.concatenate(part) for part in zip(*found, strict=True))
        return centres, scores, places

    def detect(
        self, image: Image | Strips, name: str = "", threshold: float | None = None
    ) -> pd.DataFrame:
        """Find tips, as a points table.

        Parameters
        ----------
        image, threshold
            As `find` takes them.
        name : str
            What the column ``image`` says; tables of several images are told apart by it.

        Returns
        -------
        DataFrame
            ``image, x, y, score``, a row for each tip, the surest first; ``x`` to the right and
            ``y`` down, px of the image given, whose top-left pixel has its centre at (0, 0).

        Raises
        ------
        InputError, as `find` does.
        """
        points, scores = self.find(image, threshold)
        return table.points(name, points, scores)
