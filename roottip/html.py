"""Pages: a template filled in, with all that it shows inside the one file."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from roottip import __version__, pictures
from roottip.windows import Image


def render(template: str, **content: Any) -> bytes:
    """A page as the bytes of its file.

    Parameters
    ----------
    template : str
        Its name in ``roottip/templates/``.
    **content
        What the template names, all of it. It may use the filters ``cell`` (a table's value),
        ``address`` and ``photo`` (an image as a ``data:`` address, to the pixel or small).
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("roottip"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"cell": _cell, "address": _to_the_pixel, "photo": pictures.thumbnail}
    page = environment.get_template(template).render(version=__version__, **content)
    # a file name may hold bytes that are no UTF-8; the page shows a question mark there
    return page.encode("utf-8", "replace")


def script(content: Any) -> str:
    """Content for a page's script, as JSON; NaN is refused, which browsers cannot read."""
    # "<" would end the script element it is in; in JSON the sign may be written as its number
    return json.dumps(content, allow_nan=False).replace("<", "\\u003c")


def _to_the_pixel(picture: Image) -> str:
    return pictures.address(pictures.encode(picture, ".png"), "png")


def _cell(value: Any) -> str:
    """A table's value; – where there is none."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
