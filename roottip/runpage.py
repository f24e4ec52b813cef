"""The page of a run: every image small, with its tips; sorted, filtered and paged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pandas as pd

from roottip import html
from roottip.pictures import address
from roottip.places import Folder
from roottip.task import printable

MOST_EMBEDDED = 100
"""Thumbnails inside the page, so that it can be mailed: some 15 kB each. Beyond, the page loads
those in sight from ``thumbnails/``."""

_SHOWN = ("image", "status", "tips", "note", "error", "seconds", "brightness", "sharpness")


def write(
    folder: Folder,
    lead: str,
    images: pd.DataFrame,
    summary: pd.DataFrame,
    thumbnails: Mapping[str, str],
    settings: Mapping[str, Any],
    overlays: Mapping[str, str] | None = None,
) -> None:
    """Write ``report.html``.

    Parameters
    ----------
    folder : Folder
        The run's output.
    lead : str
        The sentence that says what came out.
    images, summary : DataFrame
        A row for each image, and for each group.
    thumbnails : mapping of str to str
        Of each image that has one, the file in `folder`.
    settings : mapping
        How the run was made.
    overlays : mapping of str to str, optional
        Of each image that has one, the file in `folder` that a click on its picture opens.
    """
    shown = images[list(_SHOWN)].astype(object).where(images[list(_SHOWN)].notna(), None)
    rows = [
        [printable(value) if isinstance(value, str) else value for value in row]
        for row in shown.itertuples(index=False, name=None)
    ]
    opened = overlays or {}
    embedded = len(images) <= MOST_EMBEDDED
    for name, row in zip(images["image"], rows, strict=True):
        row.append(_address(folder, thumbnails.get(name), embedded))
        row.append(_link(opened.get(name)))
    page = html.render(
        "run.html",
        lead=lead,
        content=html.script({"columns": [*_SHOWN, "picture", "overlay"], "rows": rows}),
        overlays=bool(opened),
        summary=summary.round(2),
        settings=settings,
    )
    folder.write("report.html", page)


def _address(folder: Folder, file: str | None, embedded: bool) -> str | None:
    if file is None or not embedded:
        return _link(file)
    data = folder.read(file)
    return None if data is None else address(data, "jpeg")


def _link(file: str | None) -> str | None:
    """The address of a file that lies in the page's folder."""
    return None if file is None else quote(os.fsencode(file))
