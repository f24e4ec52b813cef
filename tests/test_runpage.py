from __future__ import annotations

import json
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from roottip import runpage, table
from roottip.places import Folder
from roottip.task import _row


def images_table(names):
    rows = [_row(name) | {"status": "ok", "tips": 3, "seconds": 0.1} for name in names]
    frame = table.images(rows)
    return frame.assign(note="", brightness=100.0, sharpness=1.0)


def content_of(page: str):
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.S)
    content = json.loads(found.group(1))
    return [dict(zip(content["columns"], row, strict=True)) for row in content["rows"]]


def page_of(tmp_path, frame, **thumbnails):
    summary = pd.DataFrame({"group": ["<b>"], "tips_mean": [np.nan]})
    runpage.write(Folder(tmp_path), "lead", frame, summary, thumbnails, {"a": "<i>"})
    return (tmp_path / "report.html").read_text()


def test_a_small_run_is_one_file_and_no_name_is_markup(tmp_path):
    (tmp_path / "t.jpg").write_bytes(b"jpeg")
    evil = "</script><script>alert(1)</script>.png"
    frame = images_table([evil, "b.png"])
    frame.loc[1, ["status", "tips", "error"]] = ["failed", pd.NA, "cut & short"]
    page = page_of(tmp_path, frame, **{evil: "t.jpg"})
    assert "<script>alert" not in page
    assert "<b>" not in page.partition("<tbody>")[2].partition("</table>")[0]
    assert "a: &lt;i&gt;" in page
    rows = content_of(page)
    assert rows[0]["image"] == evil
    assert rows[0]["picture"] == "data:image/jpeg;base64,anBlZw=="
    assert rows[1] | {"error": "cut & short", "tips": None, "picture": None} == rows[1]
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize("name", ["a b#?%41.png", "ü/'\"<.png", "no\udcffutf8.png"])
def test_a_large_run_loads_its_pictures_when_they_are_seen(tmp_path, name):
    names = [name, *(f"{n}.png" for n in range(5000))]
    page = page_of(tmp_path, images_table(names), **{n: f"thumbnails/{n}.jpg" for n in names})
    assert len(page) < 1_500_000
    rows = content_of(page)
    assert len(rows) == 5001
    address = rows[0]["picture"]
    assert re.fullmatch(r"[A-Za-z0-9_.~%/-]+", address)
    assert unquote(address, errors="surrogateescape") == f"thumbnails/{name}.jpg"
