"""What a lab reads off the tips: lengths in mm, spread, groups from file names, doubtful images."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from roottip import table
from roottip.errors import InputError, check_number, counted

_SPREAD = ("hull_area_px2", "depth_px", "breadth_px")
_SPREAD_MM = ("hull_area_mm2", "depth_mm", "breadth_mm")
_PLACE_MM = ("x_mm", "y_mm")
_TAKEN = {
    *(*table.IMAGE_COLUMNS, *table.FOUND_COLUMNS, *table.MEASURED, *_SPREAD, *_SPREAD_MM),
    *("group", "images", "failed", "tips_mean", "tips_sd"),
    *(f"{trait}_mean" for trait in (*_SPREAD, *_SPREAD_MM)),
}
"""Columns that a field of a name must not be called."""

_FAR = 4.0
"""Robust standard deviations from the group's median that make a count doubtful."""


def measure(
    tips: pd.DataFrame,
    images: pd.DataFrame,
    px_per_mm: float | None = None,
    resolution_tag: bool = False,
    scale_bar_mm: float | None = None,
    pattern: str | None = None,
    group: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Add traits to a run's tables, and sum them up for each group.

    Parameters
    ----------
    tips, images : DataFrame
        The points table and the images table, which has ``px_per_mm`` by the files' tags and
        ``scale_bar_px`` by what is drawn in them. What of `table.MEASURED` is not there is
        unknown. Traits of an earlier call are replaced; of these tables ``px_per_mm`` is the
        scale that was used.
    px_per_mm : float, optional
        Of all images.
    resolution_tag : bool
        Take each file's own tag instead: right in scans, chance in photographs.
    scale_bar_mm : float, optional
        Length of the scale bar in each image, which gives that image's scale instead.
    pattern : str, optional
        How the images are named, as in ``{genotype}_{plate}_{day}``; each field becomes a
        column. With ``/`` it is matched to the path in the run, else to the file's name, both
        without ending.
    group : sequence of str, optional
        The fields that make a group; the image's folder where none are given.

    Returns
    -------
    tips, images, summary : DataFrame
        ``tips`` gains ``x_mm, y_mm`` where a scale is asked for; ``images`` gains the fields and
        the tips' convex hull area, depth (extent downwards) and breadth (extent sideways), in
        px and mm by their names; ``note`` gains what is doubtful compared
        with the group. ``summary`` has a row for each group.

    Raises
    ------
    InputError
        A setting is out of its range, two contradict each other, the pattern is none, or a tip is
        in no image of the table.
    """
    for name, value in (("px_per_mm", px_per_mm), ("scale_bar_mm", scale_bar_mm)):
        if value is not None:
            check_number(name, value, 0, above=True)
    if (px_per_mm is not None) + resolution_tag + (scale_bar_mm is not None) > 1:
        raise InputError("give one of px_per_mm=, resolution_tag= and scale_bar_mm=, not several")
    fields = parse(images["image"], pattern) if pattern is not None else pd.DataFrame()
    if group and pattern is None:
        raise InputError(
            f"group={','.join(group)} needs pattern=, which says what the fields of names are"
        )
    unknown = [name for name in group or () if name not in fields]
    if unknown:
        raise InputError(
            f"group={','.join(group or ())}: {unknown[0]} is no field of pattern={pattern or ''}"
        )
    if len(set(group or ())) < len(group or ()):
        raise InputError(f"group={','.join(group or ())} names a field twice")
    missing = [name for name in table.MEASURED if name not in images]
    images = images.assign(**{name: "" if name == "note" else np.nan for name in missing})
    # tables that were measured before
    tips = tips.drop(columns=list(_PLACE_MM), errors="ignore")
    images = images.drop(columns=[*_SPREAD, *_SPREAD_MM, *fields], errors="ignore")
    if px_per_mm is not None:
        images["px_per_mm"] = float(px_per_mm)
    elif scale_bar_mm is not None:
        images["px_per_mm"] = images["scale_bar_px"].astype(float) / scale_bar_mm
    elif not resolution_tag:
        images["px_per_mm"] = np.nan
    scale = images["px_per_mm"].to_numpy(dtype=float)
    # by numbers: pandas' groups and indices cannot hold names that are not UTF-8
    place = {name: i for i, name in enumerate(images["image"])}
    table.check_listed(tips, place, "tips", "images")
    row = np.array([place[name] for name in tips["image"]], dtype=np.intp)
    spread = _spread(tips[["x", "y"]].to_numpy(), row, images.index)
    # by what is asked for, not by what is found: the same command has the same columns
    if px_per_mm is not None or resolution_tag or scale_bar_mm is not None:
        of_tip = scale[row]
        # distances from the image's top-left corner, which is half a pixel from (0, 0)
        for name, px in zip(_PLACE_MM, "xy", strict=True):
            tips[name] = (tips[px] + 0.5) / of_tip
        for name, px, power in zip(_SPREAD_MM, _SPREAD, (2, 1, 1), strict=True):
            spread[name] = spread[px] / scale**power
    images = pd.concat([images, fields, spread], axis=1)
    folders = [name.rpartition("/")[0] for name in images["image"]]
    folder = pd.Series(folders, index=images.index, dtype=object)
    labels = images[list(group)].fillna("") if group else folder.to_frame("group")
    keys = labels.map(table.utf8)
    images["note"] = _notes(images, keys, fields, scale_bar_mm is not None, resolution_tag)
    return tips, images, _summary(images, keys, list(spread))


def parse(names: pd.Series, pattern: str) -> pd.DataFrame:
    """The fields of a named pattern in each image's name; none where it does not fit in one way.

    ``col_0_3`` fits ``{genotype}_{plate}`` in two.

    Raises
    ------
    InputError
        The pattern has no field, one twice, or one named like a column that is there already.
    """
    pieces = re.split(r"\{(\w+)\}", pattern)
    fields = pieces[1::2]
    if not fields or any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise InputError(
            f"pattern={pattern} must name fields, as in {{genotype}}_{{plate}}_{{day}}"
        )
    for name in fields:
        if fields.count(name) > 1 or name in _TAKEN or not name.isidentifier():
            raise InputError(f"pattern={pattern}: call the field {name} something else")
    # each field as short as can be, and as long: the same where there is one way only
    shortest, longest = (
        "".join(f"([^/]+{more})" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
        for more in ("?", "")
    )
    rows = []
    for name in names:
        said = _matched(name, pattern)
        first, last = re.fullmatch(shortest, said), re.fullmatch(longest, said)
        one = first and last and first.groups() == last.groups()
        rows.append(first.groups() if first and one else (None,) * len(fields))
    return pd.DataFrame(rows, columns=fields, index=names.index, dtype=object)


def unfitting(names: Sequence[str], pattern: str) -> str:
    """A sentence about the images whose names a pattern does not fit, if any.

    Raises
    ------
    InputError
        It fits none, or is no pattern.
    """
    none = parse(pd.Series(names, dtype=object), pattern).isna().all(axis=1)
    if not none.any():
        return ""
    such = f"such as {_matched(names[int(none.argmax())], pattern)}"
    if none.all():
        raise InputError(
            f"pattern={pattern} fits none of the {counted(len(names), 'image')}, or in several "
            f"ways, {such}; names are matched without their ending"
        )
    return (
        f"pattern={pattern} does not fit {none.sum()} of {len(names)} images, {such}; images.csv "
        "notes which"
    )


def _matched(name: str, pattern: str) -> str:
    """What of an image's name a pattern is matched to."""
    path = name.rpartition(".")[0] or name
    return path if "/" in pattern else path.rpartition("/")[2]


def _spread(xy: NDArray[np.float64], row: NDArray[np.intp], index: pd.Index) -> pd.DataFrame:
    order = np.argsort(row, kind="stable")
    ends = np.cumsum(np.bincount(row, minlength=len(index)))
    rows = []
    for of_image in np.split(xy[order], ends[:-1]) if len(index) else []:
        extent = np.ptp(of_image, axis=0) if len(of_image) else (np.nan, np.nan)
        rows.append((_hull_area(of_image), extent[1], extent[0]))
    return pd.DataFrame(rows, columns=list(_SPREAD), index=index, dtype=float)


def _hull_area(xy: NDArray[np.float64]) -> float:
    if len(xy) == 0:
        return float("nan")
    try:
        return float(ConvexHull(xy).volume)  # in a plane SciPy calls the area volume
    except (QhullError, ValueError):
        return 0.0  # fewer than three points, or all on a line


def _notes(
    images: pd.DataFrame, keys: pd.DataFrame, fields: pd.DataFrame, by_bar: bool, by_tag: bool
) -> pd.Series:
    """What was known of each image, and what is unusual compared with the others."""
    ok = images["status"] == "ok"
    tips = images["tips"].astype(float).where(ok)
    by = [keys[column] for column in keys]
    # counts of few scatter like their root even when all is well
    middle = tips.groupby(by).transform("median")
    deviation = 1.4826 * (tips - middle).abs().groupby(by).transform("median")
    typical = np.maximum(deviation, np.sqrt(np.maximum(middle, 1)))
    nowhere = pd.Series(False, index=images.index)
    unknown = ok & images["px_per_mm"].isna()
    doubts = {
        "count far from its group's": (tips - middle).abs() > _FAR * typical,
        "very dark": images["brightness"] < min(25.0, images["brightness"].median() / 2),
        "blurred, or nothing on it": images["sharpness"] < images["sharpness"].median() / 3,
        "no scale bar found": unknown if by_bar else nowhere,
        "no usable resolution in the file": unknown if by_tag else nowhere,
        "its name does not fit the pattern": fields.isna().all(axis=1) if len(fields) else nowhere,
    }
    notes = []
    for i, known in images["note"].astype(object).fillna("").items():
        # what was doubtful by an earlier call need not be so by this one
        kept = [part for part in known.split("; ") if part and part not in doubts]
        notes.append("; ".join([*kept, *(text for text in doubts if doubts[text].loc[i])]))
    return pd.Series(notes, index=images.index, dtype=object)


def _summary(images: pd.DataFrame, keys: pd.DataFrame, traits: list[str]) -> pd.DataFrame:
    tips = images["tips"].astype(float)
    columns = pd.concat([keys, images[traits]], axis=1).assign(
        failed=images["status"] == "failed", tips=tips
    )
    grouped = columns.groupby(list(keys), sort=True)
    summary = grouped.agg(
        images=("tips", "size"),
        failed=("failed", "sum"),
        tips=("tips", "sum"),
        tips_mean=("tips", "mean"),
        tips_sd=("tips", "std"),
        **{f"{trait}_mean": (trait, "mean") for trait in traits},
    )
    return summary.astype({"tips": int, "failed": int}).reset_index()
