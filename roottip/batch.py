"""A run: a folder of images in; tables, overlays and a report out."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from roottip import __version__, engine, ledger, places, runpage, table
from roottip.detector import Detector
from roottip.engine import Engine
from roottip.errors import InputError, counted
from roottip.ledger import Ledger
from roottip.listing import Remark, find_images
from roottip.meter import progress
from roottip.places import Folder, Place
from roottip.provenance import card_settings, identity, provenance
from roottip.task import Result, Task
from roottip.traits import Traits

LONGEST_NAME = 200
"""Bytes of an image's name that its overlay's name keeps; file systems take 255 with endings."""

_ENDINGS = {"overlays": ".png", "thumbnails": ".jpg"}
"""Endings of an image's pictures, by the folder that they are in."""


def run(
    source: Place,
    output: Place,
    detector: Detector,
    settings: Mapping[str, Any],
    overlays: bool = True,
    overwrite: bool = False,
    work: Engine = engine.here,
    traits: Traits = Traits(),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detect tips in all images of a run and write what came out.

    Finished images are kept on disk as the run goes (`ledger`). The same call after a crash, a
    kill or Ctrl-C goes on where that stopped, and its tables are those of an undisturbed run,
    but for ``seconds``, which is measured: a finished image keeps its own. One whose picture was
    deleted is done again.

    Parameters
    ----------
    source : path or address
        As `listing.find_images` takes it.
    output : path or address
        Folder for ``tips.csv, images.csv, summary.csv`` (each as Parquet too), ``report.html,
        overlays/, thumbnails/, run.json``.
    detector : Detector
    settings : mapping
        What made the detector; kept in ``run.json``. A folder with another run's results
        is refused.
    overlays : bool
        Draw the found points on a PNG of each image.
    overwrite : bool
        Replace what was made with another detector, settings or input, or from images that
        have changed since.
    work : Engine
        Who works on the images; one of `engine`.
    traits : Traits
        What is asked besides counts; it may differ when a run goes on.

    Returns
    -------
    tips, images : DataFrame
        The points table and the images table, in the order of the input.

    Raises
    ------
    InputError
        The detector or the engine is none, there are no images, or none that fits the pattern,
        `output` holds something else or is in use, or the disk is full.
    """
    if isinstance(detector, str) or not callable(getattr(detector, "find", None)):  # text has one
        raise InputError("detector must have a method find; roottip.load('cnn') makes one")
    if not callable(work):
        raise InputError(f"work={work!r} is no engine; roottip.engine.local(workers=4) makes one")
    folder = Folder(output)
    remark = functools.partial(print, file=sys.stderr)
    root, found = find_images(source, remark)
    names = _photographs(source, root, found, folder, remark)
    if said := traits.unfitting(names):
        remark(said)
    record = {"input": str(source), "detector": dict(settings), "overlays": overlays}
    record |= {
        "weights": identity(detector),
        "card": card_settings(detector),
        "roottip": __version__,
    }
    record = json.loads(json.dumps(record, default=str))  # as it will be read again
    with folder.lock(f"{ledger.WORK}/lock"):
        same = ledger.claim(folder, record, overwrite)
        book = Ledger(folder)
        earlier = book.read()
        kept = ledger.unchanged(root, earlier, names, overwrite) if same else []
        # pictures that somebody deleted are made again
        for below in _ENDINGS if overlays else ["thumbnails"]:
            there = set(folder.names(below)) if kept else set()
            kept = [name for name in kept if _picture(below, name) in there]
        book.keep(kept)
        # after that: a kill in between leaves pictures too many, not too few
        for name in {*earlier.loc[earlier["status"] == "ok", "image"]} - {*kept}:
            for below in _ENDINGS:
                folder.remove(_picture(below, name))
        started = datetime.now(timezone.utc)
        _write_json(folder, "run.json", record | {"finished": False})
        done = set(kept)
        waiting = [name for name in names if name not in done]
        finished = _work_off(folder, book, work, Task(detector, root, overlays), waiting)
        book.keep(names)
        tips, images, groups = traits.measure(*ledger.tables(book.read(), names))
        record |= asdict(traits) | provenance(started)
        record |= {"images": len(names), "finished": finished}
        _write_results(folder, tips, images, groups, record)
    if not finished:
        raise KeyboardInterrupt
    return tips, images


def summary(tips: pd.DataFrame, images: pd.DataFrame, wanted: int) -> str:
    """What came out, in a line: images, tips, failures, doubts, seconds an image."""
    done = images["status"] == "ok"
    count = counted(len(tips), "tip")
    sentence = f"{count} in {int(done.sum())} of {wanted} images"
    failed = int((~done).sum())
    if failed:
        sentence += f"; {failed} could not be read (see images.csv)"
    doubtful = int((done & (images["note"] != "")).sum())
    if doubtful:
        sentence += f"; {doubtful} doubtful (note in images.csv)"
    if wanted > len(images):
        sentence += f"; stopped before {wanted - len(images)} of them"
    if not done.any():
        return f"{sentence}."
    return f"{sentence}. {images.loc[done, 'seconds'].mean():.2f} s an image."


def _work_off(folder: Folder, book: Ledger, work: Engine, task: Task, waiting: list[str]) -> bool:
    """Keep what comes of each image, on disk too; whether all were done before a Ctrl-C."""
    try:
        # closed at once when stopped, and its processes with it
        with closing(work(task, waiting)) as results:
            for result in progress(results, len(waiting), "detect"):
                _write_pictures(folder, result)
                book.add(result)
    except KeyboardInterrupt:
        return False
    finally:
        book.flush()
    return True


def _write_results(
    folder: Folder,
    tips: pd.DataFrame,
    images: pd.DataFrame,
    groups: pd.DataFrame,
    record: Mapping[str, Any],
) -> None:
    """Write the tables, the page and ``run.json``, which is last: it says that all are there."""
    for name, frame in (("tips", tips), ("images", images), ("summary", groups)):
        for suffix in table.SUFFIXES:
            folder.write(name + suffix, table.encode(frame, suffix))
    ok = images.loc[images["status"] == "ok", "image"]
    thumbnails = {name: _picture("thumbnails", name) for name in ok}
    opened = {name: _picture("overlays", name) for name in ok} if record["overlays"] else {}
    lead = summary(tips, images, record["images"])
    runpage.write(folder, lead, images, groups, thumbnails, record, opened)
    _write_json(folder, "run.json", record)


def _photographs(
    source: Place, root: Place, names: list[str], folder: Folder, remark: Remark
) -> list[str]:
    """The images but for what runs drew: this one into its output, others into the input."""
    # what has a NUL is no path, but it gets its row
    own = {n: None if "\0" in n else folder.name_of(places.join(root, n)) for n in names}
    if None not in own.values():
        raise InputError(
            f"all images of {source} lie in {folder}, where results go; give another output="
        )

    @functools.cache
    def is_run(inside: PurePosixPath) -> bool:
        there = Path(root, inside)
        return (there / ledger.WORK).is_dir() and (there / "run.json").is_file()

    def is_drawn(name: str) -> bool:
        if (own[name] or "").split("/")[0] in _ENDINGS:
            return True
        # what lies elsewhere somebody has listed
        if places.is_address(root) or Path(name).is_absolute():
            return False
        path = PurePosixPath(name)
        runs = (p for p in path.parents if path.relative_to(p).parts[0] in _ENDINGS)
        return any(map(is_run, runs))

    kept = [name for name in names if not is_drawn(name)]
    drawn = f"that runs drew, in their {' and '.join(f'{below}/' for below in _ENDINGS)}"
    if not kept:
        raise InputError(f"{source} holds nothing but pictures {drawn}; give photographs")
    if len(kept) < len(names):
        remark(f"left out: {counted(len(names) - len(kept), 'picture')} {drawn}")
    return kept


def _write_pictures(folder: Folder, result: Result) -> None:
    name = str(result.row["image"])
    if result.overlay is not None:
        folder.write(_picture("overlays", name), result.overlay)
        result.overlay = None
    if result.thumbnail is not None:
        folder.write(_picture("thumbnails", name), result.thumbnail)
        result.thumbnail = None


def _picture(below: str, name: str) -> str:
    """Where an image's picture goes: never outside the output, whatever a list calls it."""
    told = name.replace(":", "_").split("/")
    parts = [part for part in told if part not in ("", ".", "..")]
    # where there is x.jpg too, its picture is called as the folder x.jpg.png
    folders = [re.sub(r"(?i)\.(png|jpg)$", r"\g<0>_", part) for part in parts[:-1]]
    altered = folders != parts[:-1] or ".." in told or ":" in name
    parts[:-1] = folders
    raw = parts[-1].encode("utf-8", "surrogateescape")
    # without it the name may be another image's
    if len(raw) > LONGEST_NAME or altered:
        whole = name.encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(whole, digest_size=8).hexdigest()
        parts[-1] = f"{raw[:LONGEST_NAME].decode('utf-8', 'ignore')}-{digest}"
    return "/".join([below, *parts]) + _ENDINGS[below]


def _write_json(folder: Folder, name: str, record: Mapping[str, Any]) -> None:
    folder.write(name, (json.dumps(record, indent=2, ensure_ascii=True) + "\n").encode())
