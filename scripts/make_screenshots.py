"""Photograph the pages that roottip writes, for the documentation.

python scripts/make_screenshots.py

Runs `detect` and `compare` on data/sample and opens their pages in Chromium, without a window;
needs ``chromium`` on the path.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from roottip.app import main as roottip

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
WIDTH = 1000


def photograph(page: Path, height: int, output: Path) -> None:
    """The upper part of a page as a JPEG."""
    with TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        words = "--headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=5000"
        words = [*words.split(), f"--window-size={WIDTH},{height}", f"--screenshot={shot}"]
        subprocess.run(
            ["chromium", *words, page.resolve().as_uri()], check=True, capture_output=True
        )
        picture = cv2.imread(str(shot))
    cv2.imwrite(str(output), picture, [cv2.IMWRITE_JPEG_QUALITY, 75])
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("docs"))
    output = parser.parse_args().output
    with TemporaryDirectory() as folder:
        run, report = Path(folder) / "results", Path(folder) / "report"
        assert roottip(["detect", f"input={SAMPLE / 'images'}", f"output={run}"]) == 0
        assert roottip(["compare", f"data={SAMPLE}", f"output={report}"]) == 0
        photograph(run / "report.html", 700, output / "run.jpg")
        photograph(report / "report.html", 1180, output / "comparison.jpg")


if __name__ == "__main__":
    main()
