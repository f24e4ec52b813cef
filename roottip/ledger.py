"""What a run has finished, on disk as it goes, so that a killed run loses some seconds.

``.roottip/`` in the output folder holds Parquet parts, each written whole or not at all, with a
row for each finished image: its row of the images table, its points, and the fingerprint of the
file it was made from.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from roottip import places, table
from roottip.errors import InputError, counted
from roottip.places import Folder, Place
from roottip.task import Result, printable

WORK = ".roottip"

PART_SECONDS = 5.0
"""How much work a killed run may lose. A part costs some milliseconds to write."""

_SCHEMA = pa.schema(
    [
        ("image", pa.binary()),  # file names need not be UTF-8
        ("version", pa.string()),
        ("content", pa.string()),
        ("status", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("tips", pa.int64()),
        ("seconds", pa.float64()),
        ("error", pa.string()),
        ("note", pa.string()),
        ("px_per_mm", pa.float64()),
        ("scale_bar_px", pa.float64()),
        ("brightness", pa.float64()),
        ("sharpness", pa.float64()),
        ("x", pa.list_(pa.float64())),
        ("y", pa.list_(pa.float64())),
        ("score", pa.list_(pa.float64())),
    ]
)


class Ledger:
    """The finished images of the run in a folder.

    Parameters
    ----------
    folder : Folder
        The run's output. Hold its lock before.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._new: list[dict[str, Any]] = []
        self._written = time.monotonic()
        self._parts = [name for name in folder.names(WORK) if name.endswith(".parquet")]

    def add(self, result: Result) -> None:
        """Keep a result; it is on disk with the first one `PART_SECONDS` later, or after `flush`.

        One that took longer than that is on disk at once.
        """
        x, y = result.points.T.tolist()
        self._new.append(
            result.row
            | {"image": os.fsencode(str(result.row["image"]))}
            | {"version": result.version, "content": result.content}
            | {"x": x, "y": y, "score": result.scores.astype(float).tolist()}
        )
        took = result.row.get("seconds")
        slow = isinstance(took, float) and took > PART_SECONDS
        if slow or time.monotonic() - self._written > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet."""
        if self._new:
            self._write(pa.Table.from_pylist(self._new, _SCHEMA))
            self._new.clear()
        self._written = time.monotonic()

    def read(self) -> pd.DataFrame:
        """All finished images, a row each; the latest result where one was redone."""
        parts = [part for part in map(self._read_part, self._parts) if part is not None]
        return _frame(pa.concat_tables([*parts, _SCHEMA.empty_table()]))

    def keep(self, names: Sequence[str]) -> None:
        """Forget all images but these, and put the parts together into one."""
        wanted = {os.fsencode(name) for name in names}
        latest: dict[bytes, dict[str, Any]] = {}
        for part in map(self._read_part, self._parts):
            rows = [] if part is None else part.to_pylist()
            latest |= {row["image"]: row for row in rows if row["image"] in wanted}
        old, self._parts = self._parts, self._parts[-1:]
        if latest:
            self._write(pa.Table.from_pylist(list(latest.values()), _SCHEMA))
            self._parts = self._parts[-1:]
        else:
            self._parts = []
        # killed in between, a row is there twice, which `read` bears
        for name in old:
            self._folder.remove(name)

    def _write(self, part: pa.Table) -> None:
        last = int(self._parts[-1].rpartition("/")[2].split(".")[0]) if self._parts else 0
        name = f"{WORK}/{last + 1:08d}.parquet"
        data = io.BytesIO()
        pq.write_table(part, data)
        self._folder.write(name, data.getvalue(), lasting=True)
        self._parts.append(name)

    def _read_part(self, name: str) -> pa.Table | None:
        data = self._folder.read(name)
        if data is None:
            return None
        try:
            return pq.read_table(io.BytesIO(data)).select(_SCHEMA.names)
        except (pa.ArrowException, OSError, KeyError):
            return None  # damaged since, or another version's: its images are done again


def tables(done: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The points table and the images table of finished images, in the order of `names`."""
    place = {name: i for i, name in enumerate(done["image"])}
    done = done.iloc[[place[name] for name in names if name in place]].reset_index(drop=True)
    images = table.images(done[list(table.IMAGE_COLUMNS)].to_dict("records"))
    for column in table.MEASURED:
        images[column] = done[column].to_numpy()
    images["note"] = _with_twins(done)
    points = done[["image", "x", "y", "score"]].explode(["x", "y", "score"])
    points = points[points["x"].notna()].reset_index(drop=True)
    return points.astype({"x": float, "y": float, "score": float, "image": object}), images


