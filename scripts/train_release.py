"""Train the net that ships with roottip.

python scripts/train_release.py ../shared/data/osr ../shared/data/tillmore --output release

1. The net learns from the photographs of the train split, less a quarter of the groups.
2. It goes on with drawn plates of every background besides, at a lower rate; on the photographs
   held out the threshold is chosen.
3. The same once more from the end of 1, now with all groups of the train split, and with the
   threshold of 2. This net ships.

The split val is never read. Takes about an hour on 2 cores; when stopped, run it again and it
goes on. The net and its card are copied to roottip/weights/; then scripts/measure_cnn.py prints
the figures for MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from roottip import table
from roottip.learning.train import train
from roottip.scorers.cnn import SHIPPED
from roottip.synth.dataset import varied_plates, write_dataset

DRAWN = 300
HELD_OUT = 0.25

FINEST = 2.0
"""Width of a drawn root, px, below which it is not a root to learn from but could be a hair."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path, help="dataset folders")
    parser.add_argument("--output", type=Path, default=Path("release"))
    arguments = parser.parse_args()
    drawn = arguments.output / "drawn"
    if not (drawn / "images.csv").exists():
        draw(drawn)
    photographs = stage(arguments.data, arguments.output / "photographs", dev=HELD_OUT)
    going_on = {"rounds": 6, "rate": 7e-4, "start": photographs}
    everything = [*arguments.data, drawn]
    checked = stage(everything, arguments.output / "checked", dev=HELD_OUT, **going_on)
    choice = json.loads(checked.with_suffix(".json").read_text())
    final = stage(
        everything, arguments.output / "all", dev=0.0, threshold=choice["threshold"], **going_on
    )
    card = json.loads(final.with_suffix(".json").read_text())
    card["threshold_chosen_in"] = choice["training"]
    SHIPPED.parent.mkdir(exist_ok=True)
    shutil.copyfile(final, SHIPPED)
    SHIPPED.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"{SHIPPED} and its card are written")


def draw(folder: Path) -> None:
    """Plates to learn from: ends that people would hardly see are neither tips nor others."""
    write_dataset(varied_plates(DRAWN, seed=7, size=800), 7, folder, "train", workers=2)
    tips = table.read(folder / "tips.csv")
    tags = tips["cause"].fillna("").str.split(";")
    hidden = tags.map(
        lambda own: "bundle" in own or ("small" in own and {"translucent", "film"} & {*own})
    )
    tips.loc[hidden.astype(bool) | (tips["width"] < FINEST), "ignore"] = 1
    table.write(tips, folder / "tips.csv")
    images = table.read(folder / "images.csv")
    # of a single group nothing is held out: the threshold is for photographs
    table.write(images.assign(group="drawn"), folder / "images.csv")


def stage(data: list[Path], output: Path, **settings: object) -> Path:
    """Train, or go on where an earlier run stopped, or take what is finished."""
    if (output / "model.json").is_file():
        return output / "model.onnx"
    resume = (output / "checkpoints" / "last.ckpt").is_file()
    return train(data, output, **settings, precision="bf16-mixed", resume=resume)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
