"""The site: built whole, with the tutorial run, and complete without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """What `make docs` builds; a warning, or a cell that fails, ends it."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def test_every_page_is_there_and_asks_for_nothing_from_a_network(site):
    for page in (ROOT / "docs").glob("*.md"):
        content = (site / f"{page.stem}.html").read_text(encoding="utf-8")
        loaded = re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"(http[^\"]*)", content
        )
        assert loaded == [], page.name
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8")


def test_the_tutorial_shows_what_came_out(site):
    content = (site / "tutorial.html").read_text(encoding="utf-8")
    assert content.count("data:image/png;base64,") >= 2
    said = re.sub(r"<[^>]+>", "", content)
    assert "20 images of 20 plates: camera" in said
    recall = [float(n) for n in re.findall(r"(?:cnn|fitted) finds (\d+\.\d)% of the marked", said)]
    before, after = recall[0], recall[-1]
    assert after > before + 10  # points of 100: what the tutorial promises


def test_the_reference_explains_arguments(site):
    content = (site / "api.html").read_text(encoding="utf-8")
    for words in ("root_width", "most pairs first", "uint8", "Raises"):
        assert words in content
