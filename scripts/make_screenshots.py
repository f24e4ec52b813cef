"""Photograph the pages that roottip writes, for the documentation.

python scripts/make_screenshots.py

Runs `detect` and `compare` on data/sample, opens their pages in Chromium, without a window, and
writes OUTPUT/run.jpg and OUTPUT/comparison.jpg; needs ``chromium`` on the path.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import command_line
import cv2

from roottip.app import main as roottip

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
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


def main() -> int:
    parser = command_line.parser(__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="a folder")
    output = parser.parse_args().output
    if shutil.which("chromium") is None:
        parser.error("there is no chromium on the path; install it")
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        run, report = Path(folder) / "results", Path(folder) / "report"
        for words in (
            ["detect", f"input={SAMPLE / 'images'}", f"output={run}"],
            ["compare", f"data={SAMPLE}", f"output={report}"],
        ):
            if code := roottip(words):  # which has said why
                return code
        photograph(run / "report.html", 700, output / "run.jpg")
        photograph(report / "report.html", 1180, output / "comparison.jpg")
    return 0


if __name__ == "__main__":
    command_line.run(main)
