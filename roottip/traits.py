"""What a lab reads off the tips: lengths in mm, spread, groups from file names, doubtful images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Traits:
    """What is asked of a run's tables besides counts.

    Attributes
    ----------
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

    Raises
    ------
    InputError
        One is out of its range, two contradict each other, or the pattern is none.
    """

    px_per_mm: float | None = None
    resolution_tag: bool = False
    scale_bar_mm: float | None = None
    pattern: str | None = None
    group: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("px_per_mm", "scale_bar_mm"):
            if (value := getattr(self, name)) is not None:
                check_number(name, value, 0, above=True)
                object.__setattr__(self, name, float(value))  # NumPy's are no JSON
        scales = self.px_per_mm is not None, self.resolution_tag, self.scale_bar_mm is not None
        if sum(scales) > 1:
            raise InputError(
                "give one of px_per_mm=, resolution_tag= and scale_bar_mm=, not several"
            )
        fields = [] if self.pattern is None else _pieces(self.pattern)[1::2]
        group = () if self.group is None else self.group
        if isinstance(group, str):  # a sequence of letters to Python
            raise InputError(f"group={group!r} is one word; give a list of fields, [{group!r}]")
        group = tuple(map(str, group))
        object.__setattr__(self, "group", group or None)
        told = f"group={','.join(group)}"
        if group and self.pattern is None:
            raise InputError(f"{told} needs pattern=, which says what the fields of names are")
        unknown = [name for name in group if name not in fields]
        if unknown:
            raise InputError(f"{told}: {unknown[0]} is no field of pattern={self.pattern}")
        if len(set(group)) < len(group):
            raise InputError(f"{told} names a field twice")

    def measure(
        self, tips: pd.DataFrame, images: pd.DataFrame
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Add traits to a run's tables, and sum them up for each group.

        Parameters
        ----------
        tips, images : DataFrame
            The points table and the images table, which has ``px_per_mm`` by the files' tags and
            ``scale_bar_px`` by what is drawn in them. What of `table.MEASURED` is not there is
            unknown. Traits of an earlier call are replaced; of these tables ``px_per_mm`` is the
            scale that was used, and `resolution_tag` takes it: an image without one is noted to
            have no usable resolution in its file, which is not asked again.

        Returns
        -------
        tips, images, summary : DataFrame
            ``tips`` gains ``x_mm, y_mm`` where a scale is asked for; ``images`` gains the fields
            and the tips' convex hull area, depth (extent downwards) and breadth (extent
            sideways), in px and mm by their names; ``note`` gains what is doubtful compared
            with the group. ``summary`` has a row for each group.

        Raises
        ------
        InputError
            A table lacks a column or holds what cannot be, or a tip is in no image of the table.
        """
        tips, images = _checked(tips, images)
        fields = pd.DataFrame() if self.pattern is None else parse(images["image"], self.pattern)
        missing = [name for name in table.MEASURED if name not in images]
        images = images.assign(**{name: "" if name == "note" else np.nan for name in missing})
        # tables that were measured before
        tips = tips.drop(columns=list(_PLACE_MM), errors="ignore")
        images = images.drop(columns=[*_SPREAD, *_SPREAD_MM, *fields], errors="ignore")
        images["px_per_mm"] = scale = self._scale(images)
        # by numbers: pandas' groups and indices cannot hold names that are not UTF-8
        place = {name: i for i, name in enumerate(images["image"])}
        table.check_listed(tips, place, "tips", "images")
        row = np.array([place[name] for name in tips["image"]], dtype=np.intp)
        spread = _spread(tips[["x", "y"]].to_numpy(), row, images.index)
        # by what is asked for, not by what is found: the same command has the same columns
        if self.px_per_mm is not None or self.resolution_tag or self.scale_bar_mm is not None:
            of_tip = scale[row]
            # distances from the image's top-left corner, which is half a pixel from (0, 0)
            for name, px in zip(_PLACE_MM, "xy", strict=True):
                tips[name] = (tips[px] + 0.5) / of_tip
            for name, px, power in zip(_SPREAD_MM, _SPREAD, (2, 1, 1), strict=True):
                spread[name] = spread[px] / scale**power
        images = pd.concat([images, fields, spread], axis=1)
        keys = self._labels(images).map(table.utf8)
        by_bar = self.scale_bar_mm is not None
        images["note"] = _notes(images, keys, fields, by_bar, self.resolution_tag)
        return tips, images, _summary(images, keys, list(spread))

    def unfitting(self, names: Sequence[str]) -> str:
        """A sentence about the images whose names the pattern does not fit, if any.

        Raises
        ------
        InputError
            It fits none.
        """
        if self.pattern is None:
            return ""
        none = parse(pd.Series(names, dtype=object), self.pattern).isna().all(axis=1)
        if not none.any():
            return ""
        such = f"such as {_matched(names[int(none.argmax())], self.pattern)}"
        if none.all():
            raise InputError(
                f"pattern={self.pattern} fits none of the {counted(len(names), 'image')}, or in "
                f"several ways, {such}; names are matched without their ending"
            )
        return (
            f"pattern={self.pattern} does not fit {none.sum()} of {len(names)} images, {such}; "
            "images.csv notes which"
        )

    def _scale(self, images: pd.DataFrame) -> NDArray[np.float64]:
        """How many px a mm has in each image, NaN where unknown."""
        if self.scale_bar_mm is not None:
            return np.asarray(images["scale_bar_px"], dtype=np.float64) / self.scale_bar_mm
        if self.resolution_tag:
            return np.asarray(images["px_per_mm"], dtype=np.float64)
        return np.full(len(images), np.nan if self.px_per_mm is None else float(self.px_per_mm))

    def _labels(self, images: pd.DataFrame) -> pd.DataFrame:
        """What says of each image which group it is in."""
        if self.group:
            return images[list(self.group)].fillna("")
        folders = [name.rpartition("/")[0] for name in images["image"]]
        return pd.DataFrame({"group": folders}, index=images.index, dtype=object)


