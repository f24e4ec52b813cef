"""The command line: ``roottip COMMAND key=value …``.

The only file that imports Hydra. Values of path keys (and of ``pattern``, which
has braces) never pass through Hydra's grammar, so a path is what the shell handed over: spaces,
commas, brackets and equals signs included.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import types
import typing
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from roottip import __version__, table
from roottip.errors import InputError

OK, BAD_INPUT, IMAGES_FAILED, INTERRUPTED = 0, 2, 3, 130

PATH_KEYS = frozenset(
    {
        "input",
        "output",
        "data",
        "found",
        "truth",
        "images",
        "start",
        "external",
        "pattern",
        "detector.weights",
    }
)

MOST_REASONS = 20
"""Failed images whose reasons the terminal shows; images.csv has all."""


def detect(
    input: Path | str,  # noqa: A002 - the contract's name
    output: Path | str,
    detector: dict[str, Any],
    engine: dict[str, Any],
    overlays: bool = True,
    overwrite: bool = False,
    px_per_mm: float | None = None,
    resolution_tag: bool = False,
    pattern: str | None = None,
    group: Sequence[str] | None = None,
) -> int:
    """Find the root tips in a run of images."""
    from roottip import batch
    from roottip import engine as engines
    from roottip.detector import load

    tips, images = batch.run(
        input,
        output,
        load(**detector),
        detector,
        overlays,
        overwrite,
        engines.load(**engine),
        px_per_mm,
        resolution_tag,
        pattern,
        group,
    )
    print(batch.summary(tips, images, len(images)))
    print(f"tables, overlays and report: {output}")
    return _report_failures(images, "failed")


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
    from roottip.detector import load
    from roottip.interchange import read_dataset, read_images

    dataset = read_dataset(data, split)
    settings = {"data": data, "split": split, "external": external, "tolerance": tolerance}
    known = read_images(data / "images.csv")["image"]
    peers = comparing.read_found(external or (), list(dataset.images["image"]), known)
    evaluations, images = comparing.compare(
        dataset, {name: load(name) for name in detectors}, tolerance, peers
    )
    print(comparing.text(evaluations))
    if output is not None:
        comparing.write(evaluations, output, settings, images, dataset.root)
        print(f"report: {output / 'report.html'}")
    return _report_failures(images, "failed, its tips count as missed")


def evaluate(
    found: Sequence[Path],
    truth: Path,
    images: Path | None = None,
    split: str | None = None,
    tolerance: float = 10.0,
    threshold: float = 0.0,
    output: Path | None = None,
) -> int:
    """Score tables of found points, anybody's, against the truth."""
    from roottip import compare as comparing
    from roottip import evaluation
    from roottip.interchange import of_split, read_images, read_truth

    if images is None:
        if split is not None:
            raise InputError("split= needs images=, the table that says which image is in it")
        marks = read_truth(truth)
        pointed = [table.check_points(table.read(path), str(path))["image"] for path in found]
        names = sorted(set(marks["image"]).union(*pointed))
        listed = everything = pd.DataFrame({"image": names, "group": names})
        print(
            "no images= given: images without marked and without found tips are not counted",
            file=sys.stderr,
        )
    else:
        everything = read_images(images)
        listed = of_split(everything, split, str(images))
        marks = read_truth(truth, list(everything["image"]))
        if split is not None:
            marks = marks[marks["image"].isin(listed["image"])]
    tables = comparing.read_found(found, list(listed["image"]), everything["image"])
    results = {
        name: evaluation.evaluate(points, marks, listed, tolerance, threshold)
        for name, points in tables.items()
    }
    print(comparing.text(results))
    if output is not None:
        settings = {"found": found, "truth": truth, "images": images, "tolerance": tolerance}
        comparing.write(results, output, settings)
        print(f"report: {output / 'report.html'}")
    return OK


