"""Train the net that ships with roottip.

python scripts/train_release.py ../shared/data/osr ../shared/data/tillmore --output release

1. A net learns from the photographs of the train split, less a quarter of the groups.
2. From there two branches go on at a lower rate, one with the photographs, one with drawn plates
   besides, now with all groups. The mean of their weights ships.
3. Its threshold is chosen on the groups held out, with the mean of 1 and a branch with drawn
   plates that has not seen them either.

The split val is never read. Takes under two hours on 2 cores; when stopped, run it again and it
goes on. The net and its card are written to roottip/weights/; then scripts/measure_cnn.py prints
the figures for MODEL_CARD.md. docs/accuracy.md says why a mean.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from roottip import table
from roottip.learning.export import average
from roottip.learning.mining import best, curves
from roottip.learning.plates import hold_out, read_plates
from roottip.learning.train import train
from roottip.scorers.cnn import SHIPPED, detector
from roottip.synth.dataset import varied_plates, write_dataset

DRAWN = 150
HELD_OUT = 0.25

SHARE = 1 / 3
"""How often samples come from drawn plates, compared with one dataset of photographs."""

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
    first = stage(photographs, output / "first", dev=HELD_OUT)
    going_on: dict[str, object] = {"rounds": 6, "rate": 7e-4, "start": first}
    with_drawn = {**going_on, "shares": [*(1.0 for _ in photographs), SHARE]}
    both = [*photographs, drawn]

    checked = stage(both, output / "checked", dev=HELD_OUT, **with_drawn)
    card = json.loads(first.with_suffix(".json").read_text())
    trial = output / "checked" / "mean.onnx"
    average([first, checked], trial, card)
    _, held_out = hold_out(read_plates(photographs), HELD_OUT, seed=0)
    threshold, f1 = best(curves(detector(trial, root_width=5.0), held_out))

    branches = [
        stage(photographs, output / "photographs", dev=0.0, threshold=threshold, **going_on),
        stage(both, output / "both", dev=0.0, threshold=threshold, **with_drawn),
    ]
    cards = [json.loads(branch.with_suffix(".json").read_text()) for branch in branches]
    training = {
        "first": card["training"],
        "branches": [branch["training"] for branch in cards],
        "dev": {"plates": len(held_out), "threshold": threshold, "f1": round(f1, 4)},
    }
    average(branches, SHIPPED, {**cards[0], "threshold": threshold, "training": training})
    print(f"{SHIPPED} and its card are written")


def draw(folder: Path) -> None:
    """Plates to learn from: ends that people would hardly see are neither tips nor others."""
    write_dataset(varied_plates(DRAWN, seed=7, size=800), 7, folder, "train", workers=2)
    tips = table.read(folder / "tips.csv")
    tags = tips["cause"].fillna("").str.split(";")
    faint = tags.map(lambda own: "small" in own and bool({"translucent", "film"} & {*own}))
    bundle = tags.map(lambda own: "bundle" in own)
    tips.loc[faint | bundle | (tips["width"] < FINEST), "ignore"] = 1
    table.write(tips, folder / "tips.csv")
    images = table.read(folder / "images.csv")
    # of a single group nothing is held out: the threshold is for photographs
    table.write(images.assign(group="drawn"), folder / "images.csv")


def stage(data: list[Path], output: Path, **settings: object) -> Path:
    """Train, or go on where an earlier run stopped, or take what is finished."""
    if (output / "model.json").is_file():
        return output / "model.onnx"
    resume = (output / "checkpoints" / "last.ckpt").is_file()
    # mypy does not see that the settings are train's own
    return train(data, output, **settings, precision="bf16-mixed", resume=resume)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
