"""Scorers: each says of windows how much it believes that a tip is in the middle."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

from roottip.detector import WindowDetector
from roottip.errors import InputError, alike

DETECTORS = ("baseline", "features", "cnn")
"""Names `load` knows; each is a module beside this file with a function ``detector``."""

_OF_WEIGHTS = {".onnx": "cnn", ".npz": "features"}


def load(name: str | Path, **settings: Any) -> WindowDetector:
    """Make a detector by name.

    Parameters
    ----------
    name : str or path
        One of `DETECTORS`, or the file of trained weights, their card beside it: ``NAME.onnx``
        of a CNN, ``NAME.npz`` of a features net.
    **settings
        Arguments of ``detector`` in ``roottip/scorers/<name>.py``, such as ``threshold``.

    Raises
    ------
    InputError
        There is no such detector, or it has no such setting.
    """
    name = str(name)
    if of_weights := _OF_WEIGHTS.get(PurePath(name).suffix.lower()):
        return load(of_weights, weights=name, **settings)
    if name not in DETECTORS:
        close = alike(name, DETECTORS)
        hint = f"did you mean {close}?" if close else f"there is {', '.join(DETECTORS)}"
        raise InputError(f"there is no detector called {name!r}; {hint}")
    # only the one that is asked for: none loads what another needs
    make: Callable[..., WindowDetector] = import_module(f"roottip.scorers.{name}").detector
    try:
        inspect.signature(make).bind(**settings)
    except TypeError as error:
        known = ", ".join(inspect.signature(make).parameters)
        raise InputError(f"detector {name}: {error}; its settings are {known}") from error
    return make(**settings)
