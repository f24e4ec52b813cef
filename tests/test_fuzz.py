from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz_images.py"


def test_damaged_files_all_get_their_row(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    specification = importlib.util.spec_from_file_location("fuzz_images", SCRIPT)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    figures = script.fuzz(count=120, seed=1)
    assert figures["failed with a reason"] > 20  # else nothing was damaged
    assert figures["ok"] > 10
