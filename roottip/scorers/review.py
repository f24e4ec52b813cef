"""A second net that looks at each find again, and at more of what is around it. No torch.

A window of the first net shows the end of a stroke, not where the stroke begins: whether it is a
root's tip or a fibre's end is decided farther off. Few places are finds, so looking at those
again, in squares that hold several times the area, costs little (a cascade: Viola and Jones 2001,
https://doi.org/10.1109/CVPR.2001.990517). Beside the net, ``NAME.onnx``, may lie such a review,
``NAME.review.onnx``, with its card; `roottip.learning.review` makes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roottip.errors import InputError
from roottip.scorers.card import read_card, read_weights
from roottip.scorers.runtime import OpenNet
from roottip.windows import Image

CARD_VERSION = 1
"""Changes when a card's keys change their meaning."""


class Review:
    """Says of squares around finds how much speaks for a tip.

    Parameters
    ----------
    weights : path
        ``NAME.review.onnx``; its card lies beside it.
    runtime : str
        What computes it: ``openvino``, or with any other ONNX Runtime.

    Attributes
    ----------
    card : dict
        What the card says: ``window`` (px of a square's side once it is resized), ``sizes`` (how
        large roots are then, times `scale.REFERENCE_WIDTH`), ``review_of``, the SHA-256 of the
        net that it was made for.

    Raises
    ------
    InputError
        A file is missing, damaged, or belongs to something else.
    """

    def __init__(self, weights: Path, runtime: str = "onnxruntime") -> None:
        self.card = read_card(weights, CARD_VERSION, {"sizes": list, "review_of": str})
        model = read_weights(weights, self.card)
        window, looks = self.card["window"], len(self.card["sizes"])
        try:
            self._net = OpenNet(model, runtime if runtime == "openvino" else "onnxruntime")
            shape = self(np.zeros((1, looks, window, window, 3), np.uint8)).shape
        # the runtimes' exceptions share no base but Exception
        except Exception as error:
            raise InputError(
                f"{weights} is no review that roottip can use "
                f"({str(error).splitlines()[0]}); delete it, or make one with roottip train"
            ) from error
        if shape != (1,):
            raise InputError(f"{weights} answers one find with numbers of shape {shape}; delete it")

    def __call__(self, squares: Image) -> NDArray[np.float32]:
        """Look at finds.

        Parameters
        ----------
        squares : (N, S, window, window, 3) uint8
            Around each find one of each of the card's sizes, as
            `roottip.surroundings.surroundings` cuts them.

        Returns
        -------
        (N,) float32
            What to add to the logit of each find's score.
        """
        return self._net(squares.reshape(-1, *squares.shape[2:]))[0]


def review_of(weights: Path) -> Path:
    """Where a net's review lies: ``NAME.onnx`` to ``NAME.review.onnx``."""
    return weights.with_suffix(".review.onnx")


def open_review(weights: Path, net: str, runtime: str) -> Review | None:
    """Open the review of the net ``NAME.onnx`` whose SHA-256 is `net`, if it has one.

    Raises
    ------
    InputError
        It is damaged, or another net's.
    """
    path = review_of(weights)
    if not path.exists():
        return None
    review = Review(path, runtime)
    if review.card["review_of"] != net:
        raise InputError(
            f"{path} was made for another net than {weights.name}; delete it, or make one with "
            "roottip train"
        )
    return review
