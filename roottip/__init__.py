"""Find plant root tips in images, and prove how well it works.

>>> import roottip
>>> tips = roottip.load("baseline").detect(roottip.read_image("plate.jpg"))  # doctest: +SKIP

Names are loaded when first used, so that ``import roottip`` is quick and never loads what a
caller does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from roottip.detector import WindowDetector
    from roottip.errors import InputError
    from roottip.evaluation import evaluate
    from roottip.images import read_image
    from roottip.listing import find_images
    from roottip.matching import match
    from roottip.scans import Scan
    from roottip.scorers import load

_HOME = {
    "InputError": "errors",
    "Scan": "scans",
    "WindowDetector": "detector",
    "evaluate": "evaluation",
    "find_images": "listing",
    "load": "scorers",
    "match": "matching",
    "read_image": "images",
}

__all__ = [
    "InputError",
    "Scan",
    "WindowDetector",
    "evaluate",
    "find_images",
    "load",
    "match",
    "read_image",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"roottip.{_HOME[name]}"), name)
    raise AttributeError(f"module 'roottip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
