"""Train the net that ships with roottip.

python scripts/train_release.py ../shared/data/osr ../shared/data/tillmore --output release

First a quarter of the groups of the train split is held out, and on those the threshold is
chosen. Then the net goes on for a few rounds with all groups of the train split and with drawn
plates, so that it does not forget roots on other grounds, at a lower rate; it keeps that
threshold. The split val is never read. Takes about an hour on 2 cores; when stopped, run it
again and it goes on. The net and its card are copied to roottip/weights/; then
scripts/measure_cnn.py prints the figures for MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from roottip import table
from roottip.learning.train import train
from roottip.scorers.cnn import SHIPPED
from roottip.synthetic import Plate, write_dataset

PLATES, SEED = 60, 1000  # other seeds than those of data/sample, which measures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path, help="dataset folders")
    parser.add_argument("--output", type=Path, default=Path("release"))
    arguments = parser.parse_args()
    chosen = stage(arguments.data, arguments.output / "chosen", dev=0.25)
    choice = json.loads(chosen.with_suffix(".json").read_text())
    drawn = arguments.output / "drawn"
    draw(drawn)
    final = stage(
        [*arguments.data, drawn],
        arguments.output / "all",
        dev=0.0,
        rounds=7,
        rate=1e-3,
        threshold=choice["threshold"],
        start=chosen.with_suffix(".ckpt"),
    )
    card = json.loads(final.with_suffix(".json").read_text())
    card["threshold_chosen_in"] = choice["training"]
    SHIPPED.parent.mkdir(exist_ok=True)
    shutil.copyfile(final, SHIPPED)
    SHIPPED.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"{SHIPPED} and its card are written")


def draw(folder: Path) -> None:
    """Plates of all grounds, dark and bright roots, clean and dirty, some without roots."""
    rng = np.random.default_rng(SEED)
    plates = []
    for _ in range(PLATES):
        ground, roots = rng.integers(15, 130, 3), rng.integers(150, 250, 3)
        if rng.uniform() < 0.4:  # dark roots on bright ground
            ground, roots = roots, ground
        plates.append(
            Plate(
                roots=int(rng.integers(0, 5)),
                laterals=int(rng.integers(0, 13)),
                root_width=rng.uniform(3, 7),
                hairs=int(rng.integers(0, 120)),
                dirt=int(rng.integers(0, 16)),
                background=tuple(ground.tolist()),
                foreground=tuple(roots.tolist()),
                noise=rng.uniform(1, 9),
            )
        )
    write_dataset(plates, SEED, folder)
    images = table.read(folder / "images.csv")
    table.write(images.drop(columns="split"), folder / "images.csv")  # all are for training


def stage(data: list[Path], output: Path, **settings: object) -> Path:
    """Train, or go on where an earlier run stopped, or take what is finished."""
    if (output / "model.json").is_file():
        return output / "model.onnx"
    resume = (output / "checkpoints" / "last.ckpt").is_file()
    return train(data, output, **settings, precision="bf16-mixed", resume=resume)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
