"""Train the net that ships with roottip.

python scripts/train_release.py ../shared/data/osr ../shared/data/tillmore --output release

1. The net learns from the photographs of the train split, less a quarter of the groups, on which
   the threshold is chosen.
2. It goes on at a lower rate with all groups of the train split. This net ships, with the
   threshold of 1.

The split val is never read. Takes an hour on 2 cores; when stopped, run it again and it goes on.
The net and its card are copied to roottip/weights/; then scripts/measure_cnn.py prints the figures
for MODEL_CARD.md. Drawn plates made it worse on photographs: docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from roottip.learning.train import train
from roottip.scorers.cnn import SHIPPED

HELD_OUT = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path, help="dataset folders")
    parser.add_argument("--output", type=Path, default=Path("release"))
    arguments = parser.parse_args()
    checked = stage(arguments.data, arguments.output / "checked", dev=HELD_OUT)
    choice = json.loads(checked.with_suffix(".json").read_text())
    final = stage(
        arguments.data,
        arguments.output / "all",
        dev=0.0,
        threshold=choice["threshold"],
        rounds=6,
        rate=7e-4,
        start=checked,
    )
    card = json.loads(final.with_suffix(".json").read_text())
    card["threshold_chosen_in"] = choice["training"]
    SHIPPED.parent.mkdir(exist_ok=True)
    shutil.copyfile(final, SHIPPED)
    SHIPPED.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"{SHIPPED} and its card are written")


def stage(data: list[Path], output: Path, **settings: object) -> Path:
    """Train, or go on where an earlier run stopped, or take what is finished."""
    if (output / "model.json").is_file():
        return output / "model.onnx"
    resume = (output / "checkpoints" / "last.ckpt").is_file()
    # mypy does not see that the settings are train's own
    return train(data, output, **settings, precision="bf16-mixed", resume=resume)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
