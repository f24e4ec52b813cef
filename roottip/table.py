"""The two tables that everything else exchanges: points and images.

**Points table**: columns ``image, x, y`` first; found points add ``score``, truth may add
``ignore`` (0/1), ``root_order``, ``group`` and anything more. ``image`` is the path relative
to the run, with ``/``; ``x`` to the right and ``y`` down in px of the image as displayed
(EXIF orientation applied), the centre of the top-left pixel is (0, 0).

**Images table**: a row for every image, with or without tips, readable or not.

An empty table has the same columns and types as a full one.
"""

from __future__ import annotations

import codecs
import csv
import io
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from roottip.errors import InputError
from roottip.places import write_whole

FOUND_COLUMNS = ("image", "x", "y", "score")
FARTHEST = 1e8
"""px from an image's corner that a point can be: beyond, distances lose their digits."""

IMAGE_COLUMNS = ("image", "status", "width", "height", "tips", "seconds", "error")
MEASURED = ("note", "px_per_mm", "scale_bar_px", "brightness", "sharpness")
"""What a run's images table holds besides."""

SUFFIXES = (".csv", ".parquet")

_ROW = "row of the file"
"""What the index is called, from 0, of a table with rows left out."""

_AS_TEXT: dict[str, Any] = {
    "dtype": object,
    "keep_default_na": False,
    "encoding_errors": "surrogateescape",
}
"""For pandas to take every value as it is written."""

_NUMBERS = {"x", "y", "score", "x_end", "y_end", "root_order", "distance"}
_NUMBERS |= {"width", "height", "tips", "seconds", *MEASURED} - {"note"}
"""Columns that are numbers, unknown ones, even where nothing is in them."""

_TEXT = ("image", "group", "split", "status", "error", "source", "cause", "outcome", "detector")


def points(
    image: str, xy: NDArray[np.float64], score: NDArray[np.float32] | None = None
) -> pd.DataFrame:
    """Make the points table of one image.

    Parameters
    ----------
    image : str
        The image's name in the run.
    xy : (N, 2) float
        ``x, y`` in px.
    score : (N,) float, optional
        Makes it a table of found points.

    Returns
    -------
    DataFrame
        ``image, x, y`` and, if given, ``score``; N rows, N may be 0.
    """
    xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    frame = pd.DataFrame({"image": texts([image] * len(xy)), "x": xy[:, 0], "y": xy[:, 1]})
    if score is not None:
        frame["score"] = np.asarray(score, dtype=np.float64)
    return frame


def concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack tables of found points; none at all give the empty table, with its types."""
    # pandas' concat warns about, and guesses types from, empty members
    full = [table for table in tables if len(table)]
    if not full:
        return points("", np.empty((0, 2)), np.empty(0, dtype=np.float32))
    return pd.concat(full, ignore_index=True)


def images(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Make the images table from one dict for each image; keys as in `IMAGE_COLUMNS`."""
    # of objects: pandas' own strings cannot hold file names that are not UTF-8
    columns = {name: texts(row.get(name) for row in rows) for name in IMAGE_COLUMNS}
    return pd.DataFrame(columns).astype(
        {"width": "Int64", "height": "Int64", "tips": "Int64", "seconds": "float64"}
    )


