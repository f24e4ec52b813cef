"""Draw the plates of data/sample again.

python scripts/make_sample.py

Needs the extra synth. The same seed gives the same plates; JPEG bytes may differ between versions
of OpenCV.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import command_line

from roottip.synth.dataset import varied_plates, write_dataset
from roottip.synth.plate import Plate

SAMPLE = Path(__file__).parents[1] / "data" / "sample"

SEED = 6


def sample_plates() -> list[Plate]:
    """Twelve small plates, the last without roots; JPEG quality is what their size allows."""
    knobs = {"width": 560, "height": 480, "leaves": 0.0, "grid": 0.0}
    plates = varied_plates(12, SEED, knobs=knobs)
    rooted = [replace(plate, plants=max(plate.plants, 1)) for plate in plates]
    return [
        replace(plate, plants=0 if n == 11 else plate.plants, jpeg=min(plate.jpeg, 85))
        for n, plate in enumerate(rooted)
    ]


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--output", type=Path, default=SAMPLE, help="a folder; what is there goes")
    output = parser.parse_args().output
    write_dataset(sample_plates(), SEED, output, "val", overwrite=True)
    shutil.rmtree(output / "rsml")  # tips.csv says the same


if __name__ == "__main__":
    command_line.run(main)
