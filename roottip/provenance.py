"""Where a result comes from: what made it, on what machine, and when."""

from __future__ import annotations

import platform
import sys
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np

from roottip import __version__
from roottip.detector import Detector


def provenance(started: datetime) -> dict[str, Any]:
    """Versions, machine and time: what one needs to trace a result.

    Parameters
    ----------
    started : datetime
        When the work began, with its time zone; it ends now.

    Returns
    -------
    dict
        For ``run.json`` and reports: text and numbers.
    """
    return {
        "roottip": __version__,
        "python": sys.version.split()[0],
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(timezone.utc) - started).total_seconds(), 2),
        "units": "x, y in px of the image as displayed; the centre of the top-left pixel is (0, 0)",
    }


def identity(detector: Detector) -> str | None:
    """What a detector's scores depend on besides its settings, where it has weights.

    Their SHA-256, for others may bear the same file name, and what computes them.
    """
    scorer = getattr(detector, "scorer", None)
    card = getattr(scorer, "card", {})
    again = getattr(getattr(detector, "review", None), "card", {}).get("sha256")
    parts = (card.get("sha256"), card.get("glance"), again, getattr(scorer, "runtime", None))
    return "+".join(part for part in parts if part) or None


def card_settings(detector: Detector) -> dict[str, Any]:
    """What the card of the weights sets, which may change while these stay."""
    card = getattr(getattr(detector, "scorer", None), "card", {})
    return {key: card[key] for key in ("threshold", "radius", "sizes", "surest") if key in card}
