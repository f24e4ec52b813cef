"""Training: the home of torch, Lightning and albumentations."""

from __future__ import annotations

import os

# albumentations asks the web for its newest version when it is imported; training works offline
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
