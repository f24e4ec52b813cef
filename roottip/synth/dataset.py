"""A dataset folder of drawn plates."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from roottip import table
from roottip.errors import InputError, check_number
from roottip.formats.markup import child, encode
from roottip.places import check_folder, write_whole
from roottip.synth.growth import SPECIES, check_species
from roottip.synth.plate import FINEST, SMALLEST, Plate, checked, stream, varied
from roottip.synth.render import Picture, picture, plant
from roottip.synth.truth import TIP_COLUMNS

_MOST_WORKERS = 61 if sys.platform == "win32" else sys.maxsize
"""Processes that Python can wait for on Windows, and elsewhere."""

_DRAWN = re.compile(r"plate_\d{4,}(_day[\d.e+-]+)?\.(jpg|rsml)")
"""What files of a drawing are called."""

_INDEX = ("image", "split", "width", "height", "group", "px_per_mm", "species", "day", "seed")


def varied_plates(
    count: int,
    seed: int,
    size: int = 800,
    species: Sequence[str] | None = None,
    px_per_mm: float | None = None,
    knobs: Mapping[str, Any] | None = None,
) -> list[Plate]:
    """Plates that differ in everything that is not given.

    Parameters
    ----------
    count : int
    seed : int
        The same seed gives the same plates; the first of them are the same for every `count`.
    size : int
        Width and height, px.
    species : sequence of str, optional
        To choose from; all of them if not given.
    px_per_mm : float, optional
        Of all plates.
    knobs : mapping, optional
        Settings of `Plate` that are the same on all plates; those that are None vary.

    Raises
    ------
    InputError
        An unknown species, or a setting that is no number or out of its range.
    """
    names = list(species or SPECIES)
    check_species(names)
    check_number("count", count, 1, whole=True)
    check_number("size", size, SMALLEST, whole=True)
    check_number("seed", seed, 0, whole=True)
    if px_per_mm is not None:
        check_number("px_per_mm", px_per_mm, 0, FINEST, above=True)
    given = checked(knobs or {})
    wide, high = int(given.get("width", size)), int(given.get("height", size))
    return [
        replace(varied(plate_seed(seed, n), wide, high, names, px_per_mm), **given)
        for n in range(count)
    ]


def plate_seed(seed: int, number: int) -> int:
    """The seed of one plate of a dataset, far from those of its neighbours."""
    return int(stream(seed, "plate", number).integers(2**31))


def write_dataset(
    plates: Sequence[Plate],
    seed: int,
    folder: str | Path,
    split: str = "train",
    days: Sequence[float] = (),
    workers: int = 1,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Draw plates and write them as a dataset folder.

    ``images/``, ``rsml/``, ``tips.csv``, ``distractors.csv`` and ``images.csv``, which holds all
    settings. Every plate is a group.

    Parameters
    ----------
    plates : sequence of Plate
    seed : int
        The same plates and seed give the same bytes, however many workers there are.
    folder : path
    split : str
        Written into ``images.csv``.
    days : sequence of float
        Draw every plate on each of these days, with the same plants; else on its own day.
    workers : int
        Processes.
    overwrite : bool
        Replace another dataset.

    Returns
    -------
    DataFrame
        ``images.csv``.

    Raises
    ------
    InputError
        There is a dataset already, or CPlantBox is not installed.
    """
    folder = Path(folder)
    check_folder(folder)
    written = ("images.csv", "tips.csv", "distractors.csv")
    if any((folder / name).exists() for name in written) and not overwrite:
        raise InputError(
            f"{folder} holds another dataset; give another output= or say overwrite=true"
        )
    for day in days:
        check_number("days", day, 0, above=True)
    check_number("workers", workers, 1, whole=True)
    if len({_stem(0, day) for day in days}) < len(days):
        raise InputError(f"days={list(days)}: each day once; their images would be called the same")
    names = {_stem(n, day) for n in range(len(plates)) for day in days or (None,)}
    there = [path for part in ("images", "rsml") for path in (folder / part).glob("plate_*")]
    drawn = [path for path in there if _DRAWN.fullmatch(path.name)]
    left = sorted(path for path in drawn if path.stem not in names)
    if left and not overwrite:
        raise InputError(
            f"{left[0]} is called as a drawn plate is, and is none of these, as after a drawing "
            "that was stopped; give another output=, or overwrite=true, which removes such files"
        )
    (folder / "images.csv").unlink(missing_ok=True)
    for path in left:
        path.unlink()
    for part in ("images", "rsml"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    work = partial(_write_plate, folder=folder, seed=seed, split=split, days=tuple(days))
    tasks = list(enumerate(plates))
    done = tqdm(
        _run(work, tasks, workers), total=len(tasks), desc="plates", unit="plate", disable=None
    )
    rows, tips, distractors = zip(*done, strict=True)
    images = pd.DataFrame([row for some in rows for row in some])
    table.write(_stack(tips, ("image", *TIP_COLUMNS)), folder / "tips.csv")
    table.write(_stack(distractors, ("image", "x", "y", "cause")), folder / "distractors.csv")
    table.write(images, folder / "images.csv")  # last: it says that the dataset is whole
    return images


def _stem(number: int, day: float | None = None) -> str:
    """What a plate is called, or its image on a day, without its ending."""
    return f"plate_{number + 1:04d}" + ("" if day is None else f"_day{day:g}")


def _run(work: Any, tasks: Sequence[tuple[int, Plate]], workers: int) -> Iterator[Any]:
    if workers == 1 or len(tasks) == 1:
        yield from map(work, tasks)
        return
    # spawned, as forks of a process with OpenCV's threads may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, _MOST_WORKERS), context, initializer=_begin) as pool:
        yield from pool.map(work, tasks, chunksize=max(1, min(8, len(tasks) // (4 * workers))))


def _begin() -> None:
    """A worker process: one thread for OpenCV, and it ends when the one that began it is killed."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _write_plate(
    task: tuple[int, Plate], folder: Path, seed: int, split: str, days: tuple[float, ...]
) -> tuple[list[dict[str, Any]], pd.DataFrame, pd.DataFrame]:
    number, plate = task
    own = plate_seed(seed, number)
    group = _stem(number)
    roots = plant(plate, own, max(days, default=plate.day))
    rows: list[dict[str, Any]] = []
    tips: list[pd.DataFrame] = []
    distractors: list[pd.DataFrame] = []
    for day in days or (plate.day,):
        today = replace(plate, day=day)
        made = picture(today, roots, own)
        stem = _stem(number, day if days else None)
        image = f"{stem}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, plate.jpeg]
        coded, data = cv2.imencode(".jpg", made.image[..., ::-1], quality)
        assert coded
        (folder / "images" / image).write_bytes(data.tobytes())
        _write_rsml(made, folder / "rsml" / f"{stem}.rsml")
        settings = {key: _rounded(value) for key, value in asdict(today).items()}
        row = {"image": image, "split": split, "group": group, "seed": own, **settings}
        rows.append({key: row.pop(key) for key in _INDEX} | row)
        for frame, parts in ((made.tips, tips), (made.distractors, distractors)):
            named = frame.round(2)
            named.insert(0, "image", image)
            parts.append(named)
    return rows, pd.concat(tips), pd.concat(distractors)


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _stack(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    full = [part for part in parts if len(part)]
    return pd.concat(full) if full else pd.DataFrame(columns=list(columns))


def _write_rsml(made: Picture, path: Path) -> None:
    """Every root as a polyline from its base to its end, in px, and whether that is hidden."""
    top = Element("rsml")
    metadata = child(top, "metadata")
    for key, value in {"version": 1, "unit": "pixel", "resolution": 1}.items():
        child(metadata, key, value)
    child(metadata, "software", "roottip synth")
    scene = child(top, "scene")
    known: dict[int, Element] = {}
    plants: dict[int, Element] = {}
    ends = dict(zip(made.tips["root_id"], made.tips[["x", "y"]].to_numpy(), strict=True))
    unseen = {*made.tips.loc[made.tips["ignore"] == 1, "root_id"]}
    for stroke in sorted(made.strokes, key=lambda stroke: (stroke.root.order, stroke.root.id)):
        root = stroke.root
        if root.plant not in plants:
            plants[root.plant] = child(scene, "plant", ID=root.plant + 1)
        element = child(known.get(root.parent, plants[root.plant]), "root", ID=root.id)
        known[root.id] = element
        if root.id in unseen:
            child(child(element, "properties"), "ignore", value=1)
        polyline = child(child(element, "geometry"), "polyline")
        body = stroke.line[: stroke.bare : 4]
        for x, y in np.concatenate([body, ends[root.id][None]]).round(2).tolist():
            child(polyline, "point", x=f"{x:g}", y=f"{y:g}")
        diameter = child(child(element, "functions"), "function", name="diameter")
        for width in [*(2 * stroke.radius[: stroke.bare : 4]).tolist(), stroke.width]:
            child(diameter, "sample", f"{width:.2f}")
    write_whole(path, encode(top))
