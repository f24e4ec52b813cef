"""The card that lies beside a detector's weights: what using them needs, how they came about.

``NAME.json`` beside ``NAME.onnx`` or ``NAME.npz``. All cards have the keys of `KEYS`; each kind
of weights adds its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roottip.detector import Scorer, WindowDetector
from roottip.errors import InputError
from roottip.places import read_file, write_whole
from roottip.scale import REFERENCE_WIDTH
from roottip.surroundings import Reviewer

KEYS: Mapping[str, type] = {
    "card_version": int,
    "window": int,
    "stride": int,
    "root_width": float,
    "threshold": float,
    "radius": float,
    "sha256": str,
}


def read_card(
    weights: Path, version: int, keys: Mapping[str, type] | None = None
) -> dict[str, Any]:
    """Read and check the card that lies beside the weights.

    Parameters
    ----------
    weights : Path
    version : int
        The ``card_version`` that the caller understands.
    keys : mapping of str to type, optional
        Keys that the card must have besides `KEYS`.

    Raises
    ------
    InputError
        It is missing, damaged, or asks for what this version does not do.
    """
    path = weights.with_suffix(".json")
    if weights.is_dir():
        net = weights / "model.onnx"
        raise InputError(
            f"{weights} is a folder; give {net if net.exists() else 'the weights, a file'}"
        )
    if weights == path:
        raise InputError(f"{weights} is a card; give the weights that it lies beside")
    if not weights.exists():
        raise InputError(f"{weights} cannot be read: there is no such file")
    if not path.exists():
        raise InputError(f"{weights} has no card {path.name} beside it; copy both files")
    content = read_file(path)
    try:
        card: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise InputError(f"{path} is no JSON; copy the card again") from error
    for key, kind in {**KEYS, **(keys or {})}.items():
        if not isinstance(card, dict) or not isinstance(card.get(key), kind):
            raise InputError(f"{path} lacks a fitting {key!r}; it is no card of roottip's nets")
    if card["card_version"] != version or card["root_width"] != REFERENCE_WIDTH:
        raise InputError(
            f"{path} is a card of version {card['card_version']} for roots "
            f"{card['root_width']} px wide, this roottip uses version {version} and "
            f"{REFERENCE_WIDTH} px; train the net again"
        )
    if not (card["window"] > 0 and card["stride"] > 0 and 0 <= card["threshold"] <= 1):
        raise InputError(f"{path} has a window, stride or threshold that cannot be")
    return card


def raw(weights: Path) -> dict[str, Any]:
    """What a card says, unchecked."""
    content: dict[str, Any] = json.loads(read_file(weights.with_suffix(".json")))
    return content


def read_weights(weights: Path, card: Mapping[str, Any]) -> bytes:
    """The weights' bytes, which must be those that the card was written for.

    Raises
    ------
    InputError
        The file is missing, or its SHA-256 is not the card's.
    """
    content = read_file(weights)
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise InputError(
            f"{weights} is not the file its card was written for (its SHA-256 differs); "
            "it may be cut short or changed, so copy both files again"
        )
    return content


def write(weights: Path, content: bytes, card: Mapping[str, Any]) -> None:
    """Write weights and, as ``NAME.json`` beside them, their card with the weights' SHA-256."""
    full = {**card, "sha256": hashlib.sha256(content).hexdigest()}
    write_whole(weights, content)
    _write_card(weights, full)


def net_sha256(card: Mapping[str, Any]) -> str:
    """SHA-256 of the net itself, also where the card is that of its twin in 8 bits."""
    return str(card.get("int8_of", card["sha256"]))


def amend(weights: Path, **changes: object) -> None:
    """Change what a card says; the weights stay."""
    _write_card(weights, {**raw(weights), **changes})


def _write_card(weights: Path, card: Mapping[str, Any]) -> None:
    content = json.dumps(card, indent=2) + "\n"
    write_whole(weights.with_suffix(".json"), content.encode())


def detector_of(
    scorer: Scorer,
    card: Mapping[str, Any],
    threshold: float | None,
    radius: float | None,
    root_width: float | None,
    sizes: Sequence[float] | None = None,
    surest: float | None = None,
    review: Reviewer | None = None,
) -> WindowDetector:
    """The detector of a scorer with a card; what is None is the card's, but for the review.

    A card without ``sizes`` is of a detector that looks once, one without ``surest`` of one that
    judges each find by itself.
    """
    return WindowDetector(
        scorer,
        stride=card["stride"],
        threshold=card["threshold"] if threshold is None else threshold,
        radius=card["radius"] if radius is None else radius,
        root_width=root_width,
        threshold_from=card.get("threshold_from", "given in training")
        if threshold is None
        else "given",
        sizes=card.get("sizes", (1.0,)) if sizes is None else sizes,
        surest=card.get("surest", 0.0) if surest is None else surest,
        review=review,
    )
