"""From what Pillow decodes to pixels as displayed: 8 bit, RGB or grey, upright, on white."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageOps
from PIL import Image as PillowImage
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    EXTRASAMPLES,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    RESOLUTION_UNIT,
    SAMPLEFORMAT,
    X_RESOLUTION,
    Y_RESOLUTION,
    TiffImageFile,
)

from roottip.errors import InputError
from roottip.places import Place
from roottip.windows import Image

FORMAT_OF = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif", ".jpe"), "JPEG"),
    ".png": "PNG",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".bmp": "BMP",
    ".webp": "WEBP",
}
"""What Pillow calls the images that are read, by the endings of their names."""

SUFFIXES = tuple(FORMAT_OF)
KINDS = "JPEG, PNG, TIFF, BMP and WebP"
"""The same in a sentence."""

_PART = 512  # rows


def displayed(picture: PillowImage.Image, data: bytes) -> Image:
    """The image as displayed.

    Parameters
    ----------
    picture : PIL image
        Opened, not loaded.
    data : bytes
        The file that it was opened from.

    Returns
    -------
    (H, W) or (H, W, 3) uint8

    Raises
    ------
    InputError
        It is whole, but of a kind that is not read.
    Exception
        Whatever decoders raise on damaged data.
    """
    deep = picture.mode.startswith(("RGB", "LA")) and _is_deep(picture)
    alpha = has_alpha(picture)
    picture.load()  # raises on a file cut short, unlike cv2.imread
    if deep and _tag(picture, PLANAR_CONFIGURATION) == 2:
        raise InputError("it has 16 bits a channel in separate planes; save it with RGB together")
    if deep:
        values = _deep_colour(data, alpha)
        if picture.format == "PNG":  # TIFF is turned already
            values = _turned(values, picture.getexif().get(ExifTags.Base.Orientation, 1))
        return _stretched(values)
    ImageOps.exif_transpose(picture, in_place=True)
    return _as_displayed(picture)


def header(path: Path) -> PillowImage.Image:
    """A JPEG, PNG or TIFF, opened without Pillow's limit on pixels, which is for what is loaded.

    Raises
    ------
    InputError
        It is none.
    """
    for kind in (JpegImageFile, PngImageFile, TiffImageFile):
        with contextlib.suppress(SyntaxError):
            return kind(path)
    raise InputError(f"{path} is no JPEG, PNG or TIFF")


def orientation(picture: PillowImage.Image, path: Path) -> int:
    """How an image is to be turned, by EXIF's numbers, as `displayed` does; decodes no pixel.

    What is told by XMP alone counts where it stands before the pixels.
    """
    if isinstance(picture, PngImageFile) and "exif" not in picture.info:
        with path.open("rb") as file:
            behind = _exif_of_png(file)
        if behind:
            picture.info["exif"] = behind
    # of the base class: a PNG's own would decode the pixels to look behind them
    exif = PillowImage.Image.getexif(picture)
    return int(exif.get(ExifTags.Base.Orientation, 1))


def _exif_of_png(file: BinaryIO) -> bytes:
    """The chunk ``eXIf``, which may stand behind the pixels; nothing where there is none."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return b"Exif\0\0" + file.read(length)
        file.seek(length + 4, os.SEEK_CUR)  # its checksum too
    return b""


def notes(picture: PillowImage.Image, path: Place) -> tuple[str, ...]:
    """What makes results of an image doubtful: frames, another format than named, oblong pixels."""
    said = []
    frames = getattr(picture, "n_frames", 1)
    # MPO: what some cameras write as JPEG, with a preview behind it
    if frames > 1 and picture.format != "MPO":
        said.append(f"first of {frames} frames")
    # by the name only: the ending of an address may be anything
    ending = PurePath(str(path)).suffix.lower()
    if picture.format not in (FORMAT_OF.get(ending, picture.format), "MPO"):
        said.append(f"a {picture.format} named {ending}")
    dpi = _dpi(picture)
    if dpi and _differ(*dpi):
        said.append(f"not square by its resolution, {dpi[0]:.0f} x {dpi[1]:.0f} dpi")
    return tuple(said)


def has_alpha(picture: PillowImage.Image) -> bool:
    """Whether a fourth channel is alpha; in a TIFF it may be anything, such as infrared."""
    return not isinstance(picture, TiffImageFile) or _tag(picture, EXTRASAMPLES) in (1, 2)


def px_per_mm(picture: PillowImage.Image) -> float | None:
    """By the file's resolution tag; None also where pixels are not square by it."""
    dpi = _dpi(picture)
    return None if dpi is None or _differ(*dpi) else dpi[0] / 25.4


