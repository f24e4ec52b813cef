"""Run detectors on annotated images, or take anybody's table, and say how good each is."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from roottip import table
from roottip.detector import Detector
from roottip.errors import InputError, check_number, counted
from roottip.evaluation import Evaluation, evaluate
from roottip.images import read_ahead
from roottip.interchange import Dataset, of_split, read_listed, read_truth
from roottip.meter import Meter, progress
from roottip.page import write_page
from roottip.places import check_own
from roottip.provenance import identity
from roottip.verdict import Verdict

FLOOR = 0.01
"""Points that score less are no candidates; the precision-recall curve ends there."""

_SHOWN = ["precision", "recall", "f1"]
_ON_PAGE = {
    "by_cause": "By cause: which tips are hit, and what false alarms are",
    "by_tolerance": "By tolerance",
    "differences": "Differences, with 95 % intervals and p of swapping the two",
}
_STACKED = ["matches", "per_image", "by_tolerance", "by_cause", "curve", "candidates"]


def compare(
    dataset: Dataset,
    detectors: Mapping[str, Detector],
    tolerance: float,
    external: Mapping[str, pd.DataFrame] | None = None,
) -> tuple[dict[str, Evaluation], pd.DataFrame]:
    """Score detectors on the same annotated images.

    Parameters
    ----------
    dataset : Dataset
    detectors : mapping of str to Detector
        Each is scored at its own threshold.
    tolerance : float
        px
    external : mapping of str to DataFrame, optional
        Points tables of other programs, further contenders; all their points count.

    Returns
    -------
    evaluations : dict of str to Evaluation
        ``summary`` has besides what `evaluate` gives ``seconds`` an image (detection only)
        and ``memory`` (MiB, as in `Meter`: the most that one image's detection needed besides
        the image and what was loaded), NaN for points of other programs; and ``weights``,
        what tells them from all others, as `provenance.identity` gives it.
    images : DataFrame
        The images table, with ``sha256`` of each file read; an image that cannot be read stays
        in the score, its tips missed.

    Raises
    ------
    InputError
        Two contenders have one name, the tolerance is out of its range, or what is found or marked
        is not as `evaluate` wants it.
    """
    others = external or {}
    for key in others:
        if key in detectors:
            raise InputError(f"{key} is a detector's name; give its table another file name")
    check_number("tolerance", tolerance, 0, table.FARTHEST, above=True)  # before minutes of work
    names = list(dataset.images["image"])
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in detectors}
    meters = {name: Meter() for name in detectors}
    rows: list[dict[str, object]] = []
    read = read_ahead(dataset.root, names) if detectors else ()
    for name, got in progress(read, len(names), "compare"):
        if isinstance(got, InputError):
            rows.append({"image": name, "status": "failed", "error": str(got)})
            continue
        image, sha256 = got
        for key, detector in detectors.items():
            with meters[key]:
                points, scores = detector.find(image, threshold=min(FLOOR, detector.threshold))
            found[key].append(table.points(name, points, scores))
        rows.append(
            {
                "image": name,
                "status": "ok",
                "width": image.shape[1],
                "height": image.shape[0],
                "sha256": sha256,
            }
        )
    images = table.images(rows)
    images["sha256"] = table.texts(row.get("sha256") for row in rows)
    listed = dataset.images.reset_index(drop=True)
    for side in ("width", "height"):
        of_image = dict(zip(images["image"], images[side], strict=True))
        sizes = [of_image.get(name, pd.NA) for name in names]
        seen = pd.Series(sizes, dtype="Float64")
        if side in listed:  # of what cannot be read, what the dataset says
            seen = seen.fillna(pd.to_numeric(listed[side], errors="coerce").astype("Float64"))
        listed[side] = seen

    evaluations = {}
    for key, detector in detectors.items():
        evaluations[key] = evaluate(
            table.concat(found[key]),
            dataset.truth,
            listed,
            tolerance,
            detector.threshold,
            getattr(detector, "threshold_from", "given"),
            dataset.distractors,
        )
    for key, points in others.items():
        evaluations[key] = evaluate(
            points, dataset.truth, listed, tolerance, distractors=dataset.distractors
        )
    for key, result in evaluations.items():
        meter = meters.get(key, Meter())
        seconds = meter.seconds / meter.entries if meter.entries else float("nan")
        result.summary.update(seconds=seconds, memory=meter.memory)
        result.summary["weights"] = identity(detectors[key]) if key in detectors else None
    return evaluations, images


def read_scored(
    found: Sequence[Path], truth: Path, images: Path | None = None, split: str | None = None
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.DataFrame]:
    """Read what is scored, and what by.

    Parameters
    ----------
    found : sequence of path
        Tables of found points.
    truth : path
        As `interchange.read_truth` takes it.
    images : path, optional
        The images table. Where not given, the images are those with points.
    split : str, optional
        Of the images; all where not given.

    Returns
    -------
    found : dict of str to DataFrame
        As `read_found` gives it.
    truth, images : DataFrame

    Raises
    ------
    InputError
        A table cannot be used, or what is asked for needs the images table.
    """
    if images is not None:
        everything, marks = read_listed(images, truth)
        remark_twice(marks, truth)
        listed = of_split(everything, split, str(images))
        marks = marks[marks["image"].isin(listed["image"])]
        return read_found(found, list(listed["image"]), everything["image"]), marks, listed
    if split is not None:
        raise InputError("split= needs images=, the table that says which image is in it")
    if truth.is_dir() or truth.suffix.lower() == ".rsml":
        raise InputError(f"truth={truth}: RSML needs images=, a table of the images' names")
    marks = read_truth(truth)
    remark_twice(marks, truth)
    tables = read_found(found)
    for path, points in zip(found, tables.values(), strict=True):
        if len(points) and len(marks) and not points["image"].isin(marks["image"]).any():
            raise InputError(
                f"{path} and {truth} have no image in common, such as {points['image'].iloc[0]!r} "
                f"and {marks['image'].iloc[0]!r}; image names must be the same in all tables "
                "(where they are of other images, give images=, the table of all)"
            )
    pointed = [points["image"] for points in tables.values()]
    names = table.texts(sorted(set(marks["image"]).union(*pointed)))
    listed = pd.DataFrame({"image": names})
    return tables, marks, listed.assign(group=table.groups_of(listed, marks))


def read_found(
    paths: Iterable[Path],
    images: Sequence[str] | None = None,
    known: Iterable[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Read tables of found points, each named by its file without the ending.

    A line on stderr says how many points a table has twice.

    Parameters
    ----------
    paths : iterable of path
    images : sequence of str, optional
        The images scored; points in others are left out.
    known : iterable of str, optional
        All images there are.

    Raises
    ------
    InputError
        A table is malformed or has points in an unknown image, or two have the same name.
    """
    found: dict[str, pd.DataFrame] = {}
    known = None if known is None else list(known)
    for path in paths:
        if path.stem in found:
            raise InputError(
                f"two tables are called {path.stem}; rename one, the name is its label"
            )
        points = table.check_points(table.read(path), str(path))
        if known is not None:
            table.check_listed(points, known, str(path), "the images table")
        remark_twice(points, path)
        found[path.stem] = points if images is None else points[points["image"].isin(images)]
    return found


