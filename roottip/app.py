"""The command line: ``roottip COMMAND key=value …``; each command is a function."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roottip import __version__, completion
from roottip.errors import InputError, counted
from roottip.settings import near, read_settings, resource, teach

if TYPE_CHECKING:  # help and completion answer before pandas is loaded
    import pandas as pd

OK, BAD_INPUT, IMAGES_FAILED, INTERRUPTED = 0, 2, 3, 130

MOST_REASONS = 20
"""Failed images whose reasons the terminal shows."""

MISSED = "failed, its tips count as missed"
HAS_FINDS = "failed, but has finds, which count"

BLIND = 0.1
"""F1 below which a trained net has not begun to tell tips from anything else."""


def detect(
    input: Path | str,  # noqa: A002 - the contract's name
    output: Path | str,
    detector: dict[str, Any],
    engine: dict[str, Any],
    overlays: bool = True,
    overwrite: bool = False,
    px_per_mm: float | None = None,
    resolution_tag: bool = False,
    scale_bar_mm: float | None = None,
    pattern: str | None = None,
    group: Sequence[str] | None = None,
) -> int:
    """Find the root tips in a run of images."""
    from roottip import batch
    from roottip import engine as engines
    from roottip.scorers import load
    from roottip.traits import Traits

    traits = Traits(px_per_mm, resolution_tag, scale_bar_mm, pattern, group)
    work = engines.load(**engine)
    tips, images = batch.run(
        input, output, load(**detector), detector, overlays, overwrite, work, traits
    )
    print(batch.summary(tips, images, len(images)))
    print(f"{'tables, overlays' if overlays else 'tables'} and report: {output}")
    return _report_failures(images, "failed", f"{output}/images.csv")


def compare(
    data: Path,
    split: str | None = None,
    detectors: Sequence[str] = ("baseline", "features", "cnn"),
    external: Sequence[Path] | None = None,
    tolerance: float = 10.0,
    output: Path | None = None,
) -> int:
    """Run detectors on annotated images and say how good each is."""
    from roottip import compare as comparing
    from roottip.interchange import read_dataset
    from roottip.provenance import provenance
    from roottip.scorers import load
    from roottip.verdict import judge

    started = datetime.now(timezone.utc)
    if output is not None:
        comparing.check_free(output)  # now, not after minutes of work
    whole = read_dataset(data)
    dataset = whole.of(split)
    comparing.remark_twice(dataset.truth, data)
    if split is not None:
        _remark_divided(data, whole.images)
    settings = {"data": data, "split": split, "external": external, "tolerance": tolerance}
    settings["truth_sha256"] = comparing.digest(dataset.truth)
    peers = {}
    if external:  # which may be of images in other splits too
        names, known = list(dataset.images["image"]), whole.images["image"]
        peers = comparing.read_found(external, names, known)
    evaluations, images = comparing.compare(
        dataset, {name: load(name) for name in detectors}, tolerance, peers
    )
    verdict = judge(evaluations)
    if output is not None:  # first: what is printed to may have been closed
        settings |= provenance(started)
        comparing.write(evaluations, verdict, output, settings, images, dataset.root, dataset.truth)
    print(comparing.text(evaluations, verdict))
    if output is not None:
        print(f"report: {output / 'report.html'}")
    return _report_failures(images, MISSED, output and output / "images.csv")


def evaluate(
    found: Sequence[Path],
    truth: Path,
    images: Path | None = None,
    split: str | None = None,
    tolerance: float = 10.0,
    threshold: float | None = None,
    output: Path | None = None,
) -> int:
    """Score tables of found points, anybody's, against the truth."""
    from roottip import compare as comparing
    from roottip import evaluation
    from roottip.provenance import provenance
    from roottip.verdict import judge

    started = datetime.now(timezone.utc)
    if output is not None:
        comparing.check_free(output)
    if images is None and (truth / "images.csv").is_file():  # a dataset folder
        images = truth / "images.csv"
    tables, marks, listed = comparing.read_scored(found, truth, images, split)
    if images is None:
        print(
            "no images= given: images without marked and without found tips are not counted",
            file=sys.stderr,
        )
    results = {
        name: evaluation.evaluate(points, marks, listed, tolerance, threshold)
        for name, points in tables.items()
    }
    verdict = judge(results)
    if output is not None:
        settings = {"found": found, "truth": truth, "images": images, "split": split}
        settings |= {"tolerance": tolerance, "threshold": threshold}
        settings |= {f"{name}_sha256": comparing.digest(part) for name, part in tables.items()}
        settings["truth_sha256"] = comparing.digest(marks)
        comparing.write(results, verdict, output, settings | provenance(started))
    print(comparing.text(results, verdict))
    if output is not None:
        print(f"report: {output / 'report.html'}")
    if "status" not in listed:
        return OK
    scored = [result.per_image for result in results.values()]
    found_in = {name for own in scored for name in own.loc[own["found"] > 0, "image"]}
    return _report_failures(listed, MISSED, images, found_in)


