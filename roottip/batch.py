"""A run: a folder of images in; tables, overlays and a report out."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from roottip import __version__, report, table
from roottip.detector import Detector
from roottip.errors import InputError
from roottip.images import find_images, read_ahead

MOST_PICTURES = 100
"""Pictures embedded in a report: some 40 kB each, so that it opens at once and can be mailed."""

T = TypeVar("T")


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Show a progress bar on the terminal, none where stderr is no terminal."""
    yield from tqdm(items, total=total, desc=label, unit="image", disable=None)


def run(
    source: str | Path,
    output: str | Path,
    detector: Detector,
    settings: Mapping[str, Any],
    overlays: bool = True,
    overwrite: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detect tips in all images of a run and write what came out.

    Nothing in `output` is replaced before the run is done, or stopped with Ctrl-C: then the
    tables hold the images done so far.

    Parameters
    ----------
    source : path
        As `images.find_images` takes it.
    output : path
        Folder for ``tips.csv, images.csv, report.html, overlays/, run.json``.
    detector : Detector
    settings : mapping
        What made the detector; kept in ``run.json``. A folder with another run's results
        is refused.
    overlays : bool
        Draw the found points on a PNG of each image.
    overwrite : bool
        Replace another run's results.

    Returns
    -------
    tips, images : DataFrame
        The points table and the images table.

    Raises
    ------
    InputError
        No images, or `output` holds something else.
    """
    output = Path(output)
    root, names = find_images(source)
    # results inside the input folder must not become input of the next run
    inside = output.resolve()
    names = [name for name in names if not (root / name).resolve().is_relative_to(inside)]
    record = {"input": str(source), "detector": dict(settings)}
    _claim(output, record, overwrite)
    rows: list[dict[str, object]] = []
    found: list[pd.DataFrame] = []
    pictures: list[tuple[str, str]] = []
    started = datetime.now(timezone.utc)
    interrupted = False
    try:
        for name, image in progress(read_ahead(root, names), len(names), "detect"):
            begun = time.perf_counter()
            row: dict[str, object] = dict.fromkeys(table.IMAGE_COLUMNS)
            row |= {"image": name, "status": "failed", "error": ""}
            if isinstance(image, InputError):
                row["error"] = str(image)
            else:
                points, scores = detector.find(image)
                tips = table.points(name, points, scores)
                found.append(tips)
                row |= {
                    "status": "ok",
                    "width": image.shape[1],
                    "height": image.shape[0],
                    "tips": len(tips),
                }
                if overlays or len(pictures) < MOST_PICTURES:
                    drawn = report.overlay(image, tips)
                    if overlays:
                        report.write_image(drawn, output / "overlays" / f"{name}.png")
                    if len(pictures) < MOST_PICTURES:
                        pictures.append((f"{name}: {len(tips)} tips", report.thumbnail(drawn)))
            row["seconds"] = round(time.perf_counter() - begun, 3)
            rows.append(row)
    except KeyboardInterrupt:
        interrupted = True
    tips, images = table.concat(found), table.images(rows)
    table.write(tips, output / "tips.csv")
    table.write(images, output / "images.csv")
    record |= provenance(started) | {"images": len(names), "finished": not interrupted}
    _write_json(record, output / "run.json")
    report.write_report(
        output / "report.html",
        "Root tips of a run",
        summary(tips, images, len(names)),
        {"Images": images},
        pictures,
        [report.FOUND],
        record,
    )
    if interrupted:
        raise KeyboardInterrupt
    return tips, images


def summary(tips: pd.DataFrame, images: pd.DataFrame, wanted: int) -> str:
    """One sentence: images, tips, failures, seconds an image."""
    done = images["status"] == "ok"
    count = f"{len(tips)} tip" if len(tips) == 1 else f"{len(tips)} tips"
    sentence = f"{count} in {int(done.sum())} of {wanted} images"
    failed = int((~done).sum())
    if failed:
        sentence += f"; {failed} could not be read (see images.csv)"
    if wanted > len(images):
        sentence += f"; stopped before {wanted - len(images)} of them"
    return f"{sentence}. {images.loc[done, 'seconds'].mean():.2f} s an image."


def provenance(started: datetime) -> dict[str, Any]:
    """Versions, machine and time: what one needs to trace a result."""
    return {
        "roottip": __version__,
        "python": sys.version.split()[0],
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(timezone.utc) - started).total_seconds(), 2),
        "units": "x, y in px of the image as displayed; the centre of the top-left pixel is (0, 0)",
    }


def _claim(output: Path, record: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse a folder that holds another run's results, or is a file."""
    if output.exists() and not output.is_dir():
        raise InputError(f"output={output} is a file; give a folder")
    earlier = output / "run.json"
    if earlier.exists() and not overwrite:
        try:
            before = json.loads(earlier.read_text(encoding="utf-8"))
        except ValueError:
            before = {}
        if any(before.get(key) != value for key, value in record.items()):
            raise InputError(
                f"{output} holds the results of another run (its run.json says which); "
                "give another output= or say overwrite=true"
            )
    output.mkdir(parents=True, exist_ok=True)


def _write_json(record: Mapping[str, Any], path: Path) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(record, indent=2, ensure_ascii=True) + "\n", encoding="utf-8")
    part.replace(path)
