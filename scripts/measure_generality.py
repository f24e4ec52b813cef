"""How a net does on a set of photographs that it was not trained on, and after fitting it to some.

python scripts/measure_generality.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px. For each set in turn, or the one that
`--only` names, a net is trained on the split `train` of the others and on half as many of the
pictures that train_release.py draws, shorter than the release; then its review is taught, on a
quarter as many that it never saw. Without the review and with it, the net is measured with the
settings that come on the images of the left-out set; then it is fitted to random groups of that
set's split `train` that hold so many images (`--images`), as `roottip train start=NET
trainer=finetune` does, and measured again. The images measured are the same each time, those in
none of these groups. Nets and generality.csv of each set stay in OUTPUT; when stopped, run it again
and it goes on. Some three hours for each set on 2 cores, less than two where they calculate in
bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import command_line
import pandas as pd
import yaml
from learning_curve import subset
from measuring import all_finds, judged
from train_release import SEED, SHARES, make_sets, trained

from roottip.interchange import read_dataset
from roottip.scorers.cnn import detector
from roottip.scorers.review import review_of
from roottip.settings import resource

RECIPE = {"rounds": 3, "steps": 900, "precision": "auto"}
"""For a `Recipe`: from nothing."""

REVIEW = {"rounds": 0, "review_steps": 2000, "precision": "auto"}
"""For a `Recipe`: what comes after."""

_FINETUNE = yaml.safe_load((resource("conf") / "trainer" / "finetune.yaml").read_text("utf-8"))

FITTING = {key: _FINETUNE[key] for key in ("rounds", "steps", "batch", "rate")}
"""For `train`: to fit a net; what else trainer=finetune says, `trained` says, or is not asked."""


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    parser.add_argument("--only", help="the name of the one set to leave out")
    parser.add_argument(
        "--images", type=command_line.counts, default="5,10,20", help="to fit to, numbers or all"
    )
    parser.add_argument("--seed", type=int, default=0, help="of trainings and groups")
    parser.add_argument("--output", type=Path, default=Path("out/generality"), help="a folder")
    arguments = parser.parse_args()
    output: Path = arguments.output
    sets = command_line.several(parser, arguments.data)
    seed: int = arguments.seed
    if arguments.only not in (None, *(folder.name for folder in sets)):
        parser.error(f"--only {arguments.only}: the sets are {', '.join(f.name for f in sets)}")
    made = make_sets(output / "made", SEED, part=2)
    unseen = make_sets(output / "unseen", SEED + 1000, part=4)
    of_made = [SHARES[pictures.name] for pictures in made]
    for folder, tolerance in sets.items():
        if arguments.only not in (None, folder.name):
            continue
        own = output / folder.name
        photographs = [other for other in sets if other != folder]
        shares = [(1 - sum(of_made)) / len(photographs)] * len(photographs) + of_made
        both = {"shares": shares, "seed": seed}
        bare = trained([*photographs, *made], own / "bare", RECIPE, **both)
        net = trained([*photographs, *unseen], own / "net", REVIEW, start=bare, **both)
        parts = subsets(folder, own, arguments.images, seed)
        used = set(max(parts.values(), key=len))
        rows = []
        for path, names in {bare: [], net: [], **parts}.items():
            if names:
                path = trained([path], path / "net", FITTING, start=net, seed=seed)
            measured = measure(path, folder, used, tolerance)
            what = {"left out": folder.name, "review": review_of(path).exists()}
            rows.append({**what, "fitted to": len(names), **measured})
            pd.DataFrame(rows).to_csv(own / "generality.csv", index=False)
            print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"), flush=True)


def subsets(folder: Path, output: Path, images: Sequence[str], seed: int) -> dict[Path, list[str]]:
    """Dataset folders of ever more groups, and their images' names."""
    parts: dict[Path, list[str]] = {}
    for wanted in images:
        part = output / f"first_{wanted}"
        if not (part / "images.csv").exists():
            subset(folder, part, wanted, seed)
        names = list(read_dataset(part).images["image"])
        if names not in parts.values():  # the set has no more than fewer already took
            parts[part] = names
    return parts


def measure(net: Path, folder: Path, used: set[str], tolerance: float) -> dict[str, float]:
    """Precision, recall and F1 on the images of all splits that are not in `used`."""
    looking = detector(net)
    dataset = read_dataset(folder)
    names = [name for name in dataset.images["image"] if name not in used]
    found = all_finds(looking, dataset, folder.name, names)
    result = judged(found, dataset, tolerance, looking.threshold, names)
    wanted = ("images", "truth", "threshold", "precision", "recall", "f1", "f1_low", "f1_high")
    best = result.curve.nlargest(1, "f1")  # none of a net that finds nothing
    return {
        **{name: result.summary[name] for name in wanted},
        "average_precision": result.summary["average_precision"],
        "highest_f1": best["f1"].max(),
        "at": best["threshold"].max(),
    }


if __name__ == "__main__":
    command_line.run(main)