def remark_twice(points: pd.DataFrame, path: Path) -> None:
    """Of two finds in one place one is a false alarm, of two marks one a miss."""
    twice = int(points.duplicated(["image", "x", "y"]).sum())
    if twice:
        print(f"{path} has {counted(twice, 'point')} twice", file=sys.stderr)


def tables(evaluations: Mapping[str, Evaluation], verdict: Verdict) -> dict[str, pd.DataFrame]:
    """Every number there is, as tables whose first column is ``detector``.

    Returns
    -------
    dict of str to DataFrame
        ``comparison`` (a row for each detector), ``differences`` (the verdict's) and, as in
        `Evaluation`, ``matches, per_image, by_tolerance, by_cause, curve, candidates``.
    """
    stacked = {
        part: pd.concat(
            [_labelled(getattr(e, part), key) for key, e in evaluations.items()],
            ignore_index=True,
        )
        for part in _STACKED
    }
    return {
        "comparison": comparison(evaluations),
        "differences": verdict.differences,
        **stacked,
    }


def comparison(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row for each detector: ``detector, tolerance, precision, recall, f1``, then the rest."""
    frame = pd.DataFrame([{"detector": key, **e.summary} for key, e in evaluations.items()])
    first = ["detector", "tolerance", *_SHOWN]
    return frame[[*first, *(column for column in frame if column not in first)]]


def text(evaluations: Mapping[str, Evaluation], verdict: Verdict) -> str:
    """The comparison for the terminal: a table, each rate with its 95 % interval; the verdict."""
    rows = []
    for key, e in evaluations.items():
        s = e.summary
        shown = {
            name: _said(s[name]) + _between(s[f"{name}_low"], s[f"{name}_high"]) for name in _SHOWN
        }
        counts = {"images": s["images"], "tips": s["truth"], "hits": s["hits"]}
        counts |= {"misses": s["misses"], "false alarms": s["false_alarms"]}
        distance = {"distance": f"{_said(s['distance_median'], 1)} px"}
        origin = {"threshold": f"{s['threshold']:g} ({s['threshold_from']})"}
        rows.append({"detector": key, **shown, **counts, **distance, **origin})
    tolerance = next(iter(evaluations.values())).summary["tolerance"]
    printed = pd.DataFrame(rows).to_string(index=False)
    note = (
        f"A find counts within {tolerance:g} px of a marked tip; in brackets 95 % intervals over "
        "groups;\ndistance is the median between a hit and its marked tip."
    )
    return "\n\n".join([printed, "\n".join(verdict.sentences), note])


def write(
    evaluations: Mapping[str, Evaluation],
    verdict: Verdict,
    output: Path,
    settings: Mapping[str, Any],
    images: pd.DataFrame | None = None,
    root: Path | None = None,
    truth: pd.DataFrame | None = None,
) -> None:
    """Write each of `tables` as NAME.csv, ``report.html`` and, with images, more.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
    verdict : Verdict
        Of the same.
    output : Path
    settings : mapping
        How it was made, and `provenance`, for the report.
    images : DataFrame, optional
        The images table; written as ``images.csv``.
    root : Path, optional
        Where the images are, for the pictures of the report.
    truth : DataFrame, optional
        The marked tips; those pictures also show which of them are ignored.

    Raises
    ------
    InputError
        As `check_free` does.
    """
    check_free(output)
    written = tables(evaluations, verdict)
    for name, frame in written.items():
        table.write(frame, output / f"{name}.csv")
    hashed = {}
    if images is not None:
        table.write(images, output / "images.csv")
        hashed = {"images_sha256": digest(images[["image", "sha256"]])}
    write_page(
        output / "report.html",
        [*verdict.sentences, *_unread(images)],
        evaluations,
        {heading: written[name] for name, heading in _ON_PAGE.items() if len(written[name])},
        {**settings, **hashed},
        root,
        truth,
    )


def check_free(output: Path) -> None:
    """Refuse a folder that holds something else than a comparison, which may be written anew.

    Raises
    ------
    InputError
        As `check_own` does, of a file that a comparison would replace.
    """
    replaced = [*_STACKED, "differences", "images"]
    check_own(output, "comparison.csv", [*(f"{name}.csv" for name in replaced), "report.html"])


def _between(low: float, high: float) -> str:
    return "" if math.isnan(low) else f" ({_said(low)}–{_said(high)})"


def _said(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def digest(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's content: the same data is scored where it is the same."""
    content = frame.to_csv(index=False).encode("utf-8", "surrogateescape")
    return hashlib.sha256(content).hexdigest()


def _labelled(frame: pd.DataFrame, detector: str) -> pd.DataFrame:
    return frame.assign(detector=detector)[["detector", *frame]]


def _unread(images: pd.DataFrame | None) -> list[str]:
    """A sentence about images that could not be read, if there are any."""
    count = 0 if images is None else int((images["status"] == "failed").sum())
    if images is None or count == 0:
        return []
    return [f"Could not be read: {count} of {len(images)} images, whose tips count as missed."]
