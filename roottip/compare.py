"""Run detectors on annotated images, or take anybody's table, and say how good each is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roottip import report, table
from roottip.batch import MOST_PICTURES, progress, provenance
from roottip.detector import Detector
from roottip.errors import InputError
from roottip.evaluation import (
    FALSE_ALARM,
    HIT,
    IGNORED,
    MISS,
    Evaluation,
    compare_f1,
    evaluate,
)
from roottip.images import read_ahead, read_image
from roottip.interchange import Dataset

FLOOR = 0.05
"""Points that score less are no candidates; the precision-recall curve ends there."""

_SHOWN = ["precision", "recall", "f1"]


def compare(
    dataset: Dataset, detectors: Mapping[str, Detector], tolerance: float
) -> tuple[dict[str, Evaluation], pd.DataFrame]:
    """Score detectors on the same annotated images.

    Parameters
    ----------
    dataset : Dataset
    detectors : mapping of str to Detector
        Each is scored at its own threshold.
    tolerance : float
        px

    Returns
    -------
    evaluations : dict of str to Evaluation
        ``summary`` has ``seconds`` an image (detection only) besides what `evaluate` gives.
    images : DataFrame
        The images table; an image that cannot be read stays in the score, its tips missed.
    """
    names = list(dataset.images["image"])
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in detectors}
    seconds = dict.fromkeys(detectors, 0.0)
    rows: list[dict[str, object]] = []
    for name, image in progress(read_ahead(dataset.root, names), len(names), "compare"):
        if isinstance(image, InputError):
            rows.append({"image": name, "status": "failed", "error": str(image)})
            continue
        for key, detector in detectors.items():
            begun = time.perf_counter()
            points, scores = detector.find(image, threshold=min(FLOOR, detector.threshold))
            seconds[key] += time.perf_counter() - begun
            found[key].append(table.points(name, points, scores))
        rows.append(
            {"image": name, "status": "ok", "width": image.shape[1], "height": image.shape[0]}
        )
    evaluations = {}
    for key, detector in detectors.items():
        result = evaluate(
            table.concat(found[key]), dataset.truth, dataset.groups, tolerance, detector.threshold
        )
        read = sum(row["status"] == "ok" for row in rows)
        result.summary["seconds"] = seconds[key] / max(read, 1)
        evaluations[key] = result
    return evaluations, table.images(rows)


def comparison(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row for each detector: ``detector, tolerance, precision, recall, f1``, then the rest."""
    frame = pd.DataFrame([{"detector": key, **e.summary} for key, e in evaluations.items()])
    first = ["detector", "tolerance", *_SHOWN]
    return frame[[*first, *(column for column in frame if column not in first)]]


def text(evaluations: Mapping[str, Evaluation]) -> str:
    """The comparison as a table for the terminal, each rate with its 95 % interval."""
    rows = []
    for key, e in evaluations.items():
        s = e.summary
        rates = {
            name: f"{s[name]:.3f} ({s[f'{name}_low']:.3f}–{s[f'{name}_high']:.3f})"
            for name in _SHOWN
        }
        counts = {"images": s["images"], "tips": s["truth"], "hits": s["hits"]}
        counts |= {"misses": s["misses"], "false alarms": s["false_alarms"]}
        distance = {"distance": f"{s['distance_median']:.1f} px"}
        rows.append({"detector": key, **rates, **counts, **distance})
    tolerance = next(iter(evaluations.values())).summary["tolerance"]
    shown: str = pd.DataFrame(rows).to_string(index=False).replace("nan", "–")
    note = (
        f"A find counts within {tolerance:g} px of a marked tip; in brackets 95 % intervals over "
        "groups;\ndistance is the median between a hit and its marked tip."
    )
    return "\n\n".join([shown, *differences(evaluations), note])


def differences(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """For each detector but the best by F1, how far it is behind the best."""
    best = max(evaluations, key=lambda key: np.nan_to_num(evaluations[key].summary["f1"]))
    sentences = []
    for key in evaluations.keys() - {best}:
        difference, low, high = compare_f1(evaluations[best], evaluations[key])
        sentences.append(
            f"F1 of {best} is {difference:.3f} above that of {key} "
            f"(95 % interval {low:.3f} to {high:.3f}, paired bootstrap over groups)."
        )
    return sorted(sentences)


def write(
    evaluations: Mapping[str, Evaluation],
    output: Path,
    settings: Mapping[str, Any],
    images: pd.DataFrame | None = None,
    root: Path | None = None,
) -> None:
    """Write ``comparison.csv, matches.csv, per_image.csv, report.html`` and, with images, more.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
    output : Path
    settings : mapping
        How it was made, for the report.
    images : DataFrame, optional
        The images table; written as ``images.csv``.
    root : Path, optional
        Where the images are; overlays of hits, misses and false alarms are drawn from them,
        one folder for each detector.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"output={output} is a file; give a folder")
    started = datetime.now(timezone.utc)
    summary = comparison(evaluations)
    table.write(summary, output / "comparison.csv")
    for name, part in (("matches", "matches"), ("per_image", "per_image")):
        frames = [
            getattr(e, part).assign(detector=key).pipe(_detector_first)
            for key, e in evaluations.items()
        ]
        table.write(pd.concat(frames, ignore_index=True), output / f"{name}.csv")
    if images is not None:
        table.write(images, output / "images.csv")
    pictures = [] if root is None else _draw(evaluations, root, output / "overlays")
    per_image = {f"Images, {key}": e.per_image for key, e in evaluations.items()}
    best = summary.loc[summary["f1"].fillna(0).idxmax()]
    report.write_report(
        output / "report.html",
        "Root tips: found and marked",
        f"{best['detector']} finds {best['recall']:.1%} of the marked tips, and "
        f"{best['precision']:.1%} of what it finds are tips "
        f"({best['images']} images, {best['truth']} tips, tolerance {best['tolerance']:g} px). "
        + " ".join(differences(evaluations)),
        {"Detectors": summary.T.reset_index().pipe(_with_header), **per_image},
        pictures,
        [HIT, MISS, FALSE_ALARM, IGNORED],
        {**settings, **provenance(started)},
    )


def _detector_first(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["detector", *(column for column in frame if column != "detector")]]


def _with_header(frame: pd.DataFrame) -> pd.DataFrame:
    """The first row becomes the header: a long row for each detector reads best as a column."""
    return frame.iloc[1:].set_axis(list(frame.iloc[0]), axis=1)


def _draw(evaluations: Mapping[str, Evaluation], root: Path, folder: Path) -> list[tuple[str, str]]:
    pictures: list[tuple[str, str]] = []
    for key, e in evaluations.items():
        outcomes = dict(list(e.matches.groupby("image")))
        counted = e.per_image.itertuples()
        for row in progress(counted, len(e.per_image), f"draw {key}"):
            try:
                image = read_image(root / row.image)
            except InputError:
                continue  # its row in images.csv says why
            drawn = report.overlay(image, outcomes.get(row.image, e.matches.iloc[:0]))
            report.write_image(drawn, folder / key / f"{row.image}.png")
            if len(pictures) < MOST_PICTURES:
                caption = (
                    f"{key}, {row.image}: {row.hits} hits, {row.misses} misses, "
                    f"{row.false_alarms} false alarms"
                )
                pictures.append((caption, report.thumbnail(drawn)))
    return pictures
