"""The whole look back, small: its tables agree with each other and with the detector."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("captum")

from roottip import app, table
from roottip.explain import explain
from roottip.explain_tables import ZONES
from roottip.interchange import read_dataset
from roottip.learning.handmade import QUANTITIES
from roottip.scorers import card as cards
from roottip.scorers.cnn import SHIPPED, CnnScorer, int8_of

NASTY = "<b onload=\"x\">&amp; '1'.png"


@pytest.fixture(scope="module")
def data(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the drawn plates, one with a name that a page must escape; a tip nobody can find."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    for old, new in (("4.png", NASTY), ("5.png", "5.png")):
        shutil.copy(drawn / "images" / old, root / "images" / new)
    tips = pd.read_csv(drawn / "tips.csv").replace({"image": {"4.png": NASTY}})
    tips = tips[tips["image"].isin([NASTY, "5.png"])]
    nowhere = pd.DataFrame({"image": ["5.png"], "x": [20], "y": [180], "ignore": [0]})
    pd.concat([tips, nowhere]).to_csv(root / "tips.csv", index=False)
    images = pd.DataFrame({"image": [NASTY, "5.png"], "group": ["a", "b"]})
    images.to_csv(root / "images.csv", index=False)
    return root


@pytest.fixture(scope="module")
def weights(shipped_alone: Callable[[], Path]) -> Path:
    """The shipped net with a threshold at which it finds tips on plates as plain as these."""
    path = shipped_alone()
    cards.amend(path, threshold=0.5)
    return path


@pytest.fixture(scope="module")
def output(data: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explained")
    explain(read_dataset(data), weights, path, count=1)
    return path


def test_the_page_stands_alone_and_escapes_names(output):
    page = (output / "explain.html").read_text(encoding="utf-8")
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]*)""", page)
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    words = re.sub(r"data:image/[^\"]*", "", page)
    assert not re.search(r"https?:|//\w|<script|<link|@import", words)
    assert "<b onload" not in page
    assert "&lt;b onload=" in page


def test_the_tables_fit_the_net_and_each_other(output, data):
    kernels, layers, features, explained, zones = (
        table.read(output / f"{name}.csv")
        for name in ("kernels", "layers", "features", "windows", "zones")
    )
    scorer = CnnScorer(SHIPPED)
    assert len(kernels) == layers["kernels"][0]
    assert layers["numbers"].iloc[-1] == 1
    assert layers["sees_px"].iloc[-1] == scorer.card["window"]
    assert len(features) == layers.loc[layers["map_side"] == 1, "kernels"].iloc[0]
    assert features[list(QUANTITIES)].abs().max(axis=None) <= 1
    explained = explained[explained["drawn"] == 1]
    assert (explained["outcome"].value_counts() <= 1).all()
    assert {"hit", "miss"} <= set(explained["outcome"])
    missed = explained[explained["outcome"] == "miss"]
    marked = table.read(data / "tips.csv").query("ignore == 0")
    places = set(marked[["image", "x", "y"]].itertuples(index=False, name=None))
    assert set(missed[["image", "x", "y"]].itertuples(index=False, name=None)) <= places
    given = explained[[f"given_{zone}" for zone in ZONES]].sum(axis=1)
    whole = explained["evidence"] - explained["evidence_of_empty_ground"] + explained["gap"]
    np.testing.assert_allclose(given, whole, atol=2e-3)
    for part in ("share", "contrast"):
        total = explained[[f"{part}_{zone}" for zone in ZONES]].sum(axis=1)
        np.testing.assert_allclose(total, 1, atol=1e-5)
    hits = explained[explained["outcome"] == "hit"]
    of_tip = zones[(zones["outcome"] == "hit") & (zones["zone"] == "tip")].iloc[0]
    assert of_tip["share"] == pytest.approx(hits["share_tip"].mean())


def test_pictures_are_files_too(output):
    pictures = {path.stem for path in (output / "pictures").glob("*.png")}
    assert {"kernels", "layers", "features", "hit", "miss"} <= pictures


def test_the_same_seed_gives_the_same_tables(output, data, weights, tmp_path):
    explain(read_dataset(data), weights, tmp_path, count=1)
    for path in output.glob("*.csv"):
        pd.testing.assert_frame_equal(table.read(path), table.read(tmp_path / path.name))


def test_what_cannot_be_is_refused_in_a_sentence(data, tmp_path, capsys):
    for words, said in (
        (["image=none.png"], "is none of the 2 images"),
        (["count=0"], "at least 1"),
        (["seed=-1"], "seed=-1 must be a whole number of at least 0"),
        (["tolerance=0"], "tolerance=0.0 must be a number above 0"),
        (["weights=none.onnx"], "none.onnx cannot be read"),
        ([f"weights={int8_of(SHIPPED)}"], "is no chain of convolutions"),
    ):
        assert app.main(["explain", f"data={data}", f"output={tmp_path / 'o'}", *words]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1


def test_an_unreadable_image_is_called_so_and_nobodys_table_is_replaced(
    data, weights, tmp_path, capsys
):
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "images" / "5.png").write_text("no picture")
    words = "explain", f"data={tmp_path / 'data'}", f"weights={weights}", "count=1"
    assert app.main([*words, "image=5.png", f"output={tmp_path / 'o'}"]) == 2
    assert "5.png is not an image" in capsys.readouterr().err
    own = tmp_path / "own" / "features.csv"
    own.parent.mkdir()
    own.write_text("mine")
    assert app.main([*words, f"output={own.parent}"]) == 2
    assert "holds the features.csv of something else" in capsys.readouterr().err
    assert own.read_text() == "mine"


def test_without_captum_one_sentence_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    for name in ("roottip.explain", "roottip.explain_tables", "roottip.learning.attribution"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("roottip.learning.attribution", raising=False)
    assert app.main(["explain"]) == 2
    assert "pip install 'roottip[explain]'" in capsys.readouterr().err
