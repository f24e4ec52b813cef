"""What people write on the command line, and what becomes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from roottip import app
from roottip.errors import InputError
from roottip.settings import read_settings

NEEDED = {"compare": ["data=d"], "detect": ["input=i"]}


@pytest.mark.parametrize(
    ("command", "word", "said"),
    [
        ("detect", "px_per_mm=20,5", "write numbers with a point, as in px_per_mm=20.5"),
        ("detect", "detector.threshold=0,41", "as in detector.threshold=0.41"),
        ("compare", "detectors=cnn,baseline", r"in quotes: 'detectors=\[cnn,baseline\]'"),
        ("synth", "species=wheat,pea", r"in quotes: 'species=\[wheat,pea\]'"),
        ("detect", "group=plate,day", r"in quotes: 'group=\[plate,day\]'"),
        ("synth", "days=[]", r"days=\[\]: the list is empty; give at least one"),
        ("compare", "detectors=[]", r"detectors=\[\]: the list is empty"),
        ("synth", "days=3,5", r"in quotes: 'days=\[3,5\]'"),
        ("train", "data=a,~/b", r"in quotes: 'data=\[a,~/b\]'"),
        ("evaluate", "found=a.csv,b.csv", r"in quotes: 'found=\[a.csv,b.csv\]'"),
        ("compare", "external=a.csv,b.csv", r"in quotes: 'external=\[a.csv,b.csv\]'"),
        ("detect", "detector=CNN", r"no such detector, did you mean cnn\?"),
        ("detect", "PX_per_mm=20", r"is no setting of detect, did you mean px_per_mm\?"),
        ("detect", "detector.sizes=1,0.7,1.4", r"'detector.sizes=\[1,0.7,1.4\]'"),
        ("detect", "input=b", "^input=i input=b: give input= once: a folder, a pattern or a list"),
        ("convert", "input=[a,b]", r"^input=\[a,b\]: give input= once: a file or a folder$"),
    ],
)
def test_what_people_write_otherwise_is_said_in_our_words(command, word, said):
    with pytest.raises(InputError, match=said):
        read_settings(app.COMMANDS[command], ["output=o", *NEEDED.get(command, []), word])


def test_a_file_s_name_may_hold_commas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a,b.onnx").touch()
    words = ["data=1,5", "detectors=a,b.onnx"]
    settings = read_settings(app.COMMANDS["compare"], words)
    assert (settings["data"], settings["detectors"]) == (Path("1,5"), ["a,b.onnx"])
    Path("a,b").mkdir()
    settings = read_settings(app.COMMANDS["train"], ["data=a,b", "output=o"])
    assert settings["data"] == [Path("a,b")]


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.setenv("USERPROFILE", "/somebody")
    words = ["input=~/photos", "output=~x", "detector.weights=~/net.onnx"]
    settings = read_settings(app.COMMANDS["detect"], words)
    assert settings["input"] == Path("/somebody/photos")
    assert settings["output"] == Path("~x")
    assert settings["detector"]["weights"] == str(Path("/somebody/net.onnx"))
    words = ["data=d", "detectors=[cnn,~/net.onnx]"]
    settings = read_settings(app.COMMANDS["compare"], words)
    assert settings["detectors"] == ["cnn", str(Path("/somebody/net.onnx"))]


def test_words_may_be_longer_than_names_of_files():
    pattern = "{a}" + "_" * 400 + "{b}"
    words = ["input=i", "output=o", f"pattern={pattern}"]
    assert read_settings(app.COMMANDS["detect"], words)["pattern"] == pattern


def test_lists_may_be_longer_than_names_of_files():
    names = [f"{'a' * 30}{n}.csv" for n in range(20)]
    told = ",".join(names)
    settings = read_settings(app.COMMANDS["evaluate"], [f"found=[{told}]", "truth=t"])
    assert settings["found"] == [Path(name) for name in names]
    with pytest.raises(InputError, match="give input= once"):
        read_settings(app.COMMANDS["detect"], [f"input=[{told}]", "output=o"])
    for command, word in (("evaluate", f"found={told}"), ("compare", f"detectors={told}")):
        with pytest.raises(InputError, match="write a list in brackets"):
            read_settings(app.COMMANDS[command], [word])


@pytest.mark.skipif(sys.platform == "win32", reason="it removes no folder that is in use")
def test_a_current_folder_that_is_gone_is_said(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    with pytest.raises(InputError, match="the current folder has been removed; go to another one"):
        read_settings(app.COMMANDS["detect"], ["input=/i", "output=/o"])
