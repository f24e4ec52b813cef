from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"

IMPORTING = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    print(name)
"""


def test_every_script_finds_what_it_imports_and_does_nothing_when_imported(tmp_path):
    names = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTING, *names],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == names
    assert not list(tmp_path.iterdir())
