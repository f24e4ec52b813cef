"""Ninety-nine of a hundred tips on a season of one lab: thousands of drawn plates.

python scripts/prove_season.py

Draws 2,000 plates to train with and 1,000 others to test on, of wheat and oilseed rape on blue
paper as of one lab and camera, without what a net of this size cannot tell from thin roots (fibres,
long single hairs) and without planted pairs; fits the shipped net to the first; measures the
baseline, the shipped net and the fitted one on the others. Prints the share of single windows
told right (half of them tips, the others near something), the table of `roottip compare`, and
recall by what makes a tip hard. Takes about 90 minutes on 2 cores; when stopped, run it again
and it goes on.
"""

from __future__ import annotations

from pathlib import Path

import command_line
from making import whole
from measure_cnn import most_right, one_draw

from roottip import app, table
from roottip.learning.plates import read_plates
from roottip.learning.recipe import Recipe
from roottip.learning.train import train
from roottip.scorers.cnn import SHIPPED, CnnScorer
from roottip.synth.dataset import varied_plates, write_dataset

TOLERANCE = 8.0
"""px, at roots 5 px wide."""

SPECIES, SIZE, PX_PER_MM = ["rapeseed", "wheat"], 800, 14.0

LAB = {
    "plants": 1, "pairs": 0, "root_width": 5, "thinnest": 0.6, "taper": 0.8, "translucency": 0.1,
    "faint": 0, "gloss": 0.1, "hairs": 2, "hair_opacity": 0.35, "haze": 0.05, "long_hairs": 0,
    "dirt": 20, "residue": 1, "fibres": 0, "scratches": 2, "drops": 0, "film": 0, "labels": 0.3,
    "ruled": 0, "rim": 0, "cast": 0, "light": 0.15, "vignette": 0.1, "grain": 3, "defocus": 0.8,
    "noise": 2, "jpeg": 92, "paper_red": 45, "paper_green": 60, "paper_blue": 160,
    "root_red": 215, "root_green": 210, "root_blue": 190,
}  # fmt: skip
"""What is the same on all plates; ages, laterals, clamps, seeds and the rest vary."""

RECIPE = Recipe(
    rounds=4,
    steps=1200,
    batch=64,
    rate=5e-4,
    patience=4,
    offset_weight=0.2,
    precision="auto",
)
"""Drawn tips are marked exactly, so that offsets may weigh more than with photographs."""


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("out/season"), help="a folder")
    arguments = parser.parse_args()
    output: Path = arguments.output
    known, unknown = output / "train", output / "val"
    whole(known, draw, 2000, 11, "train")
    whole(unknown, draw, 1000, 12, "val")
    weights = output / "fit" / "model.onnx"
    if not weights.is_file():
        resume = (output / "fit" / "checkpoints" / "last.ckpt").is_file()
        train([known], output / "fit", RECIPE, dev=0.05, start=SHIPPED, resume=resume)
    compared = output / "comparison"
    app.compare(
        unknown, "val", ["baseline", "cnn", str(weights)], tolerance=TOLERANCE, output=compared
    )
    causes = table.read(compared / "by_cause.csv")
    print(causes.to_string(index=False, float_format="%.3f"))
    scorer = CnnScorer(weights)
    threshold = most_right(*one_draw(read_plates([known])[:400], scorer, "near", 0))
    plates = read_plates([unknown], "val")
    for kind in ("near", "anywhere"):
        scores, tip = one_draw(plates, scorer, kind, 0)
        right = ((scores >= threshold) == tip).mean()
        print(f"{right:.4f} of {len(tip)} windows told right, those without a tip {kind}")


def draw(folder: Path, count: int, seed: int, split: str) -> None:
    plates = varied_plates(count, seed, SIZE, SPECIES, PX_PER_MM, LAB)
    write_dataset(plates, seed, folder, split, workers=2)


if __name__ == "__main__":
    command_line.run(main)
