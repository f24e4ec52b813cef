from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from roottip import __version__, app, table
from roottip.interchange import read_dataset
from roottip.scorers import DETECTORS, load
from roottip.scorers.cnn import SHIPPED
from roottip.settings import resource
from roottip.synth.plate import Plate

CONF = Path(__file__).parents[1] / "conf"
SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def run(capsys, *words) -> tuple[int, str, str]:
    code = app.main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *words) -> str:
    """The one sentence that a refusal prints."""
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert err.startswith("roottip: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


@pytest.fixture
def photo(tmp_path, plate) -> Path:
    path = tmp_path / "photos, [a]=1 ünd {b}" / "it's $HOME ${x} #1.png"
    path.parent.mkdir()
    Image.fromarray(plate).save(path)
    return path


@pytest.mark.parametrize("command", app.COMMANDS)
def test_every_config_key_is_an_argument_with_the_same_default(command):
    config = yaml.safe_load((CONF / f"{command}.yaml").read_text())
    parameters = inspect.signature(app.COMMANDS[command]).parameters
    groups = {next(iter(g)) for g in config.pop("defaults", []) if isinstance(g, dict)}
    assert groups <= {path.name for path in CONF.iterdir() if path.is_dir()}
    assert config.keys() | groups == parameters.keys()
    if command == "synth":
        plate = config.pop("plate")
        chosen_elsewhere = {"species", "px_per_mm", "day"}
        assert plate.keys() == {f.name for f in dataclasses.fields(Plate)} - chosen_elsewhere
        assert set(plate.values()) == {None}  # what is not given varies
    for key, value in config.items():
        default = parameters[key].default
        if value == "???":
            assert default is inspect.Parameter.empty
        else:
            assert value == (
                str(default)
                if isinstance(default, Path)
                else list(default)
                if isinstance(default, tuple)
                else default
            )


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detectors_config_is_the_detector_of_that_name(name):
    config = yaml.safe_load((CONF / "detector" / f"{name}.yaml").read_text())
    assert config.pop("name") == name
    arguments = inspect.signature(import_module(f"roottip.scorers.{name}").detector).parameters
    assert config.keys() == arguments.keys()
    configured, default = load(name, **config), load(name)
    for field in dataclasses.fields(default):
        ours, theirs = (getattr(made, field.name) for made in (configured, default))
        # a scorer that holds a session is compared by what it was made from
        assert ours == theirs or ours.card == theirs.card
    assert {path.stem for path in (CONF / "detector").glob("*.yaml")} == set(DETECTORS)


@pytest.mark.parametrize("command", app.COMMANDS)
def test_help_teaches(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert out.startswith(f"roottip {command}")
    for key in inspect.signature(app.COMMANDS[command]).parameters:
        assert re.search(rf"^(Settings of {key}=|{key}:)", out, re.MULTILINE), key
    if "detector" in inspect.signature(app.COMMANDS[command]).parameters:
        assert "threshold: 0.6" in out


NETS = ("cnn.glance.onnx", "cnn.int8.onnx", "cnn.onnx", "cnn.review.onnx", "features.npz")


def test_overview_and_version(capsys):
    _, out, _ = run(capsys)
    for command in app.COMMANDS:
        assert re.search(rf"^  {command} +\w", out, re.MULTILINE), command
    assert run(capsys, "--help")[1] == out
    said = run(capsys, "--version")[1].splitlines()
    assert said[0] == f"roottip {__version__}"
    for line, name in zip(said[1:], NETS, strict=True):
        digest = hashlib.sha256(resource(f"weights/{name}").read_bytes()).hexdigest()
        assert line.startswith(f"{Path(name).stem} weights {digest[:12]}, made by roottip ")


def test_a_name_that_the_terminal_lacks_ends_no_run(tmp_path, photo):
    words = "detect", f"input={photo.parent}", f"output={tmp_path / 'ü'}", "detector=baseline"
    result = subprocess.run(
        [sys.executable, "-m", "roottip", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "report: " + str(tmp_path / "\\xfc") in result.stdout


def test_paths_are_what_the_shell_hands_over(capsys, tmp_path, photo):
    output = tmp_path / "out, (1) = [ü] ${y}"
    words = ("detect", "detector=baseline")
    code, out, _ = run(capsys, *words, f"input={photo}", f"output={output}")
    assert code == 0
    assert out.startswith("1 tip in 1 of 1 images.")
    tips = table.read(output / "tips.csv")
    assert tips["image"].tolist() == [photo.name]
    assert json.loads((output / "run.json").read_text())["input"] == str(photo)
    assert run(capsys, *words, f"input={photo.parent}", f"output={output}2")[0] == 0


def test_nothing_is_written_outside_output(capsys, tmp_path, photo, few, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = sorted(photo.parent.rglob("*"))
    assert run(capsys, "detect", f"input={photo}", f"output={tmp_path / 'out'}")[0] == 0
    assert run(capsys, "compare", f"data={few}")[0] == 0
    assert list(here.iterdir()) == []
    assert sorted(photo.parent.rglob("*")) == before


def test_settings_reach_the_detector(capsys, tmp_path, photo):
    words = ("detect", f"input={photo}", f"output={tmp_path / 'o'}", "overlays=false")
    code, out, _ = run(capsys, *words, "detector=baseline", "detector.threshold=0.999999")
    assert (code, out.split(".")[0]) == (0, "0 tips in 1 of 1 images")
    assert json.loads((tmp_path / "o" / "run.json").read_text())["detector"]["threshold"] > 0.99
    assert "holds the results of another run" in refused(capsys, *words)
    assert run(capsys, *words, "overwrite=true")[0] == 0


def test_a_run_with_a_bad_image_finishes_and_says_so(capsys, tmp_path, photo):
    (photo.parent / "text.jpg").write_text("no picture")
    code, out, err = run(capsys, "detect", f"input={photo.parent}", f"output={tmp_path / 'o'}")
    assert code == 3
    assert "1 could not be read" in out
    assert "text.jpg is not an image" in err
    assert table.read(tmp_path / "o" / "images.csv")["status"].tolist() == ["ok", "failed"]


def test_compare_writes_the_contracts_tables(capsys, tmp_path):
    output = tmp_path / "out"
    code, out, _ = run(
        capsys, "compare", f"data={SAMPLE}", "split=val", "detectors=[baseline]", f"output={output}"
    )
    assert code == 0
    assert "baseline" in out
    comparison = table.read(output / "comparison.csv")
    assert list(comparison)[:5] == ["detector", "tolerance", "precision", "recall", "f1"]
    row = comparison.iloc[0]
    assert f"{row['precision']:.3f}" in out
    assert row["precision_low"] <= row["precision"] <= row["precision_high"]
    assert row["seconds"] > 0
    matches, per_image = table.read(output / "matches.csv"), table.read(output / "per_image.csv")
    assert (matches["outcome"] == "hit").sum() == row["hits"] == per_image["hits"].sum()
    assert len(per_image) == 12 == len(table.read(output / "images.csv"))
    assert f"finds {row['recall']:.1%} of the marked tips" in (output / "report.html").read_text()
    for name in ("by_tolerance", "by_cause", "curve", "candidates", "differences"):
        assert (output / f"{name}.csv").is_file()


def test_evaluating_what_detect_wrote_gives_what_compare_says(capsys, tmp_path, few):
    run(capsys, "detect", f"input={few / 'images'}", f"output={tmp_path / 'd'}")
    run(capsys, "compare", f"data={few}", "detectors=[cnn]", f"output={tmp_path / 'c'}")
    code, _, _ = run(
        capsys,
        "evaluate",
        f"found={tmp_path / 'd' / 'tips.csv'}",
        f"truth={few / 'tips.csv'}",
        f"images={few / 'images.csv'}",
        f"output={tmp_path / 'e'}",
    )
    assert code == 0
    ours, theirs = (table.read(tmp_path / d / "comparison.csv").iloc[0] for d in "ec")
    assert ours["hits"] > 5
    for name in ("precision", "recall", "f1", "hits", "misses", "false_alarms", "precision_low"):
        assert ours[name] == pytest.approx(theirs[name])


def test_a_part_of_the_images_and_of_the_scores_is_evaluated(capsys, tmp_path, few):
    images = table.read(few / "images.csv").assign(split=["train", "val"])
    table.write(images, tmp_path / "images.csv")
    truth = table.read(few / "tips.csv").query("ignore == 0")
    found = truth[["image", "x", "y"]].assign(score=0.9)
    own = found.index[found["image"] == images["image"].iloc[1]]
    found.loc[own[:2], "score"] = 0.4
    table.write(found, tmp_path / "found.csv")
    given = f"found={tmp_path / 'found.csv'}", f"truth={few / 'tips.csv'}"
    words = f"images={tmp_path / 'images.csv'}", "split=val", "threshold=0.5"
    assert run(capsys, "evaluate", *given, *words, f"output={tmp_path / 'e'}")[0] == 0
    row = table.read(tmp_path / "e" / "comparison.csv").iloc[0]
    assert row[["images", "truth", "hits", "misses"]].tolist() == [1, len(own), len(own) - 2, 2]
    made = (tmp_path / "e" / "report.html").read_text(encoding="utf-8").partition("How this")[2]
    for name, value in (("split", "val"), ("threshold", "0.5")):
        assert re.search(rf"{name}\W+(?:\w+\W+){{0,3}}{value}\b", made), name


def test_evaluate_knows_groups_failures_and_strange_names(capsys, tmp_path):
    truth, images, found = (tmp_path / f"{name}.csv" for name in ("truth", "images", "found"))
    truth.write_text("image,x,y,group\na,9,9,p\nb,9,9,p\nc,9,9,p\n")
    found.write_text("image,x,y\na,9,9\nb,9,9\n")
    given = f"found={found}", f"truth={truth}"
    _, out, _ = run(capsys, "evaluate", *given)
    assert "With one group of images nothing can be said of chance." in out
    found.write_text("image,x,y\na.tif,9,9\n")
    said = refused(capsys, "evaluate", *given)
    assert "have no image in common, such as 'a.tif' and 'a'" in said
    found.write_text("image,x,y\na,9,9\nb,9,9\n")
    images.write_text("image,status,error\na,ok,\nb,ok,\nc,failed,c is cut short\n")
    code, out, err = run(capsys, "evaluate", *given, f"images={images}")
    assert code == 3
    assert "failed, its tips count as missed: c is cut short" in err
    assert "finds 66.7% of the marked tips" in out
    found.write_text("image,x,y,score\na,9,9,1\nb,9,9,1\nc,9,9,0.5\n")
    code, out, err = run(capsys, "evaluate", *given, f"images={images}")
    assert (code, err) == (3, "failed, but has finds, which count: c is cut short\n")
    assert "finds 100.0% of the marked tips" in out
    words = f"images={images}", "threshold=0.6"
    assert "its tips count as missed: c is" in run(capsys, "evaluate", *given, *words)[2]
    images.write_text("image,split\na,val\nb,val\nd,train\n")
    said = refused(capsys, "evaluate", *given, f"images={images}", "split=val")
    assert "truth.csv has points in 'c', which is none of the 3 names in " in said
    truth.write_bytes(b"image,x,y\n\xff,9,9\n\xff,50,50\n")
    found.write_bytes(b"image,x,y\n\xff,9,9\n")
    code, out, _ = run(capsys, "evaluate", *given, f"output={tmp_path / 'o'}")
    assert code == 0
    assert "finds 50.0% of the marked tips" in out


def test_a_group_on_both_sides_is_said(capsys, tmp_path, few):
    shutil.copytree(few, tmp_path / "d")
    images = table.read(few / "images.csv")
    splits = ["train", *["val"] * (len(images) - 1)]
    table.write(images.assign(group="g", split=splits), tmp_path / "d" / "images.csv")
    said = "group g has images in train and in another split"
    data = f"data={tmp_path / 'd'}"
    code, _, err = run(capsys, "compare", data, "split=val", "detectors=[baseline]")
    assert code == 0
    assert said in err
    assert said not in run(capsys, "compare", data, "detectors=[baseline]")[2]
    code, _, err = run(capsys, "train", data, f"output={tmp_path / 'o'}", "start=no.onnx")
    assert code == 2
    assert said in err


def test_compare_with_a_broken_image_a_net_of_ones_own_and_traces(capsys, tmp_path, few):
    shutil.copytree(few, tmp_path / "d")
    first = sorted((tmp_path / "d" / "images").iterdir())[0]
    first.write_text("no image")
    for suffix in (".onnx", ".json"):
        shutil.copy(SHIPPED.with_suffix(suffix), tmp_path / f"own{suffix}")
    table.write(table.read(few / "images.csv"), tmp_path / "d" / "images.csv")
    data = f"data={tmp_path / 'd'}"
    words = f"detectors=[baseline,{tmp_path / 'own.onnx'}]", f"output={tmp_path / 'c'}"
    code, out, err = run(capsys, "compare", data, *words)
    assert code == 3
    assert "own.onnx" in out
    assert "its tips count as missed" in err
    matches = table.read(tmp_path / "c" / "matches.csv")
    assert set(matches.loc[matches["image"] == first.name, "outcome"]) == {"miss"}
    assert {"hit", "miss"} <= set(matches["outcome"])
    before = read_dataset(tmp_path / "d").truth
    words = f"input={tmp_path / 'd' / 'tips.csv'}", f"images={few / 'images.csv'}"
    there = f"output={tmp_path / 'd' / 'rsml'}", "output_format=rsml"
    assert run(capsys, "convert", *words, *there)[0] == 0
    (tmp_path / "d" / "tips.csv").unlink()
    after = read_dataset(tmp_path / "d").truth
    order = ["image", "x", "y"]
    pd.testing.assert_frame_equal(
        after[order].sort_values(order, ignore_index=True),
        before[order].sort_values(order, ignore_index=True),
        atol=0.01,
    )


def test_scale_and_groups_reach_the_tables_and_redo_nothing(capsys, tmp_path, plate):
    (tmp_path / "in").mkdir()
    Image.fromarray(plate).save(tmp_path / "in" / "wt_1.png", dpi=(508, 508))
    given = f"input={tmp_path / 'in'}", f"output={tmp_path / 'o'}", "detector=baseline"
    assert run(capsys, "detect", *given)[0] == 0
    seconds = table.read(tmp_path / "o" / "images.csv")["seconds"][0]
    for word, scale in (("px_per_mm=10", 10), ("resolution_tag=true", 20)):
        named = "pattern={genotype}_{n}", "group=[genotype]"
        assert run(capsys, "detect", *given, word, *named)[0] == 0
        tips, images = (table.read(tmp_path / "o" / f"{name}.csv") for name in ("tips", "images"))
        assert len(tips) > 0
        assert tips["x_mm"].to_numpy() == pytest.approx((tips["x"] + 0.5) / scale, rel=1e-3)
        assert images["seconds"][0] == seconds
        assert table.read(tmp_path / "o" / "summary.csv")["genotype"].tolist() == ["wt"]


def test_several_tables_and_those_of_other_programs_are_compared(capsys, tmp_path):
    truth = table.read(SAMPLE / "tips.csv")
    table.write(truth[["image", "x", "y"]], tmp_path / "all.csv")
    table.write(truth.loc[::2, ["image", "x", "y"]], tmp_path / "half.csv")
    both = f"[{tmp_path / 'half.csv'},{tmp_path / 'all.csv'}]"
    given = f"truth={SAMPLE / 'tips.csv'}", f"images={SAMPLE / 'images.csv'}"
    code, out, _ = run(capsys, "evaluate", f"found={both}", *given, f"output={tmp_path / 'e'}")
    assert code == 0
    assert "of 100 tips than half (95 % interval" in out
    code, out, _ = run(
        capsys,
        "compare",
        f"data={SAMPLE}",
        "detectors=[baseline]",
        f"external={tmp_path / 'all.csv'}",
        f"output={tmp_path / 'c'}",
    )
    assert code == 0
    evaluated = table.read(tmp_path / "e" / "comparison.csv").set_index("detector")
    compared = table.read(tmp_path / "c" / "comparison.csv").set_index("detector")
    assert list(evaluated.index) == ["half", "all"]
    assert list(compared.index) == ["baseline", "all"]
    assert evaluated.loc["all", "f1"] == compared.loc["all", "f1"] == 1
    differences = table.read(tmp_path / "e" / "differences.csv")
    assert differences["rate"].tolist() == ["precision", "recall", "f1"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="file systems without such names")
def test_a_photograph_whose_name_is_not_utf8_is_compared(capsys, tmp_path, few):
    shutil.copytree(few, tmp_path / "d")
    first, second = sorted(path.name for path in (few / "images").iterdir())
    (tmp_path / "d" / "images" / first).rename(tmp_path / "d" / "images" / "w\udcdf.jpg")
    for name in ("images.csv", "tips.csv"):
        content = (few / name).read_bytes().replace(first.encode(), b"w\xdf.jpg")
        (tmp_path / "d" / name).write_bytes(content)
    words = "detectors=[baseline]", f"output={tmp_path / 'c'}"
    assert run(capsys, "compare", f"data={tmp_path / 'd'}", *words)[0] == 0
    assert run(capsys, "compare", f"data={few}", words[0], f"output={tmp_path / 'e'}")[0] == 0
    ours, theirs = (table.read(tmp_path / d / "comparison.csv") for d in "ce")
    assert ours["hits"].tolist() == theirs["hits"].tolist()
    assert set(table.read(tmp_path / "c" / "per_image.csv")["image"]) == {"w\udcdf.jpg", second}


def test_a_tip_that_is_marked_twice_is_said_by_compare(capsys, tmp_path, few):
    shutil.copytree(few, tmp_path / "d")
    tips = table.read(few / "tips.csv")
    table.write(pd.concat([tips, tips.iloc[:2]]), tmp_path / "d" / "tips.csv")
    code, _, err = run(capsys, "compare", f"data={tmp_path / 'd'}", "detectors=[baseline]")
    assert code == 0
    assert f"{tmp_path / 'd'} has 2 points twice\n" in err


def test_names_that_hydra_would_read_otherwise(capsys, tmp_path, few, photo):
    images = table.read(few / "images.csv")
    shutil.copytree(few, tmp_path / "d")
    for split in ("1.10", "true", "plättchen", "2024_01"):
        table.write(images.assign(split=split), tmp_path / "d" / "images.csv")
        words = f"data={tmp_path / 'd'}", f"split={split}", "detectors=[baseline]"
        assert run(capsys, "compare", *words)[0] == 0
    named = "pattern={größe}'s {rest}", "group=[größe]", "detector=baseline"
    assert run(capsys, "detect", f"input={photo}", f"output={tmp_path / 'o'}", *named)[0] == 0
    assert table.read(tmp_path / "o" / "summary.csv")["größe"].tolist() == ["it"]


def test_evaluate_wants_the_names_of_images_that_rsml_does_not_say(capsys, tmp_path):
    (tmp_path / "rsml").mkdir()
    table.write(table.points("a.png", np.array([[1.0, 1.0]])), tmp_path / "t.csv")
    said = refused(capsys, "evaluate", f"found={tmp_path / 't.csv'}", f"truth={tmp_path / 'rsml'}")
    assert "RSML needs images=" in said


def test_a_dataset_folder_says_which_images_there_are(capsys, tmp_path, few):
    found = table.read(few / "tips.csv")
    found[found["image"] == found["image"].iloc[0]].to_csv(tmp_path / "t.csv", index=False)
    code, out, err = run(capsys, "evaluate", f"found={tmp_path / 't.csv'}", f"truth={few}")
    assert (code, err) == (0, "")
    (tmp_path / "e").mkdir()
    named = f"images={few / 'images.csv'}"
    assert run(capsys, "evaluate", f"found={tmp_path / 't.csv'}", f"truth={few}", named)[1] == out


@pytest.mark.parametrize("words", [["--help"], ["detekt"]])
def test_a_reader_that_has_enough_is_no_error(words):
    read, write = os.pipe()
    os.close(read)
    streams = {"stdout": write, "stderr": subprocess.PIPE if words == ["--help"] else write}
    done = subprocess.run([sys.executable, "-m", "roottip", *words], **streams)
    os.close(write)
    assert done.returncode == 141
    assert not done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file that is always full")
def test_a_full_disk_below_what_is_said_is_an_error():
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "roottip", "--version"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, encoding="utf-8")
        assert (done.returncode, done.stderr) == (2, "roottip: No space left on device\n")
        assert subprocess.run(words, stdout=full, stderr=full).returncode == 2


def test_evaluate_without_a_list_of_images_says_what_that_leaves_out(capsys, tmp_path):
    table.write(table.points("a.png", np.array([[1.0, 1.0]])), tmp_path / "t.csv")
    code, out, err = run(
        capsys, "evaluate", f"found={tmp_path / 't.csv'}", f"truth={tmp_path / 't.csv'}"
    )
    assert code == 0
    assert "1.000" in out
    assert "without marked and without found tips are not counted" in err


def test_demo_prints_a_table_and_the_report(capsys, tmp_path, few, monkeypatch):
    # test_wheel.py runs it on all of the sample
    monkeypatch.setattr(app, "resource", lambda name: few if name == "data/sample" else None)
    code, out, _ = run(capsys, "demo", f"output={tmp_path / 'd'}")
    assert code == 0
    assert "precision" in out
    assert str(tmp_path / "d" / "compare" / "report.html") in out
    assert (tmp_path / "d" / "compare" / "report.html").is_file()
    assert run(capsys, "demo", f"output={tmp_path / 'd'}")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["detect", f"input={SAMPLE / 'images'}"],
        ["compare", f"data={SAMPLE}"],
        ["explain"],
        ["convert", f"input={SAMPLE / 'tips.csv'}", "output_format=csv"],
        ["convert", f"input={SAMPLE}"],
        ["synth", "count=1", "size=64"],
        ["train", f"data={SAMPLE}"],
        ["demo"],
    ],
)
def test_an_output_below_a_file_is_refused_before_the_work(capsys, tmp_path, words):
    (tmp_path / "file").write_text("mine")
    said = refused(capsys, *words, f"output={tmp_path / 'file' / 'below'}")
    assert f"{tmp_path / 'file'} is a file; give a folder" in said


def test_bad_commands_and_settings(capsys, tmp_path, photo):
    given = f"input={photo}", f"output={tmp_path / 'o'}"
    assert "no command 'detekt', did you mean detect?" in refused(capsys, "detekt", *given)
    assert "detect needs output=…" in refused(capsys, "detect", given[0])
    assert "'photos' is no setting; write key=value" in refused(capsys, "detect", "photos")
    assert "'--fast' is no setting" in refused(capsys, "detect", *given, "--fast")
    said = refused(capsys, "detect", *given, "overlay=false")
    assert "overlay is no setting of detect, did you mean overlays?" in said
    said = refused(capsys, "detect", *given, "detector.treshold=0.5")
    assert "did you mean detector.threshold?" in said
    said = refused(capsys, "detect", *given, "detector=basline")
    assert "no such detector, did you mean baseline?" in said
    assert "overlays=maybe: must be true or false" in refused(
        capsys, "detect", *given, "overlays=maybe"
    )
    said = refused(capsys, "detect", *given, "detector.threshold=high")
    assert "threshold=high must be a number" in said
    assert "overlays=[1" in refused(capsys, "detect", *given, "overlays=[1")
    assert "input=: must be a path" in refused(capsys, "detect", "input=", given[1])
    assert "tolerance=wide: must be a number" in refused(
        capsys, "compare", f"data={SAMPLE}", "tolerance=wide"
    )
    assert "no detector called 'cnm'" in refused(
        capsys, "compare", f"data={SAMPLE}", "detectors=[cnm]"
    )
    assert "detector.weights=: must be a path" in refused(
        capsys, "detect", *given, "detector.weights="
    )
    twice = "detector.weights=a", "detector.weights=b"
    assert "detector.weights=['a', 'b']: must be a path" in refused(
        capsys, "detect", *given, *twice
    )
    words = "detector=baseline", "detector.scorer.weights=3"
    assert "weights=3 must be a number for each" in refused(capsys, "detect", *given, *words)
    assert not (tmp_path / "o").exists()


def test_null_is_nothing_for_paths_too(capsys, tmp_path, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = f"input={photo}", "output=o", "overlays=false", "detector.weights=null", "pattern=null"
    assert run(capsys, "detect", *given)[0] == 0
    assert table.read(tmp_path / "o" / "images.csv")["tips"].sum() > 0
    told = "found=o/tips.csv", "truth=o/tips.csv"
    assert run(capsys, "evaluate", *told, "images=null", "output=null")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"o", photo.parent.name})


def test_what_a_comparison_cannot_use_is_refused_before_it_begins(capsys, few, monkeypatch):
    monkeypatch.setattr("roottip.compare.read_ahead", None)  # no image is read
    given = "compare", f"data={few}", "detectors=[baseline]"
    assert "tolerance=0.0 must be a number above 0" in refused(capsys, *given, "tolerance=0")
    named = few.parent / "baseline.csv"
    table.write(table.read(few / "tips.csv"), named)
    assert "baseline is a detector's name" in refused(capsys, *given, f"external={named}")


def test_bad_input(capsys, tmp_path):
    output = f"output={tmp_path / 'o'}"
    said = refused(capsys, "detect", f"input={tmp_path / 'none'}", output)
    assert "there is no file or folder" in said
    (tmp_path / "empty").mkdir()
    assert "there is no image in" in refused(
        capsys, "detect", f"input={tmp_path / 'empty'}", output
    )
    (tmp_path / "file").touch()
    said = refused(capsys, "detect", f"input={SAMPLE / 'images'}", f"output={tmp_path / 'file'}")
    assert "is a file; give a folder" in said
    said = refused(capsys, "detect", f"input={SAMPLE}", f"output={tmp_path / 'file' / 'below'}")
    assert "file" in said


def test_a_comparison_replaces_only_another_one(capsys, tmp_path, photo, few):
    given = f"input={photo}", "detector=baseline", "overlays=false"
    assert run(capsys, "detect", *given, f"output={tmp_path / 'run'}")[0] == 0
    shutil.copytree(few, tmp_path / "annotated")
    truth = f"truth={few / 'tips.csv'}"
    for folder in (tmp_path / "run", tmp_path / "annotated"):
        before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        found = f"found={tmp_path / 'run' / 'tips.csv'}"
        for words in (("compare", f"data={few}"), ("evaluate", found, truth)):
            assert "holds the images.csv of something else" in refused(
                capsys, *words, f"output={folder}"
            )
        after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        assert after == before
    own = tmp_path / "mine" / "matches.csv"  # a name that a comparison has too
    own.parent.mkdir()
    shutil.copy(tmp_path / "run" / "tips.csv", own)
    before = own.read_bytes()
    words = "evaluate", f"found={own}", truth, f"output={own.parent}"
    assert "holds the matches.csv of something else" in refused(capsys, *words)
    assert own.read_bytes() == before
    again = "compare", f"data={few}", "detectors=[baseline]", f"output={tmp_path / 'new'}"
    for _ in range(2):
        assert run(capsys, *again)[0] == 0


def test_bad_datasets_and_tables(capsys, tmp_path):
    assert "no dataset folder" in refused(capsys, "compare", f"data={tmp_path}")
    assert "no split 'vall'; it has only val" in refused(
        capsys, "compare", f"data={SAMPLE}", "split=vall"
    )
    truth = f"truth={SAMPLE / 'tips.csv'}"
    images = f"images={SAMPLE / 'images.csv'}"
    found = tmp_path / "found.csv"
    found.write_text("image,x\nplate_0001.jpg,1\n")
    said = refused(capsys, "evaluate", f"found={found}", truth, images)
    assert "has no column y; it has image, x" in said
    found.write_text("image,x,y\nplate_0001.jpg,1,2\nplate_0002.jpg,,2\n")
    said = refused(capsys, "evaluate", f"found={found}", truth, images)
    assert "row 2, column x: '' is not a finite number" in said
    found.write_text("image,x,y\nplate_0001.png,1,2\n")
    said = refused(capsys, "evaluate", f"found={found}", truth, images)
    assert "'plate_0001.png'" in said
    assert "'plate_0001.png'" in refused(
        capsys, "compare", f"data={SAMPLE}", "detectors=[baseline]", f"external={found}"
    )
    assert "split= needs images=" in refused(
        capsys, "evaluate", f"found={found}", truth, "split=val"
    )
    assert "no split 'x'" in refused(capsys, "evaluate", f"found={found}", truth, images, "split=x")


def test_synth_writes_a_dataset_that_compare_reads(capsys, tmp_path):
    pytest.importorskip("plantbox")
    words = ("synth", f"output={tmp_path / 'p'}", "count=1", "species=[pea]", "size=200")
    code, out, _ = run(capsys, *words, "days=[3,4]", "px_per_mm=4", "plate.hairs=0", "plate.top=4")
    assert (code, out) == (0, f"2 images of 1 plate: {tmp_path / 'p'}\n")
    images = table.read(tmp_path / "p" / "images.csv")
    assert images[["species", "day", "px_per_mm", "hairs"]].to_numpy().tolist() == [
        ["pea", 3, 4, 0],
        ["pea", 4, 4, 0],
    ]
    assert run(capsys, "compare", f"data={tmp_path / 'p'}", "detectors=[baseline]")[0] == 0
    _, _, err = run(capsys, *words)
    assert "holds another dataset" in err
    assert "no species 'pee'; there is barley" in refused(
        capsys, "synth", f"output={tmp_path / 'q'}", "species=pee"
    )
    assert "did you mean plate.hairs?" in refused(
        capsys, "synth", f"output={tmp_path / 'q'}", "plate.hair=1"
    )
    assert not (tmp_path / "q").exists()