def read(path: str | Path) -> pd.DataFrame:
    """Read a table from CSV or Parquet, by the file's ending.

    Image names, groups and the like stay text (``007`` is no number and ``NA`` is a name);
    other columns become numbers where every value is one, and points' and sizes' if there is none.

    Raises
    ------
    InputError
        The file is missing, of another format, or no table.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no table at {path}; give a {' or '.join(SUFFIXES)} file")
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
            known = [name for name in _TEXT if name in frame]
            return frame.assign(**{name: _objects(frame[name], _text) for name in known})
        if path.suffix.lower() == ".csv":
            with path.open("rb") as file:
                if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    raise ValueError("it is UTF-16; save it as CSV UTF-8")
            with warnings.catch_warnings():
                # of a field too many in each row pandas would only warn, and leave it out
                warnings.simplefilter("error", pd.errors.ParserWarning)
                text = pd.read_csv(path, index_col=False, **_AS_TEXT)
            # by itself: of two columns of one name pandas renames the second
            names = pd.read_csv(path, header=None, nrows=1, **_AS_TEXT).iloc[0].str.strip()
            twice = names[names.duplicated() & (names != "")]
            if len(twice):
                raise ValueError(f"it has two columns called {twice.iloc[0]}")
            # columns without a name stay as pandas calls them
            text = text.rename(columns=lambda name: name.strip() or name)
            blank = text.apply(lambda column: column.str.strip() == "").all(axis=1)
            if blank.any():  # as Excel leaves them
                text = text[~blank].rename_axis(_ROW)
            # one by one: of a table without rows `apply` would ask nothing
            for name in text:
                text[name] = _numbers_where_all_are(text[name])
            return text
    except pd.errors.ParserWarning as error:
        raise InputError(
            f"{path} has rows with more fields than its first line names; fields are separated by "
            "commas, and numbers have points"
        ) from error
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a table: {reason}") from error
    raise InputError(f"{path} is no table roottip reads; give a {' or '.join(SUFFIXES)} file")


def write(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV or Parquet, by the ending; whole or not at all.

    Raises
    ------
    InputError
        The ending is neither.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: tables are written as {' or '.join(SUFFIXES)}")
    write_whole(path, encode(frame, path.suffix.lower()))


def encode(frame: pd.DataFrame, suffix: str) -> bytes:
    """A table as the content of a CSV or Parquet file.

    File names that are not UTF-8 keep their bytes in CSV; Parquet's text must be UTF-8, there
    such a byte is written as a backslash, an x and its number.
    """
    if suffix == ".csv":
        text: str = frame.to_csv(index=False, lineterminator="\n")
        if "\r" in text:  # Python's csv leaves it unquoted, readers take it for a line's end
            text = frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        return text.encode("utf-8", "surrogateescape")
    for column in frame:
        if pd.api.types.is_object_dtype(frame[column]):
            frame = frame.assign(**{column: _objects(frame[column], utf8)})
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    # of nothing Arrow knows no type, and it knows two for text
    types = [
        (pa.float64() if field.name in _NUMBERS else pa.string())
        if pa.types.is_null(field.type) or pa.types.is_large_string(field.type)
        else field.type
        for field in arrow.schema
    ]
    fields = [field.with_type(kind) for field, kind in zip(arrow.schema, types, strict=True)]
    content = io.BytesIO()
    parquet.write_table(arrow.cast(pa.schema(fields, arrow.schema.metadata)), content)
    return content.getvalue()


def utf8(value: object) -> object:
    """Text with a number in place of each byte of a file name that is not UTF-8."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def check_points(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Check a points table and give its columns their types.

    Parameters
    ----------
    frame : DataFrame
        As read from a file or made by hand.
    source : str
        What to call it in an error.

    Returns
    -------
    DataFrame
        A copy: ``image`` text, ``x, y`` (and ``score``) float64, ``ignore`` 0/1 (0 where
        the column is missing); further columns as they were.

    Raises
    ------
    InputError
        Names the column, the row (the first after the header is row 1) and the reason.
    """
    frame = _with_columns(frame, ("image", "x", "y"), source)
    for column in ("x", "y", "score"):
        if column in frame:
            frame[column] = _finite(frame[column], source)
        if column in ("x", "y"):
            far = frame[column].abs() > FARTHEST
            _refuse_first(far, frame[column], source, "is farther than any image is large, px")
    if "ignore" not in frame:
        frame["ignore"] = 0
    ignore = pd.to_numeric(frame["ignore"], errors="coerce")
    _refuse_first(~ignore.isin([0, 1]), frame["ignore"], source, "is neither 0 nor 1")
    frame["ignore"] = ignore.astype(np.int64)
    return frame.reset_index(drop=True)


def check_distractors(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Check a table of what looks like a tip and is none; its ``image, x, y, cause``.

    Raises
    ------
    InputError
        Names the column, the row and the reason.
    """
    frame = _with_columns(frame, ("image", "x", "y", "cause"), source)
    return check_points(frame, source)[["image", "x", "y", "cause"]]


def check_images(frame: pd.DataFrame, source: str, *columns: str) -> pd.DataFrame:
    """Check an images table: an ``image`` column of unique names, and these; returns a copy.

    Raises
    ------
    InputError
        Names the column, the row and the reason.
    """
    frame = _with_columns(frame, ("image", *columns), source)
    _refuse_first(frame["image"].duplicated(), frame["image"], source, "is there twice")
    return frame.reset_index(drop=True)


def check_listed(points: pd.DataFrame, images: Iterable[str], source: str, listed: str) -> None:
    """Refuse points on an image that is not among `images`, the names in what is called `listed`.

    Raises
    ------
    InputError
        Names the image.
    """
    names = dict.fromkeys(images)
    stray = next((name for name in points["image"] if name not in names), None)
    if stray is not None:
        known = f", such as {next(iter(names))!r}" if names else ""
        raise InputError(
            f"{source} has points in {stray!r}, which is none of the {len(names)} names in "
            f"{listed}{known}; image names must be the same in all tables"
        )