def _checked(tips: pd.DataFrame, images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Copies of both tables, numbered from 0 on, or what is wrong with them."""
    points = table.check_points(tips, "tips")[[*tips]]
    listed = table.check_images(images, "images", "status", "tips")
    for name in ("tips", *table.MEASURED):
        if name in listed and name != "note":
            numbers = pd.to_numeric(listed[name], errors="coerce").astype(np.float64)
            if (numbers.isna() & listed[name].notna()).any():
                raise InputError(f"images: column {name} must hold numbers")
            if name != "tips":  # counts stay whole
                listed[name] = numbers
    # a file's own name may hold backslashes, which a check takes for slashes
    points["image"] = table.texts(map(str, tips["image"]))
    listed["image"] = table.texts(map(str, images["image"]))
    return points, listed


def parse(names: pd.Series, pattern: str) -> pd.DataFrame:
    """The fields of a named pattern in each image's name; none where it does not fit in one way.

    ``col_0_3`` fits ``{genotype}_{plate}`` in two.

    Raises
    ------
    InputError
        The pattern has no field, one twice, or one named like a column that is there already.
    """
    pieces = _pieces(pattern)
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
        rows.append(first.groups() if first and one else (None,) * len(pieces[1::2]))
    return pd.DataFrame(rows, columns=pieces[1::2], index=names.index, dtype=object)


def _pieces(pattern: str) -> list[str]:
    """What stands between a pattern's fields, and at its ends, and at odd numbers its fields."""
    pieces = re.split(r"\{(\w+)\}", pattern)
    fields = pieces[1::2]
    if not fields or any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise InputError(
            f"pattern={pattern} must name fields, as in {{genotype}}_{{plate}}_{{day}}"
        )
    for name in fields:
        if fields.count(name) > 1 or name in _TAKEN or not name.isidentifier():
            raise InputError(f"pattern={pattern}: call the field {name} something else")
    return pieces


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
