"""Train the net that ships with roottip.

python scripts/train_release.py ../shared/data/osr ../shared/data/tillmore --output release

It learns from the photographs of the train split, all groups, and from plates that it draws. The
threshold is the best on the photographs and plates trained with. The split val is never read.
Takes about 110 minutes on 2 cores; when stopped, run it again and it goes on. The net, its twin in
8 bits and its glance, with their cards, are written to roottip/weights/; then
scripts/measure_cnn.py prints the figures for MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from roottip import table
from roottip.interchange import read_dataset
from roottip.learning.glance import distil
from roottip.learning.plates import read_plates
from roottip.learning.train import train
from roottip.scorers.cnn import SHIPPED
from roottip.synth.dataset import varied_plates, write_dataset

DRAWN = 150
SHARE, LAST_SHARE = 0.2, 0.16
"""How many of the samples come from drawn plates, in the first and the second stage."""

GLANCES = 4500
"""Steps of the training of the glance."""

FINEST = 2.0
"""Width of a drawn root, px, below which it is not a root to learn from but could be a hair."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path, help="dataset folders")
    parser.add_argument("--output", type=Path, default=Path("release"))
    arguments = parser.parse_args()
    output, photographs = arguments.output, arguments.data
    drawn = output / "drawn"
    if not (drawn / "images.csv").exists():
        draw(drawn)
    tips = [len(read_dataset(folder, "train").truth) for folder in photographs]
    # between a set's weight for each tip it has and the same for all sets
    shares = (1 - SHARE) * np.sqrt(tips) / np.sqrt(tips).sum()
    net = stage(
        [*photographs, drawn],
        output / "net",
        rounds=18,
        features=96,
        shares=[*shares.tolist(), SHARE],
    )
    # a second, smaller wave of the learning rate, all photographs alike
    equal = (1 - LAST_SHARE) / len(photographs)
    path = stage(
        [*photographs, drawn],
        output / "settled",
        start=net,
        rounds=4,
        steps=300,
        rate=5e-4,
        shares=[*[equal] * len(photographs), LAST_SHARE],
    )
    for suffix in (".onnx", ".json", ".int8.onnx", ".int8.json"):
        shutil.copyfile(path.with_suffix(suffix), SHIPPED.with_suffix(suffix))
    print(f"{SHIPPED}, its twin in 8 bits and their cards are written")
    print(f"{distil(SHIPPED, read_plates([*photographs, drawn]), GLANCES)} and its card too")


def stage(data: list[Path], output: Path, **recipe: Any) -> Path:
    """One training, or what it had made before; where it was stopped, it goes on."""
    last = output / "checkpoints" / "last.ckpt"
    path = output / "model.onnx"
    if path.is_file():
        return path
    return train(
        data, output, resume=last.is_file(), dev=0.0, glance_steps=0, precision="auto", **recipe
    )


def draw(folder: Path, count: int = DRAWN) -> None:
    """Plates to learn from: ends that people would hardly see are neither tips nor others."""
    write_dataset(varied_plates(count, seed=7, size=800), 7, folder, "train", workers=2)
    tips = table.read(folder / "tips.csv")
    tags = tips["cause"].fillna("").str.split(";")
    faint = tags.map(lambda own: "small" in own and bool({"translucent", "film"} & {*own}))
    bundle = tags.map(lambda own: "bundle" in own)
    tips.loc[faint | bundle | (tips["width"] < FINEST), "ignore"] = 1
    table.write(tips, folder / "tips.csv")
    images = table.read(folder / "images.csv")
    # of a single group nothing is held out: the threshold is for photographs
    table.write(images.assign(group="drawn"), folder / "images.csv")


if __name__ == "__main__":
    main()