def by_image(points: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each image; as pandas groups, which does not know names that are not UTF-8."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(points["image"]):
        rows.setdefault(str(name), []).append(row)
    return {name: points.iloc[own] for name, own in rows.items()}


def texts(values: Iterable[object]) -> pd.Series:
    """A column of them as objects: text as pandas has it holds no name that is not UTF-8."""
    return pd.Series(list(values), dtype=object)


def with_splits(images: pd.DataFrame) -> pd.DataFrame:
    """The images table with a split for every image, ``train`` where none is told, or for none."""
    if "split" not in images:
        return images
    told = _objects(images["split"], _text)
    if not (told != "").any():
        return images.drop(columns="split")
    return images.assign(split=told.where(told != "", "train"))


def groups_of(images: pd.DataFrame, points: pd.DataFrame | None = None) -> pd.Series:
    """The group of each image as text: what the images table says, else its points, else its name.

    Raises
    ------
    InputError
        Its points say two.
    """
    told: dict[str, str] = {}
    if points is not None and "group" in points:
        for image, group in zip(points["image"], points["group"], strict=True):
            text = _text(group)
            if text and told.setdefault(image, text) != text:
                raise InputError(
                    f"{image} is said to be of group {told[image]} and {text}; an image has one "
                    "group"
                )
    given = images["group"] if "group" in images else [None] * len(images)
    named = zip(given, images["image"], strict=True)
    groups = [_text(group) or told.get(image, image) for group, image in named]
    return pd.Series(groups, index=images.index, dtype=object)


def _text(value: object) -> str:
    """As a CSV would have it: nothing where there is nothing."""
    return "" if pd.isna(value) else str(value)


def _slashed(name: object) -> str:
    """An image's name; on Windows people write backslashes, which few other names hold."""
    return _text(name).replace("\\", "/")


def _objects(column: pd.Series, function: Callable[[object], object]) -> pd.Series:
    """Each value's, as objects, whatever pandas would make of them."""
    return pd.Series([function(value) for value in column], index=column.index, dtype=object)


_LONG = r"\s*[+-]?\d{16,}\s*"
"""A barcode: as a number it would lose digits."""


def _numbers_where_all_are(column: pd.Series) -> pd.Series:
    if column.name in _TEXT:
        return column
    blank = column.str.strip() == ""
    numbers = pd.to_numeric(column.mask(blank), errors="coerce")
    if bool(blank.all()):
        return column.mask(blank).astype(float) if column.name in _NUMBERS else column
    if bool((numbers.isna() & ~blank).any() or column.str.fullmatch(_LONG).any()):
        return column
    if numbers.dtype == np.float64:  # pandas 2 is off by a last digit now and then
        return column.mask(blank).map(float)
    return numbers


def holds(frame: pd.DataFrame) -> str:
    """For errors: which columns there are, and what is wrong with how the first line says them."""
    said = f"it has {', '.join(map(str, frame))}"
    if len(frame.columns) == 1 and (";" in said or "\t" in said):
        return f"{said}; fields are separated by commas"
    if any(name != name.lower() and name.lower() in FOUND_COLUMNS for name in map(str, frame)):
        return f"{said}: write them in lower case"
    return said


def _with_columns(frame: pd.DataFrame, columns: tuple[str, ...], source: str) -> pd.DataFrame:
    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"{source} must be a DataFrame, not {type(frame).__name__}; roottip.table.read makes "
            "one of a file"
        )
    missing = [column for column in columns if column not in frame]
    if missing:
        raise InputError(f"{source} has no column {', '.join(missing)}; {holds(frame)}")
    frame = frame.copy()
    names = _objects(frame["image"], _slashed)
    _refuse_first(names == "", frame["image"], source, "names no image")
    return frame.assign(image=names)


def _finite(column: pd.Series, source: str) -> pd.Series:
    # as NumPy's numbers, in which what is missing is no number; pandas' own are neither
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    _refuse_first(~np.isfinite(numbers), column, source, "is not a finite number")
    return numbers


def _refuse_first(bad: pd.Series, column: pd.Series, source: str, reason: str) -> None:
    if bool(bad.any()):
        at = int(np.argmax(bad.to_numpy()))
        row = (column.index[at] if column.index.name == _ROW else at) + 1
        value = _text(column.iloc[at])  # of an empty field nothing
        raise InputError(f"{source}, row {row}, column {column.name}: {value!r} {reason}")
