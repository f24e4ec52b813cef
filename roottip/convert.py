"""Points from one program to another: what is there, what is wanted, and the files between.

The formats are in `roottip.formats`; a dataset folder, which `compare` and `train` read, is one
more.
"""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip import table
from roottip.errors import InputError, counted
from roottip.formats import FORMATS
from roottip.formats.gallery import Gallery, folder_files, read_gallery
from roottip.formats.marks import Marks, image_table
from roottip.interchange import DISTRACTORS, TIPS, read_dataset
from roottip.places import check_folder, content_hash, write_whole

DATASET = "dataset"
NAMES = (*FORMATS, DATASET)

FAR = 0.05
"""Share of an image's side that a visible tip may lie outside; one farther out is a mistake."""

_ROUNDED = 1e-3
"""px that formats may round a place by."""


def convert(
    source: str | Path,
    output: str | Path,
    images: str | Path | None = None,
    input_format: str | None = None,
    output_format: str | None = None,
    label: str | None = None,
    val: float = 0.2,
    overwrite: bool = False,
) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Read points in one format and write them in another.

    Parameters
    ----------
    source : path
        A file or folder.
    output : path
        The same.
    images : path, optional
        The images, or the table that lists them: gives their names where a file says only half,
        and their sizes. A table's images are all written, those without a tip too; of a folder
        those that `source` names.
    input_format, output_format : str, optional
        Of `NAMES`; found from the paths and what is there if not given.
    label : str, optional
        Which marks are tips, where they have labels.
    val : float
        Share of the groups whose images a new dataset folder puts in split ``val``.
    overwrite : bool
        Replace what is at `output`.

    Returns
    -------
    name : str
        The format written.
    points : DataFrame
        As read; with the groups of their images where the format written has no table for those.
    images : DataFrame
        ``image, width, height`` of every image, and what a table of images says besides.

    Raises
    ------
    InputError
        One cannot tell the formats, something is malformed, missing or does not fit, a visible
        tip is far outside its image, or `output` is there already.
    """
    source, output = Path(source), Path(output)
    images = None if images is None else Path(images)
    wanted = output_name(output, output_format)
    found = input_name(source, input_format)
    _check_free(output, wanted, overwrite, found == DATASET)
    if images is None and found == DATASET:
        images = source / "images.csv"
    if images is None and wanted == DATASET and (output / "images").is_dir():
        images = output / "images"
    gallery = Gallery() if images is None else read_gallery(images)
    marks = (
        _read_dataset(source) if found == DATASET else FORMATS[found].read(source, gallery, label)
    )
    known = _with_sizes(marks, gallery, source)
    _check_inside(marks.points, known, source)
    if wanted == DATASET and marks.untouched:
        raise InputError(
            f"nobody has annotated {source}: it holds roottip's own finds, which are no truth to "
            "train on or to judge by"
        )
    if wanted == DATASET:
        distractors = source / DISTRACTORS if found == DATASET else None
        _write_dataset(marks.points, known, gallery, output, val, overwrite, distractors)
        return wanted, marks.points, known
    points = _with_groups(marks.points, known)
    _put(FORMATS[wanted].write(points, known), output, wanted)
    return wanted, points, known


def remarks(points: pd.DataFrame, images: pd.DataFrame, name: str) -> list[str]:
    """What who converted points to a format should know."""
    said = []
    lost = left_out(points, images, name)
    if lost:
        said.append(f"left out, as {name} has no place for it: {', '.join(lost)}")
    if name == DATASET and "score" in points:
        said.append(
            "these points have scores, as finds have: truth to learn from and to judge by is only "
            "what somebody went over"
        )
    if name == DATASET and "split" in table.with_splits(images):
        said.append("splits are those that the images table says; val= divides nothing")
    outside = points[_outside(points, images)]
    if len(outside):
        said.append(
            f"{counted(len(outside), 'tip')} outside the image, such as {_place(outside, images)}"
        )
    return said


def advice(folder: Path) -> list[str]:
    """The commands that a dataset folder is for, by what splits its images are in."""
    splits = set(table.with_splits(table.read(folder / "images.csv")).get("split", ()))
    ways = {
        "train": f"roottip train data={folder} output=… start=shipped trainer=finetune",
        "val": f"roottip compare data={folder} split=val 'detectors=[cnn,…/model.onnx]'",
    }
    return [way for split, way in ways.items() if split in splits]


def left_out(points: pd.DataFrame, images: pd.DataFrame, name: str) -> list[str]:
    """The columns with something in them that a format does not keep."""
    keeps = None if name == DATASET else FORMATS[name].KEEPS
    if keeps is None:
        return []
    columns = points.drop(columns=["image", "x", "y", *keeps], errors="ignore")
    lost = [str(key) for key in columns if not (key == "ignore" and not columns[key].any())]
    bare = images[~images["image"].isin(points["image"])].reset_index(drop=True)
    grouped = "group" in images and "group" in keeps
    if grouped and (table.groups_of(bare, points) != bare["image"]).any():
        lost.append("group of images without tips")
    said = [key for key in ("split", "px_per_mm") if key in images]
    return [*lost, *(key for key in said if not (images[key].isna() | (images[key] == "")).all())]


def input_name(path: Path, given: str | None) -> str:
    """The format of what is at `path`.

    Raises
    ------
    InputError
        Nothing is there, or it looks like none or several.
    """
    if not path.exists():
        raise InputError(f"there is no file or folder {path}")
    if given is not None:
        return _known(given, "input_format")
    tests: dict[str, Callable[[Path], bool]] = {n: f.recognises for n, f in FORMATS.items()}
    if path.is_dir() and (path / "images.csv").is_file():
        return DATASET
    return _only(
        [name for name, test in tests.items() if test(path)], f"input={path}", "input_format"
    )


def output_name(path: Path, given: str | None) -> str:
    """The format that an output's ending means; a folder is a dataset.

    Raises
    ------
    InputError
        It means none, or several.
    """
    if given is not None:
        return _known(given, "output_format")
    ending = path.suffix.lower()
    if not ending or path.is_dir():
        return DATASET
    fits = [name for name, form in FORMATS.items() if ending in form.ENDINGS]
    # .csv is roottip's own table, and .txt no folder: those formats must be asked for
    fits = [name for name in fits if name not in ("napari", "yolo")]
    return _only(fits, f"output={path}", "output_format")


def _known(name: str, key: str) -> str:
    if name not in NAMES:
        raise InputError(f"{key}={name}: there is no such format; there is {', '.join(NAMES)}")
    return name


def _only(fits: list[str], what: str, key: str) -> str:
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise InputError(f"{what} could be {' or '.join(fits)}; say which with {key}=")
    raise InputError(f"{what} is like no format; say which with {key}=, of {', '.join(NAMES)}")


def _check_free(output: Path, wanted: str, overwrite: bool, whole: bool) -> None:
    if wanted == DATASET:
        check_folder(output)
        written = [TIPS, "images.csv", *([DISTRACTORS] if whole else [])]
        taken = any((output / name).exists() for name in written)
    elif output.is_dir():
        if FORMATS[wanted].SINGLE:
            raise InputError(f"output={output} is a folder; {wanted} is one file, give its name")
        taken = any(output.iterdir())
    elif output.suffix.lower() in FORMATS[wanted].ENDINGS[1:]:
        raise InputError(
            f"output={output}: {wanted} is written as {FORMATS[wanted].ENDINGS[0]}, not "
            f"{output.suffix}"
        )
    else:
        check_folder(output.parent)
        taken = output.exists()
    if taken and not overwrite:
        raise InputError(f"{output} is there already; give another output= or say overwrite=true")


def _with_sizes(marks: Marks, gallery: Gallery, source: Path) -> pd.DataFrame:
    """Every image with its size: of the file, of the gallery's table, of the images' headers."""
    said = marks.images.set_index("image")
    names = list(
        dict.fromkeys([*said.index, *(gallery.names if gallery.frame is not None else [])])
    )
    sizes = {}
    for name in names:
        size = gallery.size(name)
        row = said.loc[name] if name in said.index else None
        if row is not None and bool(row.notna().all()):
            own = int(row["width"]), int(row["height"])
            if size is not None and size != own:
                raise InputError(
                    f"{source} says that {name} is {own[0]} x {own[1]} px, but in "
                    f"{gallery.source} it is {size[0]} x {size[1]}; give the images that were "
                    "annotated"
                )
            size = own
        sizes[name] = size
    known = image_table(sizes)
    if gallery.frame is None:
        return known
    # by rows: pandas finds no names that are not UTF-8
    row_of = {name: row for row, name in enumerate(gallery.frame["image"])}
    rows = [row_of.get(name, -1) for name in known["image"]]
    more = gallery.frame.drop(columns=["image", "width", "height"], errors="ignore")
    more = more.reset_index(drop=True).reindex(rows)
    return pd.concat([known, more.set_axis(known.index)], axis=1)


def _check_inside(points: pd.DataFrame, images: pd.DataFrame, source: Path) -> None:
    # ends of roots that leave the image, which are ignored, may be anywhere
    far = points[_outside(points, images, FAR) & (points["ignore"] == 0)]
    if len(far):
        raise InputError(
            f"{source} has {counted(len(far), 'visible tip')} far outside the image, such as "
            f"{_place(far, images)}; give the images that were annotated, and positions in the "
            "format's own unit"
        )


def _outside(points: pd.DataFrame, images: pd.DataFrame, share: float = 0.0) -> NDArray[np.bool_]:
    """Which points are outside their image by more than a share of its side; none of no size."""
    row_of = {name: row for row, name in enumerate(images["image"])}
    rows = np.array([row_of[name] for name in points["image"]], dtype=np.intp)
    sides = images[["width", "height"]].to_numpy(np.float64, na_value=np.nan)[rows]
    xy = points[["x", "y"]].to_numpy(np.float64)
    beyond = np.maximum(-0.5 - xy, xy + 0.5 - sides)
    return np.asarray((beyond > share * sides + _ROUNDED).any(axis=1))


def _place(points: pd.DataFrame, images: pd.DataFrame) -> str:
    """Where the first of them is."""
    image, x, y = points[["image", "x", "y"]].iloc[0]
    width, height = images.loc[images["image"] == image, ["width", "height"]].iloc[0]
    return f"{x:g}, {y:g} on {image} ({width} x {height} px)"


def _put(files: dict[str, bytes], output: Path, wanted: str) -> None:
    """Write one file, or a folder of them; each appears whole or not at all."""
    endings = FORMATS[wanted].ENDINGS
    single = "" in files or (len(files) == 1 and output.suffix.lower() in endings)
    if single:
        (content,) = files.values()
        write_whole(output, content)
        return
    if output.suffix.lower() in endings:
        raise InputError(
            f"output={output} is one file, but there are {len(files)} images and each has its "
            "own; give a folder, and output_format="
        )
    for file, inside in folder_files(output, endings):
        read = inside.parts[0] == "labels" if wanted == "yolo" else FORMATS[wanted].recognises(file)
        if read and str(inside) not in files:
            raise InputError(
                f"{file} would stay, and be read with what is written; remove it or give another "
                "output="
            )
    for name, content in files.items():
        write_whole(output / name, content)


def _read_dataset(folder: Path) -> Marks:
    dataset = read_dataset(folder)
    return Marks(dataset.truth, image_table(dict.fromkeys(dataset.images["image"])))


def _write_dataset(
    points: pd.DataFrame,
    images: pd.DataFrame,
    gallery: Gallery,
    output: Path,
    val: float,
    overwrite: bool,
    distractors: Path | None,
) -> None:
    """``images/`` (copied, if they are not there), ``tips.csv`` and ``images.csv``."""
    if not 0 <= val < 1:
        raise InputError(f"val={val}: a share from 0 to below 1")
    if gallery.root is None:
        raise InputError(
            f"a dataset folder holds the images too; give images=, where they are, or put them "
            f"into {output / 'images'}"
        )
    for name in images["image"]:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InputError(f"{name} lies outside {gallery.root}; give images= that hold it")
        there, here = gallery.root / name, output / "images" / name
        if not there.is_file():
            raise InputError(
                f"there is no image {there}, which is marked; give images=, the folder they are in"
            )
        if here.exists() and (here.samefile(there) or filecmp.cmp(here, there, shallow=False)):
            continue
        if here.exists() and not overwrite:
            raise InputError(
                f"{here} is another image than {there}; give another output= or say overwrite=true"
            )
        write_whole(here, there)
    (output / "images.csv").unlink(missing_ok=True)
    listed = images.assign(group=table.groups_of(images, points))
    listed["split"] = _splits(listed, val)
    first = ["image", "split", "width", "height", "group"]
    listed = listed[[*first, *(column for column in listed if column not in first)]]
    if distractors is not None and distractors.is_file():
        write_whole(output / DISTRACTORS, distractors.read_bytes())
    elif overwrite:  # of what is replaced
        (output / DISTRACTORS).unlink(missing_ok=True)
    table.write(points, output / TIPS)
    table.write(listed, output / "images.csv")  # last: it says that the dataset is whole


def _with_groups(points: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The points with the groups that the images table says, where these are not each its own."""
    if "group" not in images:
        return points
    pairs = zip(images["image"], table.groups_of(images, points), strict=True)
    shared = {image: group for image, group in pairs if group != image}
    if not shared:
        return points
    return points.assign(group=[shared.get(image) for image in points["image"]])


def _splits(images: pd.DataFrame, val: float) -> pd.Series:
    """Of the images table, else by group.

    The order in which groups go to ``val`` is that of their names' hashes, so that it does not
    hang on the order of the images, and most stay where they are when images come in.
    """
    if "split" in table.with_splits(images):  # else nothing is told
        return images["split"].fillna("train")
    groups = sorted(images["group"].unique(), key=_shuffled)
    count = min(max(1, round(val * len(groups))), len(groups) - 1) if val else 0
    return images["group"].isin(groups[:count]).map({True: "val", False: "train"})


def _shuffled(name: str) -> str:
    return content_hash(name.encode("utf-8", "surrogateescape"))
