"""Train the `features` detector that ships with roottip.

OMP_NUM_THREADS=1 python scripts/train_features.py ../shared/data/osr ../shared/data/tillmore

takes any number of dataset folders and reads their split train only. A quarter of the groups
is held out to choose the threshold, then the net is trained again on all. Prints the card, with
F1 on the groups held out. With --ablate it trains, instead, without one group of features after
the other and prints F1 on the groups held out for each.
"""

from __future__ import annotations

from pathlib import Path

import command_line
import cv2
import pandas as pd

from roottip.learning.choice import best, curves, scan
from roottip.learning.features import detector_of, fit, train
from roottip.learning.plates import hold_out, read_plates
from roottip.scorers.descriptors import GROUPS
from roottip.scorers.features import SHIPPED


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "data", nargs="+", type=command_line.folder, metavar="FOLDER", help="of a dataset"
    )
    parser.add_argument(
        "--output", type=Path, default=SHIPPED, help="NAME.npz, else what ships is replaced"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--rounds", type=command_line.positive, default=4, help="of training")
    parser.add_argument(
        "--length", type=command_line.positive, default=6000, help="samples a round"
    )
    parser.add_argument("--ablate", action="store_true", help="what features bring, see above")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # tiles are small: threads would wait for each other
    settings = {"rounds": arguments.rounds, "length": arguments.length}
    if arguments.ablate:
        ablate(arguments.data, arguments.seed, settings)
    else:
        train(arguments.data, arguments.output, seed=arguments.seed, **settings)
        print(arguments.output.with_suffix(".json").read_text())


def ablate(data: list[Path], seed: int, settings: dict[str, int]) -> None:
    training, held_out = hold_out(read_plates(data), 0.25, seed)
    rows = []
    for without in (None, *GROUPS):
        net = fit(training, seed=seed, without=[without] if without else [], **settings)
        scores = curves(scan(detector_of(net), held_out), held_out)
        threshold, f1 = best(scores)
        own = {
            Path(dataset).name: curve.loc[curve["threshold"] == threshold, "f1"].item()
            for dataset, curve in scores.items()
        }
        rows.append({"without": without or "–", "count": GROUPS.get(without, 0), "f1": f1, **own})
        print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"), flush=True)


if __name__ == "__main__":
    command_line.run(main)
