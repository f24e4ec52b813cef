from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from roottip import table
from roottip.errors import InputError

SCRIPTS = Path(__file__).parents[1] / "scripts"

IMPORTING = """
import contextlib, importlib, io, json, sys

def told(module, *words):
    said, sys.argv = io.StringIO(), [module.__file__, *words]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            module.command_line.run(module.main)
        except SystemExit as end:
            return end.code, said.getvalue()

answers = {}
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    answers[name] = {}
    if "command_line" in vars(module):
        tries = ["--help"], ["--nothing"]
        if "FOLDER:TOLERANCE" in told(module, "--help")[1]:
            tries += ["photos"], [".:10"]
        if name == "train_release":
            tries += [".", "."], [".", ".", "--rounds", "0"]
        answers[name] = {" ".join(words): told(module, *words) for words in tries}
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each script says to some command lines; all in one process, in a folder where nothing
    is, and nothing comes to be."""
    empty = tmp_path_factory.mktemp("empty")
    names = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTING, *names],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout)
    assert list(answers) == names
    assert not list(empty.iterdir())
    return answers


@pytest.fixture
def script(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module


@pytest.fixture
def run(script, monkeypatch, capsys):
    """Run a script in this process; its exit code and what it says of errors."""

    def run(name, *words):
        module = script(name)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            script("command_line").run(module.main)
        return end.value.code, capsys.readouterr().err

    return run


def test_every_script_finds_what_it_imports_and_does_nothing_when_imported(answers):
    assert len(answers) > 30


def test_help_teaches_and_what_is_unknown_is_refused(answers):
    told = {name: answer for name, answer in answers.items() if answer}
    assert len(told) > 25
    for name, answer in told.items():
        code, said = answer["--help"]
        assert (name, code, answer["--nothing"][0]) == (name, 0, 2)
        docstring = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
        assert docstring.strip() in said
        # an option that is not explained is alone on its line, and nothing further in follows
        bare = re.compile(r"^  --\w+(?: [A-Z]+)?$(?!\n {10,}\S)", re.MULTILINE)
        assert not bare.findall(said.partition("\noptions:")[2]), name


def test_datasets_that_cannot_be_used_are_refused_in_a_sentence(answers):
    rated = {name: answer for name, answer in answers.items() if "photos" in answer}
    assert len(rated) == 9
    for name, answer in rated.items():
        code, said = answer["photos"]
        assert (name, code) == (name, 2)
        assert "Traceback" not in said
        last = said.splitlines()[-1]
        assert "'photos' says no tolerance; give FOLDER:TOLERANCE, such as photos:10" in last
        code, said = answer[".:10"]
        assert (name, code) == (name, 2)
        alone = name in ("cross_validate", "measure_generality")
        assert ("two datasets or more" if alone else ". is no dataset folder, it has") in said


def test_a_release_that_would_come_to_nothing_is_refused_before_anything_is_drawn(answers):
    code, said = answers["train_release"][". ."]
    assert code == 2
    assert "is neither osr nor tillmore" in said
    code, said = answers["train_release"][". . --rounds 0"]
    assert code == 2
    assert "--rounds 0 would ship a net that has learnt nothing" in said


def test_what_a_dataset_and_its_tolerance_must_be(script, tmp_path, monkeypatch):
    annotated = script("command_line").annotated
    assert annotated(f"{tmp_path}:10.5") == (tmp_path, 10.5)
    monkeypatch.chdir(tmp_path)
    Path("day:1").mkdir()
    assert annotated("day:1:8") == (Path("day:1"), 8)
    for wrong in ("ten", "", "0", "-3", "nan", "inf"):
        with pytest.raises(argparse.ArgumentTypeError, match="no number above 0; give FOLDER:"):
            annotated(f"day:1:{wrong}")
    with pytest.raises(argparse.ArgumentTypeError, match="no folder 'night'; give"):
        annotated("night:10")


def test_sets_left_out_one_after_the_other_must_have_names_of_their_own(script, capsys):
    lines = script("command_line")
    sets = [lines.Annotated(Path(folder), 10.0) for folder in ("one/osr", "two/osr", "barley")]
    parser = lines.parser("")
    assert lines.several(parser, sets[1:]) == {Path("two/osr"): 10, Path("barley"): 10}
    with pytest.raises(SystemExit, match="2"):
        lines.several(parser, sets)
    assert "two datasets have the same name, of osr, osr, barley" in capsys.readouterr().err


def test_what_is_the_users_to_mend_is_a_sentence(run, few):
    code, said = run("measure_cnn", f"{few}:10")
    assert code == 2
    assert said.startswith("measure_cnn.py: error: ")
    assert said.endswith("has no split 'train'; it has only val\n")


def test_lists_of_numbers(script):
    lines = script("command_line")
    assert lines.factors("1,0.71") == [1, 0.71]
    assert lines.counts("2,all") == ["2", "all"]
    assert lines.positive("3") == 3
    for read, wrong in (
        (lines.factors, "1,"),
        (lines.factors, "0"),
        (lines.counts, "2,many"),
        (lines.counts, "0"),
        (lines.positive, "0"),
        (lines.positive, "2.5"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=re.escape(repr(wrong))):
            read(wrong)


class Blind:
    """Finds nothing, or one point an image."""

    threshold = 0.5

    def __init__(self, points=()):
        self.points = np.reshape(points, (-1, 2))

    def detect(self, image, name, threshold):
        return table.points(name, self.points, np.full(len(self.points), 0.7, np.float32))


@pytest.mark.parametrize("points", [(), (1.0, 1.0)])
def test_a_net_that_sees_no_tip_is_measured(script, few, points):
    figures = script("measure_cnn").whole_images(few, "val", 10.0, Blind(points))
    assert figures["images"] == 2
    assert figures["recall"] == 0
    assert np.isnan(figures["median_distance"])
    assert np.isnan(figures["calibration_error"]) == (points == ())


def test_images_without_a_tip_are_no_images_to_measure_on(script, few, tmp_path):
    images, tips = table.read(few / "images.csv"), table.read(few / "tips.csv")
    (tmp_path / "images").symlink_to(few / "images")
    table.write(images, tmp_path / "images.csv")
    table.write(tips.assign(ignore=1), tmp_path / "tips.csv")
    refuse = script("measure_cnn").refuse_tipless
    refuse(few, {"val"})
    with pytest.raises(InputError, match="no visible tip in images of the split 'val'"):
        refuse(tmp_path, {"val"})


def test_no_windows_have_no_share(script):
    share = script("measure_cnn").share
    assert share(np.array([True, False])) == 0.5
    assert np.isnan(share(np.array([], dtype=bool)))


def examples(script, groups, ends=6):
    """As many images, each with a tip at (5, 5) and ends of ridges on it and elsewhere."""
    tune = script("tune_baseline")
    rng = np.random.default_rng(0)
    made = []
    for number, group in enumerate(groups):
        name = f"{number}.jpg"
        points = np.array([[5.0, 5.0], *rng.uniform(60, 90, (5, 2))])[:ends]
        measures = rng.normal(0, 1, (ends, len(tune.MEASURES)))
        measures[:1] += 4
        truth = pd.DataFrame({"image": [name], "x": 5.0, "y": 5.0, "ignore": 0})
        made.append(tune.Example(name, group, "osr as it is", 1.0, 8.0, truth, points, measures))
    return tune, made


def test_few_groups_are_cross_validated_by_fewer_folds(script):
    tune, made = examples(script, ["a", "b", "b"])
    scores = tune.cross_validated(made, 0)
    assert scores.keys() == {"0.jpg", "1.jpg", "2.jpg"}
    assert tune.f1_by_threshold(made, scores, 8.0).max().item() == 1


def test_what_cannot_be_cross_validated_is_said(script):
    tune, made = examples(script, ["a", "a"])
    with pytest.raises(InputError, match="all images of the split train are of one group, a"):
        tune.cross_validated(made, 0)
    for example in made:
        example.truth = example.truth.iloc[:0]
    with pytest.raises(InputError, match="nothing to tell apart; give datasets with more images"):
        tune.fit(made)


def test_images_without_ends_of_ridges_have_no_scores(script):
    tune, made = examples(script, ["a", "b"])
    _, (bare, *_) = examples(script, ["c"], ends=0)
    bare.name, bare.data = "bare.jpg", "osr, bare"
    scores = tune.cross_validated([*made, bare], 0)
    assert len(scores["bare.jpg"]) == 0
    bare.truth = bare.truth.assign(image="bare.jpg")
    assert tune.f1_by_threshold([bare], scores, 8.0).max().item() == 0


def test_operations_are_those_that_torch_counts_on_a_processor(script):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from roottip.learning.net import TipNet

    net = TipNet(kernels=2, features=3, hidden=5).eval()
    image = torch.zeros(1, 3, net.window + 8, net.window + 12)
    with FlopCounterMode(display=False) as counter:
        net(image)
    assert script("bench").operations(net, image) == counter.get_total_flops()
    assert not any(layer._forward_hooks for layer in net.modules())
    # it counts each convolution twice on a graphics card
    assert "FlopCounterMode(" not in (SCRIPTS / "bench_gpu.py").read_text(encoding="utf-8")


def test_lowest_empties_no_folder_but_an_environment(run, tmp_path):
    kept = tmp_path / "photos" / "plate.jpg"
    kept.parent.mkdir()
    kept.touch()
    code, said = run("lowest", kept.parent)
    assert code == 2
    assert "no environment; give another folder" in said
    assert kept.exists()


def test_lowest_names_tests_that_there_are(script):
    named = {f"test_{name}.py" for name in script("lowest").TESTS.split()}
    assert named <= {path.name for path in Path(__file__).parent.iterdir()}


def test_a_folder_made_whole_leaves_nothing_beside_it(script, tmp_path):
    whole = script("making").whole

    def make(folder, text):
        folder.mkdir(parents=True)
        (folder / "note").write_text(text)

    whole(tmp_path / "made", make, "first")
    whole(tmp_path / "made", make, "not again")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "note").read_text() == "first"
