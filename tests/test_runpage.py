from __future__ import annotations

import json
import re
import shutil
import subprocess
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


def page_of(tmp_path, frame, overlays=None, **thumbnails):
    summary = pd.DataFrame({"group": ["<b>"], "tips_mean": [np.nan]})
    runpage.write(Folder(tmp_path), "lead", frame, summary, thumbnails, {"a": "<i>"}, overlays)
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
    assert rows[0]["overlay"] is None
    assert "overlay in full size" not in page.partition("<script>")[0]


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


@pytest.mark.parametrize("name", ["a b#?%41.png", "javascript:alert(1).png", "no\udcffutf8.png"])
def test_a_picture_leads_to_its_overlay(tmp_path, name):
    page = page_of(tmp_path, images_table([name]), {name: f"overlays/{name}.png"})
    (row,) = content_of(page)
    assert re.fullmatch(r"overlays/[A-Za-z0-9_.~%-]+", row["overlay"])
    assert unquote(row["overlay"], errors="surrogateescape") == f"overlays/{name}.png"
    assert "overlay in full size" in page.partition("<script>")[0]


@pytest.fixture
def cards(tmp_path):
    """What a browser makes of a page whose cards are sorted, largest first: link and words."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")

    def sort(page: str, by: str) -> list[tuple[str, str]]:
        chosen = f"get('by').value = '{by}'; get('down').checked = true; show();"
        (tmp_path / "sorted.html").write_text(f"{page}<script>{chosen}</script>")
        flags = (
            "headless no-sandbox disable-gpu no-first-run disable-background-networking dump-dom"
        )
        given = [
            *(f"--{flag}" for flag in flags.split()),
            f"--user-data-dir={tmp_path / 'profile'}",
        ]
        address = (tmp_path / "sorted.html").as_uri()
        done = subprocess.run([chromium, *given, address], capture_output=True, timeout=120)
        figures = re.findall(r"<figure.*?</figure>", done.stdout.decode(), re.S)
        links = [re.search(r'<a [^>]*href="([^"]*)"', figure) for figure in figures]
        return [
            (link[1] if link else "", " ".join(re.sub(r"<[^>]*>", " ", figure).split()))
            for link, figure in zip(links, figures, strict=True)
        ]

    return sort


def test_cards_show_what_they_are_sorted_by_and_lead_to_overlays(tmp_path, cards):
    frame = images_table(["a.png", "b.png", "c.png"])
    frame["brightness"] = [9.0, 80.5, 70.0]
    frame.loc[2, ["status", "tips", "error", "brightness"]] = ["failed", pd.NA, "cut", np.nan]
    names = {name: f"overlays/{name}.png" for name in ("a.png", "b.png")}
    (tmp_path / "t.jpg").write_bytes(b"jpeg")
    page = page_of(tmp_path, frame, names, **dict.fromkeys(names, "t.jpg"))
    assert cards(page, "brightness") == [
        ("overlays/b.png.png", "b.png 3 tips brightness 80.5"),
        ("overlays/a.png.png", "a.png 3 tips brightness 9"),
        ("", "failed c.png cut"),
    ]
    assert [words for _, words in cards(page, "seconds")] == [
        "a.png 3 tips 0.1 s",
        "b.png 3 tips 0.1 s",
        "failed c.png cut 0.1 s",
    ]
    assert cards(page, "tips")[0][1] == "a.png 3 tips"
