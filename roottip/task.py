"""What a run does with each image: read, detect, measure, draw. What fails costs its own row."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from roottip import bands, images, pictures, places, scans, table
from roottip.detector import Detector
from roottip.errors import InputError
from roottip.images import Picture
from roottip.places import Place
from roottip.scale import rescaled
from roottip.scalebar import scale_bar
from roottip.scans import Scan
from roottip.windows import Image, Points, Scores

THUMBNAIL = 320
"""px of a thumbnail's longer side."""

SCAN_PICTURE = 6000
"""px of the longer side of a scan's overlay, where the scan is too large to be drawn whole."""

LIMIT_PIXELS = 25_000_000
"""An image larger than this has in proportion more time than the limit."""


@dataclass
class Result:
    """What came out of one image."""

    row: dict[str, object]
    """Of the images table: `table.IMAGE_COLUMNS` and `table.MEASURED`."""
    version: str = ""
    """Of the file (`places.version`); "" where there is none."""
    content: str = ""
    """Hash of the file's bytes."""
    points: Points = field(default_factory=lambda: np.empty((0, 2)))
    scores: Scores = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    overlay: bytes | None = None
    thumbnail: bytes | None = None


Results = Generator[Result, None, None]


@dataclass(frozen=True)
class Task:
    """What is done with each image of a run."""

    detector: Detector
    root: Place
    overlays: bool = True

    def __call__(self, names: Iterable[str]) -> Results:
        """Read, detect and draw; the next image is read meanwhile."""
        for name, (file, version, content) in images.in_order(self._read, names, 1):
            result = self._detect(name, file)
            result.version, result.content = version, content
            yield result

    def failure(self, name: str, reason: str) -> Result:
        """The result of an image that cannot be worked on."""
        try:
            version = places.version(places.join(self.root, name))
        except OSError:
            version = ""
        return Result(_row(name) | {"error": printable(reason)}, version)

    def limit(self, name: str, time_limit: float) -> float:
        """The seconds that an image has: `time_limit`, more where it is very large."""
        path = places.join(self.root, name)
        # nothing else: a pipe would never end
        local = not places.is_address(path) and Path(path).is_file()
        count = scans.pixels(path) if local else 0
        return time_limit * max(1.0, count / LIMIT_PIXELS)

    def _read(self, name: str) -> tuple[Picture | Scan | InputError, str, str]:
        path = places.join(self.root, name)
        version = content = ""
        try:
            # asked before reading: a file that changes meanwhile counts as changed
            version = places.version(path)
            most = getattr(self.detector, "most_pixels", bands.LARGE)
            scan = None if places.is_address(path) else scans.scan_of(path, most)
            if scan is not None:
                return scan, version, places.file_hash(path)
            data = places.read_file(path)
            content = places.content_hash(data)
            return images.decode(data, path), version, content
        except FileNotFoundError:
            return InputError(f"there is no file {path}"), version, content
        except InputError as error:
            return error, version, content
        # a name may hold what no path can, such as "\0"; an address's library raises its own
        except Exception as error:
            return InputError(f"{path} cannot be read: {error}"), version, content

    def _detect(self, name: str, file: Picture | Scan | InputError) -> Result:
        begun = time.perf_counter()
        result = Result(_row(name))
        if isinstance(file, InputError):
            result.row["error"] = printable(str(file))
        else:
            try:
                self._fill(result, name, file)
            # one image must not end a run: a detector may be anybody's, memory may run out
            except Exception as error:
                kind = "" if isinstance(error, InputError) else type(error).__name__
                reason = f"{kind}: {error}".strip(": ")
                result = Result(_row(name) | {"error": printable(f"{name}: {reason}")})
        result.row["seconds"] = round(time.perf_counter() - begun, 3)
        return result

    def _fill(self, result: Result, name: str, file: Picture | Scan) -> None:
        whole = file if isinstance(file, Scan) else file.image
        points, scores = self.detector.find(whole)
        # now, where it costs a row: tables that hold anything else cannot be measured
        table.check_points(table.points(name, points, scores), "what the detector found")
        result.points, result.scores = points, scores
        height, width = whole.shape[:2]
        image, on_image = whole, points
        if isinstance(image, Scan):
            image = bands.shrunk(image, SCAN_PICTURE)
            on_image = rescaled(points, np.array(image.shape[1::-1]) / (width, height))
        brightness, sharpness = light_and_focus(image)
        bar = scale_bar(image)
        drawn = pictures.overlay(image, table.points(name, on_image, scores))
        if self.overlays:
            result.overlay = pictures.encode(drawn, ".png")
        result.thumbnail = pictures.encode(pictures.shrink(drawn, THUMBNAIL), ".jpg")
        result.row |= {
            "status": "ok",
            "width": width,
            "height": height,
            "tips": len(points),
            "note": "; ".join(file.notes),
            "px_per_mm": file.px_per_mm,
            "scale_bar_px": None if bar is None else bar * width / image.shape[1],
            "brightness": brightness,
            "sharpness": sharpness,
        }


def light_and_focus(image: Image) -> tuple[float, float]:
    """Mean brightness (0 to 255), and how sharp an image is.

    Sharpness is the Laplacian's standard deviation over the image's own, at 1024 px: low
    where the image is out of focus, to be compared within a run only.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    grey = pictures.shrink(np.asarray(grey, dtype=np.uint8), 1024)
    spread = float(cv2.Laplacian(grey, cv2.CV_32F).std()) / (float(np.std(grey)) + 1)
    return round(float(np.mean(grey)), 2), round(spread, 4)


def printable(text: str) -> str:
    """One line that any file and terminal can hold; what cannot be shown is escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _row(name: str) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys((*table.IMAGE_COLUMNS, *table.MEASURED))
    return row | {"image": name, "status": "failed", "error": "", "note": ""}
