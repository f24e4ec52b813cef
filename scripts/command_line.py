"""How the scripts read their command lines: shared, no script of its own.

What cannot be used is said in one sentence and ends with exit code 2, as by `roottip` itself.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from roottip.app import BAD_INPUT, INTERRUPTED
from roottip.errors import InputError


class Annotated(NamedTuple):
    """A dataset folder, and within how many px a find is its tip."""

    folder: Path
    tolerance: float


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The description as it is laid out, and the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        told = action.help or ""
        without = (None, False, argparse.SUPPRESS)
        silent = any(action.default is value for value in without)  # 0 is a default, as of a seed
        return told if silent else f"{told} (default: %(default)s)".lstrip()


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose ``--help`` shows a script's docstring as it is laid out."""
    return argparse.ArgumentParser(description=description, formatter_class=_Formatter)


def run(main: Callable[[], int | None]) -> None:
    """Run a script and end the process with its exit code."""
    try:
        sys.exit(main())
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def add_sets(parser: argparse.ArgumentParser, nargs: str | None = "+") -> None:
    """Take ``FOLDER:TOLERANCE`` as ``data``: an `Annotated`, or a list of them."""
    parser.add_argument(
        "data",
        nargs=nargs,
        type=annotated,
        metavar="FOLDER:TOLERANCE",
        help="a dataset folder, and within how many px a find is its tip: photos:10",
    )


def several(parser: argparse.ArgumentParser, sets: Sequence[Annotated]) -> dict[Path, float]:
    """The tolerance of each folder; ends the script where they are not two or more to tell apart.

    For what leaves out one set after the other and names its files after them.
    """
    names = [folder.name for folder, _ in sets]
    if len(sets) < 2:
        parser.error("give two datasets or more: one is looked at by a net that learnt the others")
    if len({*names}) < len(names):
        parser.error(f"two datasets have the same name, of {', '.join(names)}; rename a folder")
    return dict(sets)


def annotated(text: str) -> Annotated:
    """What ``FOLDER:TOLERANCE`` says."""
    such = "; give FOLDER:TOLERANCE, such as photos:10 for 10 px"
    name, colon, px = text.rpartition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} says no tolerance{such}")
    try:
        tolerance = float(px)
    except ValueError:
        tolerance = math.nan
    if not 0 < tolerance < math.inf:
        raise argparse.ArgumentTypeError(
            f"{px!r}, the tolerance of {text!r}, is no number above 0{such}"
        )
    return Annotated(folder(name), tolerance)


def folder(text: str) -> Path:
    """A folder that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text!r}; give a dataset folder")
    return Path(text)


def file(text: str) -> Path:
    """A file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}; give one that is there")
    return Path(text)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def factors(text: str) -> list[float]:
    """Numbers above 0 with commas between them."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(0 < value < math.inf for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} must be numbers above 0, such as 1,0.71")
    return values


def counts(text: str) -> list[str]:
    """Whole numbers, or ``all``, with commas between them."""
    for part in text.split(","):
        if part != "all" and not (part.isdecimal() and int(part) > 0):
            raise argparse.ArgumentTypeError(f"{text!r} must be numbers of images or all: 2,4,all")
    return text.split(",")
