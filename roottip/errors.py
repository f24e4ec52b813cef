"""The one kind of error that users see; helpers: numbers checked, things counted, slips guessed."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard


class InputError(ValueError):
    """What was given cannot be used: a path, a table, an image, a setting.

    The message is one sentence that says what is wrong, where, and what to do;
    the command line prints it as it is and exits with 2.
    """


def counted(number: int, noun: str) -> str:
    """``1 tip``, ``2 tips``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def alike(word: str, known: Iterable[str]) -> str | None:
    """The known word that the given one is like, whatever its case."""
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lower, n=1)
    return lower[close[0]] if close else None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a setting is a number; True and False, which Python counts as such, are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_number(
    name: str,
    value: object,
    least: float,
    most: float = math.inf,
    above: bool = False,
    whole: bool = False,
) -> None:
    """Refuse a setting that is no number, or out of its range.

    Parameters
    ----------
    name : str
        What the user calls it.
    value : object
    least, most : float
    above : bool
        It must be more than `least`.
    whole : bool
        It must be an integer.

    Raises
    ------
    InputError
        Names the setting, its value and what it must be.
    """
    kind = Integral if whole else Real
    if is_number(value) and isinstance(value, kind) and math.isfinite(value):
        enough = value > least if above else value >= least
        if enough and value <= most:
            return
    word = "a whole number" if whole else "a number"
    limit = f" above {least:g}" if above else f" of at least {least:g}"
    bound = f" and at most {most:g}" if math.isfinite(most) else ""
    raise InputError(f"{name}={value} must be {word}{limit * math.isfinite(least)}{bound}")
