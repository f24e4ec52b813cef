"""What the hits, misses and false alarms have in common: where to look for the error.

A tip's causes are why it is hard to see. Truth may name them in a column ``cause`` (tags joined
by ``;``, empty for a free tip); where it does not, what its points alone tell is taken: a close
pair, the image's border, or free. A false alarm's cause is what lies there in place of a tip.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip.certainty import interval
from roottip.matching import FALSE_ALARM, HIT, MISS, Floats, Indices, apart, nearest

FREE, CLOSE_PAIR, BORDER, DUPLICATE, OTHER = "free", "close pair", "border", "duplicate", "other"

PAIR = 30.0
"""px: two visible tips at most so far apart are a close pair."""

MARGIN = 10.0
"""px: what is closer to the image's edge is at its border."""

_NEIGHBOUR = np.array([10.0, 20.0, 30.0, 60.0])
"""px: bounds of the classes of distance to the nearest other visible tip."""

Sizes = NDArray[np.float64]
"""``(images, 2)``: width and height of each image in px, NaN where unknown."""


def of_tips(truth: pd.DataFrame, image: Indices, sizes: Sizes) -> tuple[list[str], Floats]:
    """Causes of visible tips, and how far the nearest other one is.

    Parameters
    ----------
    truth : DataFrame
        Points table of the visible tips.
    image : (M,) intp
        Row of each tip's image in `sizes`.
    sizes : (images, 2) float

    Returns
    -------
    causes : list of M str
        Tags joined by ``;``; ``free`` where there is none.
    neighbour : (M,) float
        px; infinite for a tip alone in its image.
    """
    xy = apart(truth[["x", "y"]].to_numpy(), image)
    neighbour = nearest(xy, xy, rank=2)[0]
    if "cause" in truth:
        tags = (str(tag).split(";") for tag in truth["cause"].fillna(""))
        # people write "hair; dirt" and leave a ";" at the end
        clean = (";".join(filter(None, map(str.strip, own))) for own in tags)
        return [tag or FREE for tag in clean], neighbour
    pair, border = neighbour <= PAIR, _at_border(xy, image, sizes)
    names = np.select(
        [pair & border, pair, border], [f"{CLOSE_PAIR};{BORDER}", CLOSE_PAIR, BORDER], FREE
    )
    return [str(name) for name in names], neighbour


def of_alarms(
    xy: Floats,
    image: Indices,
    sizes: Sizes,
    distractors: pd.DataFrame,
    distractor_image: Indices,
    hit: Floats,
    tolerance: float,
) -> list[str]:
    """What misled the detector, for each false alarm.

    Parameters
    ----------
    xy : (N, 3) float
        The false alarms, as `matching.apart` puts them.
    image : (N,) intp
        Row of each one's image in `sizes`.
    sizes : (images, 2) float
    distractors : DataFrame
        ``x, y, cause`` of what looks like a tip and is none; may be empty.
    distractor_image : (D,) intp
        Like `image`.
    hit : (H, 3) float
        Truth points that were hit, as `matching.apart` puts them.
    tolerance : float
        px

    Returns
    -------
    list of N str
        The nearest distractor's within the tolerance; else ``duplicate`` of a tip that is hit
        already; else ``border``; else ``other``.
    """
    places = apart(distractors[["x", "y"]].to_numpy(), distractor_image)
    distance, index = nearest(xy, places)
    named = distractors["cause"].to_numpy(dtype=object)
    causes = np.full(len(xy), OTHER, dtype=object)
    causes[_at_border(xy, image, sizes)] = BORDER
    causes[nearest(xy, hit)[0] <= tolerance] = DUPLICATE
    misled = distance <= tolerance
    causes[misled] = named[index[misled]]
    return [str(cause) for cause in causes]


def by_cause(matches: pd.DataFrame, groups: dict[str, str]) -> pd.DataFrame:
    """How often tips are hit, and why false alarms are raised.

    Parameters
    ----------
    matches : DataFrame
        As in `Evaluation`.
    groups : dict of str to str
        The group of each image.

    Returns
    -------
    DataFrame
        ``by, value, outcome, count, of, rate, low, high``. Rows ``by`` the cause, the root order
        (where truth has it) and the distance to the nearest other visible tip count hits ``of``
        so many visible tips: ``rate`` is a recall, with its 95 % interval over groups. A tip
        with several causes counts in each. Rows ``by`` the cause of false alarms count them
        ``of`` all; each has one cause.
    """
    number = {group: n for n, group in enumerate(dict.fromkeys(groups.values()))}
    group = np.array([number[groups[image]] for image in matches["image"]], dtype=np.intp)
    outcome = matches["outcome"].to_numpy()
    tips, alarms = np.isin(outcome, [HIT, MISS]), outcome == FALSE_ALARM
    rows: list[dict[str, object]] = []

    def add(by: str, value: str, name: str, counted: Indices, members: Indices) -> None:
        part, whole = (np.bincount(group[of], minlength=len(number)) for of in (counted, members))
        low, high = interval(part.astype(float), whole.astype(float))
        rate = len(counted) / len(members) if len(members) else np.nan
        rows.append(
            {
                "by": by,
                "value": value,
                "outcome": name,
                "count": len(counted),
                "of": len(members),
                "rate": rate,
                "low": low,
                "high": high,
            }
        )

    def add_tips(by: str, value: str, which: NDArray[np.bool_]) -> None:
        add(by, value, HIT, np.flatnonzero(which & (outcome == HIT)), np.flatnonzero(which))

    tags = matches["cause"].str.split(";")
    for cause in _free_first(set(tags[tips].explode().dropna())):
        add_tips("cause", cause, tips & tags.map(lambda own, c=cause: c in own).to_numpy())
    if "root_order" in matches:
        order = matches["root_order"].astype(object).where(matches["root_order"].notna(), "")
        names = order.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
        for value in sorted(set(names[tips])):
            add_tips("root order", value or "unknown", tips & (names == value).to_numpy())
    neighbour = matches["neighbour"].to_numpy()
    bounds = [0.0, *_NEIGHBOUR, np.inf]
    for low, high in pairwise(bounds):
        within = tips & (neighbour >= low) & ((neighbour < high) | (high == np.inf))
        name = f"{low:g} px or more" if high == np.inf else f"{low:g} to {high:g} px"
        add_tips("nearest tip", name, within)
    causes = matches["cause"].to_numpy()
    for cause in sorted(set(causes[alarms])):
        which = np.flatnonzero(alarms & (causes == cause))
        add("cause of false alarm", cause, FALSE_ALARM, which, np.flatnonzero(alarms))
    columns = ["by", "value", "outcome", "count", "of", "rate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _free_first(causes: set[str]) -> list[str]:
    return sorted(causes, key=lambda cause: (cause != FREE, cause))


def _at_border(xy: Floats, image: Indices, sizes: Sizes) -> NDArray[np.bool_]:
    edge = np.concatenate([xy[:, :2], sizes[image] - 1 - xy[:, :2]], axis=1)
    return np.asarray((edge < MARGIN).any(axis=1))  # a comparison with NaN is false
