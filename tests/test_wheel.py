"""The wheel as a stranger gets it: built from the sdist, installed with what it asks for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from roottip import app, table
from roottip.scorers import DETECTORS

ROOT = Path(__file__).parents[1]
PREFIX = {"roottip": "", "conf": "roottip/", "data/sample": "roottip/"}
"""Folders that are in the wheel, and below what."""

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
"""Without PYTHONPATH, which would show the checkout."""


def ran(*words: object, **settings: object) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [str(word) for word in words], capture_output=True, encoding="utf-8", **settings
    )
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the sdist that is built from this folder."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    made = ran(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory) -> Path:
    """Where the programs of a new environment are that holds the wheel and what it asks for."""
    home = tmp_path_factory.mktemp("clean") / "env"
    venv.create(home, with_pip=True)
    scripts = home / ("Scripts" if sys.platform == "win32" else "bin")
    # without a cache of bytecode: half the time
    pip = scripts / "python", "-m", "pip", "install", "--quiet", "--no-compile", wheel
    installed = ran(*pip, env=CLEAN)
    assert installed.returncode == 0, installed.stderr
    return scripts


@pytest.fixture
def program(scripts, tmp_path, monkeypatch):
    """Run an installed program; the working folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    return lambda name, *words: ran(scripts / name, *words, env=CLEAN)


def test_the_wheel_holds_what_the_package_uses_and_nothing_else(wheel):
    wanted = {
        f"{below}{file.relative_to(ROOT).as_posix()}"
        for folder, below in PREFIX.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted
    assert wheel.stat().st_size < 10e6


def test_the_installed_package_is_the_wheels(program):
    place = program("python", "-c", "import roottip; print(roottip.__file__)").stdout
    assert "site-packages" in place
    assert str(ROOT) not in place
    assert program("pip", "check").returncode == 0


def test_commands_teach_themselves(program):
    assert program("roottip", "--version").stdout.startswith("roottip ")
    for command in app.COMMANDS:
        assert f"roottip {command}" in program("roottip", command, "--help").stdout


def test_what_needs_an_extra_says_which(program):
    for extra, words in {
        "train": ("train", "data=.", "output=o"),
        "explain": ("explain", "output=o"),
        "synth": ("synth", "output=o", "count=1", "size=200"),
    }.items():
        result = program("roottip", *words)
        assert result.returncode == 2
        assert f"pip install 'roottip[{extra}]'" in result.stderr


def test_demo_compares_all_detectors_on_the_sample(program):
    assert program("roottip", "demo").returncode == 0
    compared = table.read(Path("roottip-demo/compare/comparison.csv"))
    assert list(compared["detector"]) == list(DETECTORS)
    assert list(compared["images"]) == [12] * len(DETECTORS)
    f1 = compared.set_index("detector")["f1"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.search(r"(0\.\d\d)\s+on the twelve of `roottip demo`", readme)
    assert f1["cnn"] == pytest.approx(float(told[1]), abs=0.01)
    assert f1["features"] > 0.5  # by chance as many points have less than 0.05
    assert f1["baseline"] > 0.4


def test_it_finds_the_tips_that_the_checkout_finds(program, capsys):
    image = f"input={ROOT / 'data' / 'sample' / 'images' / 'plate_0006.jpg'}"
    assert program("roottip", "detect", image, "output=theirs").returncode == 0
    assert [path.name for path in Path().iterdir()] == ["theirs"]
    assert app.main(["detect", image, "output=ours"]) == 0
    capsys.readouterr()
    theirs, ours = (table.read(Path(name) / "tips.csv") for name in ("theirs", "ours"))
    assert len(ours) > 5
    # not to the last digit: the environments may hold different releases of OpenCV
    pd.testing.assert_frame_equal(theirs, ours, atol=0.01)
    (overlay,) = Path("theirs/overlays").iterdir()
    assert overlay.stat().st_size > 10e3
    assert "plate_0006.jpg" in Path("theirs/report.html").read_text(encoding="utf-8")
    words = "convert", "input=theirs/tips.csv", "images=theirs/images.csv", "output=found.xml"
    assert program("roottip", *words).returncode == 0
    assert Path("found.xml").is_file()