def claim(folder: Folder, record: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether the folder holds an unfinished or finished run of the very same making.

    Raises
    ------
    InputError
        It holds something else, and `overwrite` does not allow to replace it.
    """
    earlier = folder.read("run.json")
    if earlier is None:
        written = [
            f"{name}{suffix}" for name in ("tips", "images", "summary") for suffix in table.SUFFIXES
        ]
        for name in (*written, "report.html"):
            # somebody's marked tips, perhaps, or a comparison
            if not overwrite and folder.has(name):
                raise InputError(
                    f"{folder} holds {name}, and no run made it; give another output= or say "
                    "overwrite=true"
                )
        return False
    try:
        before = json.loads(earlier)
    except ValueError:
        before = {}
    same = isinstance(before, dict) and all(
        before.get(key) == value for key, value in record.items()
    )
    if not same and not overwrite:
        raise InputError(
            f"{folder} holds the results of another run (its run.json says which); "
            "give another output= or say overwrite=true"
        )
    return same


def unchanged(root: Place, done: pd.DataFrame, names: Sequence[str], overwrite: bool) -> list[str]:
    """The finished images that need not be done again.

    An image is the same while its file has the same size and time of change, or else the same
    content: files that were only copied or touched are not done again. Failed images are tried
    again: whoever repairs a permission changes neither.

    Raises
    ------
    InputError
        Images have changed or are gone since, and `overwrite` is false.
    """
    fine = done[done["status"] == "ok"]
    gone = set(fine["image"]) - set(names)
    changed = {
        row.image
        for row in fine.itertuples()
        if row.image not in gone
        and not _is_same(places.join(root, row.image), row.version, row.content)
    }
    if (gone or changed) and not overwrite:
        lost, what = (changed, "changed") if changed else (gone, "disappeared")
        raise InputError(
            f"{counted(len(lost), 'image')} {what} since this run (such as {min(lost)!r}); give "
            "another output=, or say overwrite=true to go on with the images as they are now"
        )
    redo = gone | changed
    return [name for name in fine["image"] if name not in redo]


def _frame(rows: pa.Table) -> pd.DataFrame:
    frame = rows.to_pandas()
    names = [os.fsdecode(name) for name in frame["image"]]
    # of objects, and never an index: pandas' own strings cannot hold names that are not UTF-8
    frame["image"] = pd.Series(names, index=frame.index, dtype=object)
    return frame.drop_duplicates("image", keep="last")


def _with_twins(done: pd.DataFrame) -> pd.Series:
    """Each image's note, and another image of the same content: its tips are counted twice."""
    fine = done["content"].where(done["status"] == "ok", "")
    twins: dict[str, list[str]] = {}
    for name, content in zip(done["image"], fine, strict=True):
        twins.setdefault(content, []).append(name)
    notes = []
    for name, content, note in zip(done["image"], fine, done["note"], strict=True):
        # two are enough to name another one
        others = [twin for twin in twins[content][:2] if content and twin != name]
        said = [f"the same file as {printable(twin)}" for twin in others[:1]]
        notes.append("; ".join([note, *said] if note else said))
    return table.texts(notes)


def _is_same(path: Place, version: str, content: str) -> bool:
    try:
        return places.version(path) == version or places.file_hash(path) == content
    except OSError:
        return False
