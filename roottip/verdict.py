"""What a comparison of detectors shows, as differences and as plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from roottip import certainty
from roottip.errors import InputError
from roottip.evaluation import Evaluation

_DIFFERENCES = ["detector", "other", "rate", "difference", "low", "high", "p"]


@dataclass(frozen=True)
class Verdict:
    """What `judge` says.

    Attributes
    ----------
    sentences : list of str
        The best by F1, then what sets it apart from each other.
    differences : DataFrame
        As from `differences`.
    """

    sentences: list[str]
    differences: pd.DataFrame


def differences(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Each two detectors compared, the one with the higher F1 first.

    Returns
    -------
    DataFrame
        ``detector, other, rate, difference, low, high, p``, for each of recall, precision and
        F1, as in `certainty.difference`.

    Raises
    ------
    InputError
        They were not evaluated on the same images.
    """
    frames = []
    for ours, theirs in combinations(_best_first(evaluations), 2):
        a, b = evaluations[ours].per_image, evaluations[theirs].per_image
        if not a[["image", "group"]].equals(b[["image", "group"]]):
            raise InputError("two detectors can be compared on the same images only")
        counts = (certainty.by_group(part).to_numpy() for part in (a, b))
        frame = certainty.difference(*counts)
        frames.append(frame.assign(detector=ours, other=theirs)[_DIFFERENCES])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=_DIFFERENCES)


def judge(evaluations: Mapping[str, Evaluation]) -> Verdict:
    """Compare detectors that were evaluated on the same images.

    Raises
    ------
    InputError
        They were not.
    """
    told = differences(evaluations)
    return Verdict(_sentences(evaluations, told), told)


def _sentences(evaluations: Mapping[str, Evaluation], differences: pd.DataFrame) -> list[str]:
    best, *others = _best_first(evaluations)
    s = evaluations[best].summary
    if s["truth"] == 0:
        return [f"No tip is marked in these images, so nothing can be said of what {best} finds."]
    if s["hits"] == 0 and s["truth"] == 1:
        return ["The only marked tip is not found."]
    if s["hits"] == 0:
        return [f"None of the {s['truth']} marked tips is found."]
    sentences = [
        f"{best} finds {s['recall']:.1%} of the marked tips{_between(s, 'recall')}, and "
        f"{s['precision']:.1%} of what it finds are tips{_between(s, 'precision')}."
    ]
    told = differences.set_index(["detector", "other", "rate"]).sort_index()
    for other in others:
        rows = told.loc[(best, other), ["difference", "low", "high"]]
        sentences += _ahead(best, other, *rows.loc["f1"])
        sentences.append(_difference(best, other, "recall", *rows.loc["recall"]))
        theirs = evaluations[other].summary
        if theirs["hits"] + theirs["false_alarms"]:
            sentences.append(_difference(best, other, "precision", *rows.loc["precision"]))
        else:
            found = "only what is to be ignored" if theirs["found"] else "nothing"
            sentences.append(
                f"{other} finds {found}, so what share of its finds are tips cannot be said."
            )
    if np.isnan(s["recall_low"]) and not others:
        one = "With" if s["groups"] == 1 else "With marked tips in"
        sentences.append(f"{one} one group of images nothing can be said of chance.")
    return sentences


def _best_first(evaluations: Mapping[str, Evaluation]) -> list[str]:
    return sorted(evaluations, key=lambda key: -np.nan_to_num(evaluations[key].summary["f1"]))


def _between(summary: Mapping[str, Any], rate: str) -> str:
    low, high = summary[f"{rate}_low"], summary[f"{rate}_high"]
    return "" if np.isnan(low) else f" (95 % interval {low:.1%} to {high:.1%})"


def _ahead(best: str, other: str, value: float, low: float, high: float) -> list[str]:
    """A sentence on F1, in which one may lead although neither rate alone shows it."""
    if np.isnan(low):
        return []
    shown = "is ahead" if low > 0 else "is not shown to be ahead"
    return [
        f"Recall and precision together (F1): {best} {shown} of {other}, "
        f"by {value + 0.0:.3f} (95 % interval {low:.3f} to {high:.3f})."
    ]


def _difference(best: str, other: str, rate: str, value: float, low: float, high: float) -> str:
    """One sentence on how far `best` is ahead of `other`, or behind, of 100 tips or finds."""
    if np.isnan(low):
        what = "tips" if rate == "recall" else "finds"
        side = "more" if value > 0 else "fewer"
        hits = "are found" if rate == "recall" else "are tips"
        size = 100 * abs(value)
        # no difference is told as 0
        apart = f"{size:{'.0f' if size >= 0.5 else '.1g'}} {side}" if value else "as many"
        return (
            f"Of 100 {what} {apart} {hits} with {best} {'than' if value else 'as'} with {other}; "
            "these groups of images are too few to say whether that is chance."
        )
    shown = not low <= 0 <= high
    if shown and value < 0:
        value, low, high, more = -value, -high, -low, "fewer"
    else:
        more = "more"
    # whole points, but where those would hide on which side of 0 a bound is
    digits = 0 if np.min(np.abs([value, low, high])) >= 0.01 else 1
    # + 0.0: no "-0.0"
    points, *bounds = (f"{round(100 * x, digits) + 0.0:.{digits}f}" for x in (value, low, high))
    interval = f" (95 % interval {bounds[0]} to {bounds[1]})"
    if not shown:
        what = "how many tips they find" if rate == "recall" else "how many of their finds are tips"
        return (
            f"No difference shown between {best} and {other} in {what}: "
            f"{points} points of 100{interval}."
        )
    if rate == "recall":
        return f"{best} finds {points} {more} of 100 tips than {other}{interval}."
    return f"Of 100 finds {points} {more} are tips than with {other}{interval}."
