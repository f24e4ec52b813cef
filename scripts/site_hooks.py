"""For mkdocs: the model card lies beside the weights and is a page of the site too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = Path(__file__).parents[1] / "roottip" / "weights" / "MODEL_CARD.md"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The card in the place of its page; its links to docs/ are to neighbours there."""
    if page.file.src_uri != "model-card.md":
        return markdown
    return CARD.read_text(encoding="utf-8").replace("](../../docs/", "](")
