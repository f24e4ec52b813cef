"""Draw pages of print, rulers and grids: pictures with strokes as wide as roots, and no root.

python scripts/draw_pages.py out/pages --count 12
"""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path

import command_line
import cv2
import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from roottip import table

SIDE = 800
"""px"""

SHEET = 1000
"""px of what is drawn: it may be turned, and its edges, where lines end, must not be seen."""

FACES = ["DejaVuSans*", "DejaVuSerif*", "STIXGeneral*", "cmr10*", "cmti10*", "cmtt10*"]
"""Files of the typefaces that come with matplotlib and hold the letters: with serifs and without,
bold, slanted, of a typewriter."""

LETTERS = string.ascii_lowercase * 4 + string.ascii_uppercase + string.digits + ".,-:;()/"


def command(description: str, draw: Callable[[Path, int, int], None]) -> None:
    """Take folder, count and seed from the command line and draw."""
    parser = command_line.parser(description)
    parser.add_argument("output", type=Path, help="a folder, which becomes a dataset folder")
    parser.add_argument("--count", type=command_line.positive, default=12, help="how many pictures")
    parser.add_argument("--seed", type=int, default=7, help="the same draws the same")
    arguments = parser.parse_args()
    if (arguments.output / "images.csv").exists():
        parser.error(f"{arguments.output} holds a dataset; give another folder")
    draw(arguments.output, arguments.count, arguments.seed)


def draw_pages(folder: Path, count: int, seed: int) -> None:
    """Write a dataset folder of `count` pages without a tip."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = [f"page_{number:04}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        picture = page(np.random.default_rng((seed, number)))
        cv2.imwrite(
            str(folder / "images" / name), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92]
        )
    rows = {"image": names, "split": "train", "width": SIDE, "height": SIDE, "group": "pages"}
    table.write(table.points("", np.empty((0, 2))).assign(ignore=0), folder / "tips.csv")
    table.write(pd.DataFrame(rows), folder / "images.csv")


def page(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 3) RGB: one of the kinds, unevenly lit, a little blurred and noisy."""
    paper = rng.uniform(150, 255, 3) if rng.random() < 0.8 else rng.uniform(0, 80, 3)
    dark = rng.uniform(0, 110, 3)
    ink = dark if paper.mean() > 120 else 255 - dark
    canvas = Image.new("L", (SHEET, SHEET))
    kinds = [_text, _text, _text, _ruler, _grid]
    kinds[rng.integers(len(kinds))](ImageDraw.Draw(canvas), rng)
    canvas = canvas.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC)
    edge = (SHEET - SIDE) // 2
    canvas = canvas.crop((edge, edge, edge + SIDE, edge + SIDE))
    cover = np.asarray(canvas, dtype=np.float32)[:, :, None] / 255
    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    light = 1 + rng.uniform(-0.25, 0.25) * x + rng.uniform(-0.25, 0.25) * y
    level = (paper + (ink - paper) * rng.uniform(0.5, 1) * cover) * light[:, :, None]
    level = cv2.GaussianBlur(level, (0, 0), rng.uniform(0.4, 1.5))
    level += rng.normal(0, rng.uniform(1, 6), level.shape)
    return np.clip(level, 0, 255).astype(np.uint8)


def _text(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    size = float(np.exp(rng.uniform(np.log(11), np.log(70))))
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    files = [file for face in FACES for file in sorted(fonts.glob(face))]
    font, y = ImageFont.truetype(files[rng.integers(len(files))], size), rng.uniform(-size, size)
    while y < SHEET:
        words = ["".join(rng.choice(list(LETTERS), rng.integers(1, 11))) for _ in range(40)]
        draw.text((rng.uniform(-size, 3 * size), y), " ".join(words), 255, font)
        y += size * rng.uniform(1.1, 1.8)


def _ruler(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    step, width, y = rng.uniform(6, 24), int(rng.integers(1, 5)), rng.uniform(100, 600)
    font = ImageFont.load_default(3 * step)
    draw.line([0, y, SHEET, y], 255, width)
    for number in range(int(SHEET / step) + 1):
        length = step * (4 if number % 10 == 0 else 3 if number % 5 == 0 else 2)
        draw.line([number * step, y, number * step, y + length], 255, width)
        if number % 10 == 0:
            draw.text((number * step, y + 5 * step), str(number), 255, font)


def _grid(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    step, width = rng.uniform(20, 120), int(rng.integers(1, 7))
    for at in np.arange(rng.uniform(0, step), SHEET, step):
        draw.line([at, 0, at, SHEET], 255, width)
        draw.line([0, at, SHEET, at], 255, width)


def main() -> None:
    command(__doc__, draw_pages)


if __name__ == "__main__":
    command_line.run(main)