def train(
    data: Sequence[Path],
    output: Path,
    trainer: dict[str, Any],
    dev: float | None = None,
    threshold: float | None = None,
    start: Path | None = None,
    resume: bool = False,
    seed: int = 0,
    root_width: float | None = None,
) -> int:
    """Train a net on annotated images, choose its threshold and export it."""
    from roottip.interchange import read_dataset

    try:
        from roottip.learning.recipe import Recipe
        from roottip.learning.train import train as learn
        from roottip.scorers.cnn import SHIPPED, card_of
    except ModuleNotFoundError as error:
        raise InputError(
            f"training needs {error.name}, which is not installed; pip install 'roottip[train]'"
        ) from error

    # Lightning's advertisements, and its warnings to whoever calls it, are not for who runs this
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    if start == Path("shipped"):
        start = SHIPPED
    for folder in data:
        _remark_divided(folder, read_dataset(folder).images)
    with contextlib.redirect_stdout(sys.stderr):  # where its progress bars belong
        model = learn(
            data,
            output,
            Recipe(**trainer),
            dev=dev,
            threshold=threshold,
            start=start,
            resume=resume,
            seed=seed,
            root_width=root_width,
        )
    if model is None:  # a process that only helped
        return OK
    # none where nothing was to be chosen
    judged = card_of(model)["training"].get("dev")
    if judged is not None:
        if threshold is None:
            print(f"F1 {judged['f1']:.3f} on the images that the threshold was chosen on")
        if judged["f1"] < BLIND:
            print(
                "this net hardly finds a tip: it says none everywhere, as every net does at first. "
                "Train longer (trainer.rounds=…), let tips weigh more (trainer.tip_weight=6), or "
                "begin with a net that knows tips (start=shipped)",
                file=sys.stderr,
            )
    print(f"use it: roottip detect input=… output=… detector=cnn detector.weights={model}")
    return OK


def explain(
    data: Path | None = None,
    output: Path = Path("roottip-explained"),
    split: str | None = None,
    weights: Path | None = None,
    image: str | None = None,
    tolerance: float = 10.0,
    count: int = 16,
    seed: int = 0,
) -> int:
    """Look back at the net's kernels: what they are like, what made a window a tip."""
    try:
        from roottip.explain import explain as look_back
    except ModuleNotFoundError as error:
        raise InputError(
            f"explaining needs {error.name}, which is not installed; pip install 'roottip[explain]'"
        ) from error
    from roottip.interchange import read_dataset
    from roottip.scorers.cnn import SHIPPED

    dataset = read_dataset(data or resource("data/sample"), split)
    said, images = look_back(dataset, weights or SHIPPED, output, tolerance, image, count, seed)
    print("\n".join(said))
    print(f"page: {output / 'explain.html'}")
    return _report_failures(images, "failed, left out")


def synth(
    output: Path,
    plate: dict[str, Any],
    count: int = 10,
    species: Sequence[str] | None = None,
    seed: int = 0,
    size: int = 1500,
    px_per_mm: float | None = None,
    days: Sequence[float] | None = None,
    split: str = "val",
    workers: int = 1,
    overwrite: bool = False,
) -> int:
    """Draw plates whose tips are known exactly, as a dataset folder."""
    from roottip.synth.dataset import varied_plates, write_dataset

    plates = varied_plates(count, seed, size, species, px_per_mm, plate)
    images = write_dataset(plates, seed, output, split, days or (), workers, overwrite)
    print(f"{counted(len(images), 'image')} of {counted(count, 'plate')}: {output}")
    return OK