def train(
    data: Sequence[Path],
    output: Path,
    trainer: dict[str, Any],
    dev: float = 0.2,
    threshold: float | None = None,
    start: Path | None = None,
    resume: bool = False,
    seed: int = 0,
) -> int:
    """Train a net on annotated images, choose its threshold and export it."""
    try:
        from roottip.learning.train import train as learn
        from roottip.scorers.cnn import SHIPPED
    except ModuleNotFoundError as error:
        raise InputError(
            f"training needs {error.name}, which is not installed; pip install 'roottip[train]'"
        ) from error

    if start == Path("shipped"):
        start = SHIPPED
    model = learn(
        data, output, dev=dev, threshold=threshold, start=start, resume=resume, seed=seed, **trainer
    )
    print(f"use it: roottip detect input=… output=… detector=cnn detector.weights={model}")
    return OK


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
    print(f"{len(images)} images of {count} plates: {output}")
    return OK


def demo(output: Path = Path("roottip-demo")) -> int:
    """Detect and compare on the shipped sample."""
    sample = resource("data/sample")
    settings, engine = {"name": "cnn"}, {"name": "local"}
    code = detect(sample / "images", output / "detect", settings, engine, overwrite=True)
    print()
    return max(code, compare(sample, output=output / "compare"))


COMMANDS: dict[str, Callable[..., int]] = {
    command.__name__: command for command in (detect, compare, evaluate, train, synth, demo)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0: done. 2: something given cannot be used; one sentence on stderr says what. 3: done, but
    some images could not be read. 130: stopped with Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Pillow warns of large images as possible attacks; scanners make them every day
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    try:
        if not given or given[0] in ("-h", "--help", "help"):
            print(_overview())
            return OK
        if given[0] in ("-V", "--version", "version"):
            print(f"roottip {__version__}")
            return OK
        name, *rest = given
        if name not in COMMANDS:
            raise InputError(
                f"there is no command {name!r}{_near(name, COMMANDS)}; see roottip --help"
            )
        if any(word in ("-h", "--help") for word in rest):
            print(_help(name))
            return OK
        return COMMANDS[name](**settings_of(name, rest))
    except InputError as error:
        return _complain(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def settings_of(command: str, words: Sequence[str]) -> dict[str, Any]:
    """The arguments of a command: its config file with the given ``key=value`` words applied.

    Raises
    ------
    InputError
        A word is no ``key=value``, a key or a choice is unknown, a value has the wrong type,
        or something needed is missing.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    paths: dict[str, list[str]] = {}
    others: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
            raise InputError(
                f"{word!r} is no setting; write key=value, as in {_example(command)} "
                f"(see roottip {command} --help)"
            )
        if key in PATH_KEYS:
            paths.setdefault(key, []).append(value)
        else:
            others[key] = value

    groups = {key: value for key, value in others.items() if (_conf() / key).is_dir()}
    for key, value in groups.items():
        choices = sorted(path.stem for path in (_conf() / key).glob("*.yaml"))
        if value not in choices:
            raise InputError(
                f"{key}={value}: there is no such {key}{_near(value, choices)}; "
                f"there is {', '.join(choices)}"
            )
    chosen = [f"{key}={value}" for key, value in groups.items()]
    with initialize_config_dir(str(_conf()), version_base="1.3"):
        try:
            defaults = OmegaConf.to_container(compose(command, chosen))
            known = _keys(defaults)
            for key in [*paths, *others]:
                if key not in known:
                    raise InputError(
                        f"{key} is no setting of {command}{_near(key, known)}; "
                        f"see roottip {command} --help"
                    )
            rest = [f"{key}={value}" for key, value in others.items() if key not in groups]
            config = OmegaConf.to_container(compose(command, [*chosen, *rest]), resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            said = str(error).splitlines()[0]
            raise InputError(
                f"{' '.join(f'{key}={value}' for key, value in others.items())}: {said}"
            ) from error
    assert isinstance(config, dict)
    settings: dict[str, Any] = {str(key): value for key, value in config.items()}
    for key, given in paths.items():
        *groups_above, last = key.split(".")
        inner = settings
        for group in groups_above:
            inner = inner[group]
        inner[last] = given[-1] if len(given) == 1 else given
    hints = typing.get_type_hints(COMMANDS[command])
    for key, value in settings.items():
        if value == "???":
            raise InputError(f"{command} needs {key}=…, as in {_example(command)}")
        settings[key] = _fitted(key, value, hints[key])
    return settings


def resource(name: str) -> Path:
    """A file or folder that ships with the package: inside it, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / name
    return packaged if packaged.exists() else package.parent / name


def _conf() -> Path:
    return resource("conf")


def _keys(config: Any, prefix: str = "") -> list[str]:
    keys = []
    for key, value in config.items():
        keys.append(f"{prefix}{key}")
        if isinstance(value, dict):
            keys.extend(_keys(value, f"{prefix}{key}."))
    return keys


def _fitted(key: str, value: Any, hint: Any) -> Any:
    """The value as the type that the command's signature names."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in choices:
        return None
    kind = next(choice for choice in choices if choice is not type(None))
    if typing.get_origin(kind) is dict and isinstance(value, dict):
        return value
    if typing.get_origin(kind) is not None and isinstance(value, str | list) and value:
        (member,) = typing.get_args(kind)
        values = [value] if isinstance(value, str) else value
        only = values[0] if len(values) == 1 else None
        if isinstance(only, str) and re.fullmatch(r"\[.*\]", only) and not Path(only).exists():
            values = [part.strip() for part in only[1:-1].split(",")]
        return [_fitted(key, item, member) for item in values]
    if kind is Path and str in choices and "://" in str(value):
        return str(value)  # an address: a Path would make one slash of the two
    if kind is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    if kind is str and isinstance(value, str | int | float):
        return str(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (bool, int) and type(value) is kind:
        return value
    wanted = {Path: "a path", str: "a word", float: "a number", int: "a whole number"}
    wanted[bool] = "true or false"
    raise InputError(f"{key}={value}: must be {wanted.get(kind, 'a list, as in [a,b]')}")


def _near(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _header(command: str) -> list[str]:
    """The comment lines at the top of a command's config file."""
    lines = (_conf() / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    top = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return [line.removeprefix("#").removeprefix(" ") for line in lines[:top]]


def _example(command: str) -> str:
    return _header(command)[0]


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
            "Exit codes: 0 done, 2 something given cannot be used, 3 done but some images could",
            "not be read, 130 stopped.",
        ]
    )


def _help(command: str) -> str:
    text = (_conf() / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    body = text[len(_header(command)) :]
    parts = [*_header(command), "", "Settings, with what they are if you say nothing:", *body]
    groups = [
        name for name in typing.get_type_hints(COMMANDS[command]) if (_conf() / name).is_dir()
    ]
    for group in groups:
        for path in sorted((_conf() / group).glob("*.yaml")):
            lines = path.read_text(encoding="utf-8").splitlines()
            shown = [f"  {line}" for line in lines if line and not line.startswith("name:")]
            parts += ["", f"Settings of {group}={path.stem}, as in {group}.KEY=VALUE:", *shown]
    return "\n".join(line for line in parts if not line.startswith(("defaults:", "  - ")))


def _report_failures(images: pd.DataFrame, label: str) -> int:
    """Print why images failed; returns the exit code."""
    failed = images[images["status"] == "failed"]
    for row in failed.head(MOST_REASONS).itertuples():
        print(f"{label}: {row.error}", file=sys.stderr)
    if len(failed) > MOST_REASONS:
        print(f"… and {len(failed) - MOST_REASONS} more, see images.csv", file=sys.stderr)
    return IMAGES_FAILED if len(failed) else OK


def _complain(sentence: str) -> int:
    print(f"roottip: {sentence}", file=sys.stderr)
    return BAD_INPUT
