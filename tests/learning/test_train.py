"""Training as a whole, on plates so simple that the answer is known."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import pytorch_lightning
import torch
import yaml
from torch.utils.data import DataLoader

from roottip.app import main
from roottip.detector import WindowDetector
from roottip.errors import InputError
from roottip.images import read_image
from roottip.learning import mining
from roottip.learning.choice import TOLERANCE, Choice, best, curves, scan
from roottip.learning.mining import LEAST, SIZES, false_alarms, finds_of
from roottip.learning.module import TipModule, precision_of
from roottip.learning.patches import Samples, negatives, window_patches
from roottip.learning.plates import Plate, distance, hold_out, read_plates, summary
from roottip.learning.recipe import FULL, Recipe
from roottip.learning.train import train
from roottip.scale import REFERENCE_WIDTH
from roottip.scorers.cnn import (
    SHIPPED,
    CnnScorer,
    GlancingScorer,
    detector,
    glance_of,
    int8_of,
)
from roottip.scorers.review import review_of
from roottip.windows import Centres, Image, Scores, grid

pytestmark = pytest.mark.filterwarnings(
    # Lightning's, about its own use of torch and about the few cores and batches of a test
    "ignore::DeprecationWarning:pytorch_lightning",
    "ignore::FutureWarning:pytorch_lightning",
    "ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning",
    "ignore::UserWarning:pytorch_lightning",
)

CONF = Path(__file__).parents[2] / "conf" / "trainer"

TINY = Recipe(rounds=2, steps=8, batch=16, workers=0, glance_steps=0, features=16)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_trainers_config_is_a_recipe(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    config.pop("defaults", None)
    assert config.keys() <= asdict(FULL).keys()
    recipe = Recipe(**config)
    if path.stem == "default":
        assert config.keys() == asdict(FULL).keys()
        assert recipe == FULL


def test_overfits_a_toy_set(drawn: Path) -> None:
    plates = read_plates([drawn])
    data = Samples(plates, 64, seed=0)
    pytorch_lightning.seed_everything(0, verbose=False)
    module = TipModule(kernels=8, features=16, hidden=16, rate=1e-2)
    trainer = pytorch_lightning.Trainer(
        max_epochs=30,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data, batch_size=16))
    seen = DataLoader(window_patches(plates, seed=0), batch_size=16)
    (result,) = trainer.validate(module, seen, verbose=False)
    assert result["patch_accuracy"] == 1.0
    image, _, offset, _ = next(iter(DataLoader(data, batch_size=64)))
    known = ~offset.isnan()
    away = (module.net.look(image)[1] - offset)[known]
    assert away.abs().mean() < 0.3 * offset[known].abs().mean()


def test_trains_exports_and_resumes(drawn: Path, tmp_path: Path) -> None:
    # twice the steps: after 8, some processors' scores still are all alike
    weights = train([drawn], tmp_path, replace(TINY, steps=16), dev=0.5)
    card = json.loads(weights.with_suffix(".json").read_text())
    assert weights == tmp_path / "model.onnx"
    assert card["training"]["data"] == [
        {
            "dataset": drawn.name,
            "images": 2,
            "groups": 1,
            "tips": 4,
            "sha256": summary(hold_out(read_plates([drawn]), 0.5, 0)[0])[0]["sha256"],
        }
    ]
    assert card["training"]["dev"]["plates"] == 2
    assert card["threshold"] == card["training"]["dev"]["threshold"]
    assert card["threshold_from"] == "train"
    assert detector(weights).threshold == card["threshold"]
    assert detector(weights).sizes == SIZES
    twin = CnnScorer(int8_of(weights))
    assert twin.card["int8_of"] == card["sha256"]
    plate = read_plates([drawn])[0].image
    centres = grid(plate.shape, 4)
    exact = CnnScorer(weights)(plate, centres)
    assert np.ptp(exact) > 0.05
    assert np.abs(twin(plate, centres) - exact).mean() < 0.01
    assert np.array_equal(
        detector(weights, glance=False).scorer(plate, centres), twin(plate, centres)
    )

    logs = tmp_path / "logs" / "version_0"
    metrics = pd.read_csv(logs / "metrics.csv")
    assert {"loss", "dev_f1", "patch_accuracy"} <= set(metrics)
    assert list(logs.glob("events*"))
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == TINY.rounds - 1


def test_resumes_where_it_stopped(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = replace(TINY, rounds=3)
    # the best round is the last one before the cut, which must be known after it
    f1 = iter([0.3, 0.9, 0.5, 0.3, 0.9, 0.5])
    monkeypatch.setattr("roottip.learning.rounds.best", lambda _: (0.5, next(f1)))
    whole = train([drawn], tmp_path / "whole", three, dev=0.5)
    mined = 0

    def stop(*given: object) -> object:
        nonlocal mined
        mined += 1
        if mined == 2:  # mining is the first thing of the second round and of the third
            raise RuntimeError("power cut")
        return false_alarms(*given)

    with monkeypatch.context() as patch:
        patch.setattr("roottip.learning.rounds.false_alarms", stop)
        with pytest.raises(RuntimeError, match="power cut"):
            train([drawn], tmp_path / "cut", three, dev=0.5)
    assert not (tmp_path / "cut" / "model.onnx").exists()
    with pytest.raises(InputError, match="resume=true"):
        train([drawn], tmp_path / "cut", three, dev=0.5)
    resumed = train([drawn], tmp_path / "cut", three, dev=0.5, resume=True)
    for folder in ("whole", "cut"):
        kept = torch.load(tmp_path / folder / "model.ckpt", weights_only=True)
        assert kept["epoch"] == 1
    assert len(list((tmp_path / "cut" / "logs").glob("version_*/metrics.csv"))) == 2
    for recipe, other, said in (
        (replace(three, rounds=4), {}, "trainer.rounds=3, not 4"),
        (three, {"seed": 1}, "seed=0, not 1"),
        (three, {"root_width": 9.0}, "root_width=None, not 9.0"),
        (replace(three, devices=2), {}, "trainer.devices=1, not 2"),
    ):
        with pytest.raises(InputError, match=f"is of a training with {said}; resume it as it was"):
            train([drawn], tmp_path / "cut", recipe, dev=0.5, resume=True, **other)
    assert resumed.read_bytes() == whole.read_bytes()
    (tmp_path / "cut").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"was moved here from .*cut/checkpoints, where its best"):
        train([drawn], tmp_path / "moved", three, dev=0.5, resume=True)


def test_the_same_seed_gives_the_same_net(drawn: Path, tmp_path: Path) -> None:
    once = replace(TINY, rounds=1)
    nets = [train([drawn], tmp_path / name, once, dev=0.0, threshold=0.4) for name in ("a", "b")]
    assert nets[0].read_bytes() == nets[1].read_bytes()
    assert CnnScorer(nets[0]).card["threshold"] == 0.4


@pytest.mark.parametrize(
    ("dev", "enough", "held"), [(0.0, 1, 0), (0.4, 10_000, 2), (None, 10_000, 0), (None, 1, 2)]
)
def test_groups_are_held_out_and_choose_the_threshold_if_they_have_enough_tips(
    dev: float | None,
    enough: int,
    held: int,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roottip.learning.train.ENOUGH", enough)
    monkeypatch.setattr("roottip.learning.train.HELD_OUT", 0.4)
    card = CnnScorer(train([drawn], tmp_path, replace(TINY, rounds=1, steps=24), dev=dev)).card
    assert card["training"]["dev"]["plates"] == held
    training, held_out = hold_out(read_plates([drawn]), 0.4 if held else 0.0, 0)
    by_themselves = held > 0 and enough == 1
    judges = held_out if by_themselves else [*training, *held_out]
    shipped = detector(tmp_path / "model.onnx", threshold=LEAST)
    chosen, f1 = best(curves(scan(shipped, judges), judges))
    assert card["threshold_from"] == ("held-out groups of train" if by_themselves else "train")
    assert card["threshold"] == chosen
    assert card["training"]["dev"]["f1"] == round(f1, 4)


def test_a_glance_loses_no_tip_and_is_passed_on(
    drawn: Path,
    shipped_alone: Callable[[], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roottip.learning.glance.BATCH", 16)
    # the net that ships sees these tips; without its own glance one is taught
    teacher = shipped_alone()
    recipe = replace(TINY, rounds=0, glance_steps=60)
    first = train([drawn], tmp_path / "first", recipe, dev=0.0, threshold=0.5, start=teacher)
    net, glance = CnnScorer(first), CnnScorer(glance_of(first))
    assert glance.card["glance_of"] == net.card["sha256"]
    assert glance.card["share_of_windows"] < 0.3
    found = 0
    for plate in read_plates([drawn]):
        everywhere, _ = detector(first, root_width=5.0, glance=False).find(plate.image)
        hasty, _ = detector(first, root_width=5.0).find(plate.image)
        for tip in plate.tips[distance(plate.tips, everywhere) <= TOLERANCE]:
            assert distance(tip[None], hasty) <= TOLERANCE
            found += 1
    assert found >= 4
    # a net that starts from one with a glance takes it over, with a threshold of its own
    still = replace(TINY, rounds=1, rate=1e-3)
    second = train([drawn], tmp_path / "second", still, dev=0.0, threshold=0.3, start=first)
    adopted = CnnScorer(glance_of(second))
    assert adopted.card["sha256"] == glance.card["sha256"]
    assert adopted.card["glance_of"] == CnnScorer(second).card["sha256"]
    assert isinstance(detector(second).scorer, GlancingScorer)
    # what an earlier net left in the output goes with it
    shutil.rmtree(tmp_path / "second" / "checkpoints")
    none = replace(TINY, rounds=0)
    with pytest.raises(InputError, match=r"second holds a net, model\.onnx; give another output"):
        train([drawn], tmp_path / "second", none, dev=0.0, threshold=0.3, start=teacher)
    second.unlink()
    assert second == train(
        [drawn], tmp_path / "second", none, dev=0.0, threshold=0.3, start=teacher
    )
    assert not glance_of(second).exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 0}, "trainer.batch=0 must be a whole number of at least 1"),
        ({"rounds": "abc"}, "trainer.rounds=abc must be a whole number"),
        ({"rate": -1}, "trainer.rate=-1 must be a number of at least 0"),
    ],
)
def test_a_recipe_of_numbers_that_cannot_be_is_refused(settings: dict, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        Recipe(**settings)


@pytest.mark.parametrize(
    ("settings", "given", "said"),
    [
        ({}, {"seed": -1}, "seed=-1 must be a whole number of at least 0"),
        ({}, {"threshold": 5}, "threshold=5 must be a number of at least 0 and at most 1"),
        ({"accelerator": "abacus"}, {}, "trainer.accelerator=abacus"),
        ({"precision": "7-bit"}, {}, "trainer.precision=7-bit: "),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_learnt(
    settings: dict, given: dict, said: str, drawn: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        train([drawn], tmp_path, replace(TINY, **settings), dev=0.5, **given)
    assert not (tmp_path / "model.onnx").exists()


def test_a_training_that_is_stopped_says_so(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("roottip.learning.rounds.Samples", stop)
    words = [f"trainer.{key}={value}" for key, value in asdict(TINY).items()]
    given = ["train", f"data={drawn}", f"output={tmp_path}", "dev=0.5", *words]
    assert main(given) == 130
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_command_says_its_own_words_only(drawn: Path, tmp_path: Path) -> None:
    few = replace(TINY, rounds=1, steps=1)
    words = [f"trainer.{key}={value}" for key, value in asdict(few).items()]
    given = ["train", f"data={drawn}", f"output={tmp_path / 'net'}", "dev=0.5", *words]
    done = subprocess.run(
        [sys.executable, "-m", "roottip", *given],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr
    first, *others = done.stderr.splitlines()
    assert re.fullmatch(r"round 1 of 1: loss \d\.\d{3}, patch_accuracy .*, dev_f1 \d\.\d{3}", first)
    assert [line.split(":")[0] for line in others] in ([], ["this net hardly finds a tip"])
    assert re.fullmatch(r"F1 \d\.\d{3} on .*\nuse it: roottip detect .*\n", done.stdout)


def test_without_rounds_nothing_is_learnt(drawn: Path, tmp_path: Path) -> None:
    none = replace(TINY, rounds=0)
    with pytest.raises(InputError, match="give start="):
        train([drawn], tmp_path / "from_nothing", none, dev=0.5)
    first = train([drawn], tmp_path / "first", TINY, dev=0.5)
    again = train([drawn], tmp_path / "again", none, dev=0.5, start=first)
    # of tips there are too few to calibrate on, so the scores stay
    image = read_plates([drawn])[0].image
    centres = grid(image.shape, 4)
    np.testing.assert_allclose(
        CnnScorer(again)(image, centres), CnnScorer(first)(image, centres), atol=1e-4
    )
    card = json.loads(again.with_suffix(".json").read_text())
    assert card["threshold"] == card["training"]["dev"]["threshold"]
    assert not (tmp_path / "again" / "model.ckpt").exists()


@pytest.mark.parametrize("helps", [True, False])
def test_a_review_is_handed_on_where_it_is_chosen(
    helps: bool,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("roottip.learning.review.TYPICAL", 8)
    choice = Choice(f1=0.5, threshold=0.33, surest=0.8, review=True)
    known: list[object] = []
    monkeypatch.setattr(
        "roottip.learning.finish.choose", lambda *given: known.append(given[-2:]) or choice
    )
    taught = replace(TINY, rounds=1, review_steps=1)
    first = train([drawn], tmp_path / "first", taught, dev=0.5)
    assert review_of(first).exists()
    choice = replace(choice, review=helps)
    second = train([drawn], tmp_path / "second", replace(TINY, rounds=0), dev=0.5, start=first)
    assert known == [(None, False), (0.33, True)]
    for net in (CnnScorer(second), CnnScorer(int8_of(second))):
        assert (net.card["threshold"], net.card["surest"]) == (0.33, 0.8)
    assert review_of(second).exists() == review_of(second).with_suffix(".json").exists() == helps
    assert (detector(second).review is not None) == helps
    harms = "the review of the net begun with does harm on these images, and is left out"
    assert (harms in capsys.readouterr().err) == (not helps)
    if not helps:
        third = train([drawn], tmp_path / "third", taught, dev=0.5)
        assert "the review taught does not help on these images" in capsys.readouterr().err
        assert not review_of(third).exists()


def test_plates_are_resized_by_the_width_of_roots_that_is_given(drawn: Path) -> None:
    (image, *_) = sorted((drawn / "images").iterdir())
    height = read_image(image).shape[0]
    (wide, *_) = read_plates([drawn], root_width=2 * REFERENCE_WIDTH)
    (as_is, *_) = read_plates([drawn], root_width=REFERENCE_WIDTH)
    assert (wide.image.shape[0], as_is.image.shape[0]) == (round(height / 2), height)
    np.testing.assert_allclose(wide.tips, (as_is.tips + 0.5) / 2 - 0.5)
    for wrong in (0.0, True, "5"):
        with pytest.raises(InputError, match=f"root_width={wrong} must be a number of at least"):
            read_plates([drawn], root_width=wrong)  # type: ignore[arg-type]  # as from a file


def test_starts_from_a_trained_net(drawn: Path, tmp_path: Path) -> None:
    first = train([drawn], tmp_path / "first", TINY, dev=0.5)
    still, given = replace(TINY, rounds=1, rate=0.0), {"dev": 0.0, "threshold": 0.3}
    second = train([drawn], tmp_path / "second", still, start=first, **given)
    # without a rate only the running statistics move, and little: they come from such images
    image = read_plates([drawn])[0].image
    centres = grid(image.shape, 4)
    np.testing.assert_allclose(
        CnnScorer(second)(image, centres), CnnScorer(first)(image, centres), atol=0.2
    )
    card = json.loads(second.with_suffix(".json").read_text())
    assert card["training"]["start"] == json.loads(first.with_suffix(".json").read_text())["sha256"]
    # as large as the one it starts from, whatever the recipe says
    wide = replace(still, features=32)
    third = train([drawn], tmp_path / "third", wide, start=first, **given)
    assert third.read_bytes() == second.read_bytes()
    with pytest.raises(InputError, match="no_such"):
        train([drawn], tmp_path / "fourth", still, start=tmp_path / "no_such.onnx", **given)


def test_a_net_begins_with_the_statistics_of_all_datasets(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "pale"
    shutil.copytree(drawn, other)
    for path in (other / "images").iterdir():
        cv2.imwrite(str(path), 150 + read_image(path)[..., ::-1] // 8)
    seen = []

    def stop(net: object, start: object, windows: torch.Tensor) -> None:
        seen.extend(windows.float().mean(dim=(1, 2, 3)).tolist())
        raise InputError("enough")

    monkeypatch.setattr("roottip.learning.train.restore", stop)
    monkeypatch.setattr("roottip.learning.train.SOME", 8)
    with pytest.raises(InputError, match="enough"):
        train([drawn, other], tmp_path / "out", TINY, dev=0.5, start=SHIPPED)
    assert len(seen) == 8
    assert 2 <= sum(level > 100 for level in seen) <= 6


def test_lightning_leaves_the_samples_as_they_are_dealt_out(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(**settings: object) -> None:
        raise InputError(f"dealt by Lightning: {settings['use_distributed_sampler']}")

    monkeypatch.setattr("roottip.learning.train.trainer_of", stop)
    with pytest.raises(InputError, match="dealt by Lightning: False"):
        train([drawn], tmp_path / "out", TINY, dev=0.5)


@pytest.mark.parametrize(
    ("can", "chosen"),
    [
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bf16-mixed"),
        ({"avx2": True, "avx512_bf16": False}, "32-true"),
        (None, "32-true"),  # an older torch, which cannot say
    ],
)
def test_computes_in_bfloat16_where_the_processor_does(
    can: dict[str, bool] | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    if can is not None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can, raising=False)
    assert precision_of("auto", "cpu") == chosen
    assert precision_of("16-mixed", "cpu") == "16-mixed"


@pytest.mark.parametrize("start", [[], ["start=shipped", "trainer.rate=0"]], ids=["anew", "fit"])
def test_says_how_good_a_net_became(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], start: list[str]
) -> None:
    short = "dev=0 trainer=quick trainer.rounds=1 trainer.steps=1"
    words = [*short.split(), "trainer.batch=8", "trainer.workers=0", *start]
    assert main(["train", f"data=[{drawn}]", f"output={tmp_path / 'net'}", *words]) == 0
    said = capsys.readouterr()
    card = json.loads((tmp_path / "net" / "model.json").read_text())
    assert f"F1 {card['training']['dev']['f1']:.3f} on the images" in said.out
    # of one step a net learns nothing; the shipped one knows these
    assert ("hardly finds a tip" in said.err) == (start == [])


def test_nothing_to_resume_or_to_choose_on(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="to resume from"):
        train([drawn], tmp_path, resume=True)
    with pytest.raises(InputError, match="no group with a tip"):
        train([drawn], tmp_path, dev=0.1)


def test_mining_finds_a_planted_false_alarm(drawn: Path) -> None:
    plates = read_plates([drawn])[:1]
    planted = np.array([90.0, 20.0])  # on a root: empty background is not looked at
    assert len(negatives(plates[0], planted[None].astype(np.int32))) == 1

    def sees(image: Image, centres: Centres) -> Scores:
        """The tips, an ignored one and the planted point, each as a small hill."""
        points = np.concatenate([plates[0].tips, plates[0].ignored, planted[None]])
        return np.exp(-((distance(centres, points) / 4) ** 2)).astype(np.float32)

    looking = WindowDetector(sees, threshold=mining.LEAST, root_width=5.0)
    found = looking.find(plates[0].image)[0]
    assert distance(planted[None], found)[0] < 2
    (mined,) = mining.false_alarms(finds_of(looking), plates, (0,))
    assert len(mined) == 1
    assert np.hypot(*(mined[0] - planted)) < 2


def test_mining_looks_at_other_plates_each_round(drawn: Path) -> None:
    (plate, *_) = read_plates([drawn])
    plates = [replace(plate, tips=np.empty((0, 2)), ignored=np.empty((0, 2)))] * 20
    looking = WindowDetector(lambda _, c: np.ones(len(c), np.float32), root_width=5.0)
    seen = []
    for number in range(4):
        mined = mining.false_alarms(finds_of(looking), plates, (0, number), looks=5)
        assert len(mined) == 20
        seen.append({i for i, points in enumerate(mined) if len(points)})
    assert [len(some) for some in seen] == [5] * 4
    assert len(set.union(*seen)) > 9


def test_curves_of_a_perfect_and_of_a_blind_detector(drawn: Path) -> None:
    plates = read_plates([drawn])
    tips = {plate.image.tobytes(): plate.tips for plate in plates}

    def perfect(image: Image, centres: Centres) -> Scores:
        near = distance(centres, tips[image.tobytes()])
        return (0.8 * np.exp(-((near / 4) ** 2))).astype(np.float32)

    def blind(image: Image, centres: Centres) -> Scores:
        return np.zeros(len(centres), dtype=np.float32)

    def look(scorer: object) -> dict[str, pd.DataFrame]:
        found = WindowDetector(scorer, threshold=mining.LEAST, root_width=5.0)  # type: ignore[arg-type]  # a function
        return curves(scan(found, plates), plates)

    (curve,) = look(perfect).values()
    # the grid's nearest window is up to 2.8 px off a tip
    assert curve.loc[curve["threshold"] == 0.4, ["precision", "recall"]].to_numpy().min() == 1
    assert curve.loc[curve["threshold"] > 0.8, "recall"].max() == 0
    threshold, f1 = best(look(perfect))
    assert f1 == 1
    assert 0.05 <= threshold < 0.8
    assert best(look(blind))[1] == 0


def test_images_without_tips_have_no_curve(drawn: Path) -> None:
    plates = [
        Plate("blank", p.name, p.group, p.image, p.tips[:0], p.ignored[:0])
        for p in read_plates([drawn])
    ]
    blind = WindowDetector(lambda image, centres: np.zeros(len(centres), np.float32))
    assert curves(scan(blind, plates), plates) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="Lightning's ddp on CPUs needs fork or gloo")
def test_two_processes(drawn: Path, tmp_path: Path) -> None:
    settings = {"rounds": 1, "steps": 4, "batch": 8, "workers": 0, "glance_steps": 0}
    settings |= {"features": 16, "accelerator": "cpu", "devices": 2}
    words = [f"trainer.{name}={value}" for name, value in settings.items()]
    words += [f"data={drawn}", f"output={tmp_path / 'out'}", "dev=0", "threshold=0.5"]
    done = subprocess.run(
        [sys.executable, "-m", "roottip", "train", *words],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for member in ("1/2", "2/2"):
        assert f"MEMBER: {member}" in done.stderr
    CnnScorer(tmp_path / "out" / "model.onnx")