def convert(
    input: Path,  # noqa: A002 - the contract's name
    output: Path,
    images: Path | None = None,
    input_format: str | None = None,
    output_format: str | None = None,
    label: str | None = None,
    val: float = 0.2,
    overwrite: bool = False,
) -> int:
    """Bring points from one program to another."""
    from roottip import convert as converting

    name, points, listed = converting.convert(
        input, output, images, input_format, output_format, label, val, overwrite
    )
    marked = points["image"].nunique()
    print(f"{counted(len(points), 'tip')} in {marked} of {len(listed)} images: {output} ({name})")
    for remark in converting.remarks(points, listed, name):
        print(remark, file=sys.stderr)
    if name == converting.DATASET and (ways := converting.advice(output)):
        print(f"use it: {'; '.join(ways)}")
    return OK


def demo(output: Path = Path("roottip-demo")) -> int:
    """Detect and compare on the shipped sample."""
    sample = resource("data/sample")
    settings, engine = {"name": "cnn"}, {"name": "local"}
    code = detect(sample / "images", output / "detect", settings, engine, overwrite=True)
    print()
    return max(code, compare(sample, output=output / "compare"))


COMMANDS: dict[str, Callable[..., int]] = {
    command.__name__: command
    for command in (detect, compare, evaluate, train, explain, convert, synth, demo)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0: done. 2: something given cannot be used; one sentence on stderr says what. 3: done, but
    some images could not be read. 130: stopped with Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that its encoding lacks ends no run
            stream.reconfigure(errors="backslashreplace")
    # Pillow warns of large images as possible attacks, which scanners make every day, and of odd
    # tags in files whose pixels are well
    warnings.filterwarnings("ignore", module="PIL")
    try:
        if not given or given[0] in ("-h", "--help", "help"):
            print(_overview())
            return OK
        if given[0] in ("-V", "--version", "version"):
            print(_versions())
            return OK
        if given == ["--completion"]:
            print(completion.script(COMMANDS), end="")
            return OK
        name, *rest = given
        if name not in COMMANDS:
            raise InputError(
                f"there is no command {name!r}{near(name, COMMANDS)}; see roottip --help"
            )
        if any(word in ("-h", "--help") for word in rest):
            print(teach(COMMANDS[name]))
            return OK
        return COMMANDS[name](**read_settings(COMMANDS[name], rest))
    except InputError as error:
        return _complain(str(error))
    except BrokenPipeError:
        raise  # the command's, as a program, to deal with
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _overview() -> str:
    rows = [f"  {name:10} {inspect.getdoc(command)}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "roottip finds plant root tips in images, and says how well it does.",
            "",
            "roottip COMMAND key=value …",
            "",
            *rows,
            "",
            "roottip COMMAND --help teaches a command; roottip --version says which this is.",
            f"The Tab key, {completion.HOW}",
            "Exit codes: 0 done, 2 something given cannot be used, 3 done but some images could",
            "not be read, 130 stopped, 141 nobody reads on.",
        ]
    )


def _versions() -> str:
    """The program's and the shipped weights'."""
    said = [f"roottip {__version__}"]
    for path in sorted(resource("weights").glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        said.append(f"{path.stem} weights {card['sha256'][:12]}, made by roottip {card['roottip']}")
    return "\n".join(said)


def _remark_divided(folder: Path, images: pd.DataFrame) -> None:
    from roottip.interchange import divided

    if remark := divided(images):
        print(f"{folder}: {remark}", file=sys.stderr)


def _report_failures(
    images: pd.DataFrame, label: str, table: Path | str | None = None, having: Collection[str] = ()
) -> int:
    """Print why images failed, `having` finds or not, of many in which table; the exit code."""
    failed = images[images["status"] == "failed"]
    for row in failed.head(MOST_REASONS).itertuples():
        said = HAS_FINDS if row.image in having else label
        print(f"{said}: {getattr(row, 'error', '') or row.image}", file=sys.stderr)
    if len(failed) > MOST_REASONS:
        where = "" if table is None else f", see {table}"
        print(f"… and {len(failed) - MOST_REASONS} more{where}", file=sys.stderr)
    return IMAGES_FAILED if len(failed) else OK


def _complain(sentence: str) -> int:
    print(f"roottip: {sentence}", file=sys.stderr)
    return BAD_INPUT