def _dpi(picture: PillowImage.Image) -> tuple[float, float] | None:
    """Across and down, as the file says; where it does not Pillow says 72 or 1 at times."""
    alone = False
    if isinstance(picture, TiffImageFile):
        told = _tag(picture, X_RESOLUTION) and picture.tag_v2.get(RESOLUTION_UNIT, 2) in (2, 3)
        alone = not _tag(picture, Y_RESOLUTION)
    elif picture.format in ("JPEG", "MPO"):
        exif = picture.getexif()
        told = picture.info.get("jfif_unit") in (1, 2) or (
            X_RESOLUTION in exif and exif.get(RESOLUTION_UNIT) in (2, 3)
        )
    else:
        told = True
    if not told:
        return None
    try:
        across, down = map(float, picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if alone:
        down = across
    return (across, down) if 0 < across < np.inf and 0 < down < np.inf else None


def _differ(across: float, down: float) -> bool:
    """By more than formats round."""
    return abs(across - down) > 0.01 * max(across, down)


def _tag(picture: PillowImage.Image, number: int) -> Any:
    """What a TIFF says, the first of several values; None of other files."""
    said = picture.tag_v2.get(number) if isinstance(picture, TiffImageFile) else None
    return said[0] if isinstance(said, tuple) and said else said


def _is_deep(picture: PillowImage.Image) -> bool:
    """Whether a channel has 16 bits; of the planes of a TIFF Pillow's tiles do not say so."""
    return ";16" in str(getattr(picture, "tile", "")) or _tag(picture, BITSPERSAMPLE) == 16


def _as_displayed(picture: PillowImage.Image) -> Image:
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture)
        if _tag(picture, BITSPERSAMPLE) == 32 and _tag(picture, SAMPLEFORMAT) in (None, 1):
            values = values.view(np.uint32)  # Pillow has no such mode
        shown = _stretched(values)
        # white may be 0; Pillow turns that round in files of 8 bits only
        return 255 - shown if _tag(picture, PHOTOMETRIC_INTERPRETATION) == 0 else shown
    mode = "L" if picture.mode in ("1", "L", "LA") else "RGB"
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = PillowImage.alpha_composite(PillowImage.new("RGBA", rgba.size, "white"), rgba)
    plain = picture if picture.mode == mode else picture.convert(mode)
    image = np.empty((plain.height, plain.width, *(() if mode == "L" else (3,))), np.uint8)
    # in parts: Pillow hands pixels on by way of two copies, which of a large image are large
    for top in range(0, plain.height, _PART):
        low = min(top + _PART, plain.height)
        image[top:low] = np.asarray(plain.crop((0, top, plain.width, low)))
    if mode == "L" and (_tag(picture, BITSPERSAMPLE), _tag(picture, SAMPLEFORMAT)) == (8, 2):
        image ^= 128  # with a sign; Pillow, which reads no such colours, takes it for a bit
    return image


def _deep_colour(data: bytes, alpha: bool) -> NDArray[np.generic]:
    """16 bits a channel: Pillow keeps the upper 8 only, which blackens 12-bit cameras' files."""
    values = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise InputError("it has 16 bits a channel in a form roottip cannot read")
    if alpha and values.shape[2] == 4:
        opaque = values[..., 3:].astype(np.float64) / 65535
        white = float(values[..., :3].max())
        values = values[..., :3] * opaque + white * (1 - opaque)
    return np.asarray(values[..., 2::-1])


def _turned(values: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """As EXIF's orientation says that an image is displayed."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def levels(parts: Iterable[NDArray[Any]]) -> Image:
    """What becomes of each value of 16 bits, ``(65536,)``, in an image that comes in parts.

    From the 0.1th to the 99.9th percentile (as `numpy.percentile`) of what there is to 0 to 255.
    """
    counts = np.zeros(2**16, dtype=np.int64)
    for part in parts:
        counts += np.bincount(part.ravel(), minlength=2**16)
    values = np.flatnonzero(counts)
    upto = np.cumsum(counts[values])
    ranks = np.array([0.001, 0.999]) * (upto[-1] - 1)
    share = ranks - np.floor(ranks)
    below, above = (
        values[np.searchsorted(upto, rank, "right")] for rank in (np.floor(ranks), np.ceil(ranks))
    )
    step = above - below
    # numpy interpolates from the nearer end
    low, high = np.where(share < 0.5, below + step * share, above - step * (1 - share))
    if high <= low:
        low, high = values[[0, -1]]
    return _from_to(np.arange(2**16), low, high)


def _from_to(values: NDArray[Any], low: float, high: float) -> Image:
    """Grey levels: `low` becomes 0 and `high` 255; all 0 where the two are one."""
    if not high > low:
        return np.zeros(values.shape, dtype=np.uint8)
    scaled = np.nan_to_num((values - low) * (255 / (high - low)))
    return np.ascontiguousarray(np.clip(np.round(scaled), 0, 255), dtype=np.uint8)


def _stretched(values: NDArray[np.generic]) -> Image:
    if values.dtype == np.uint16:  # by how many there are of each value: a twentieth of the time
        parts = (values[top : top + _PART] for top in range(0, len(values), _PART))
        return np.ascontiguousarray(levels(parts)[values])
    deep = np.array(values, dtype=np.float64)
    deep[~np.isfinite(deep)] = np.nan  # a division by 0 on the way here has no brightness
    if np.isnan(deep).all():
        raise InputError("none of its pixels has a finite value")
    low, high = np.nanpercentile(deep, [0.1, 99.9])
    if high <= low:
        low, high = np.nanmin(deep), np.nanmax(deep)
    return _from_to(deep, low, high)
