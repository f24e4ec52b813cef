"""How the CNN's recipe does on photographs that a net has not learnt from, group by group.

python scripts/cross_validate.py ../shared/data/osr:10 ../shared/data/tillmore:20 --workers 15

Each argument is a dataset folder and the tolerance in px; the split `train` is used. The groups
of photographs are dealt into folds, and for each fold a net is trained without it; besides, one
net without each set, and one with all. All of them learn from the same stream of samples: of
photographs, of plates drawn by train_release.py and of pages of print. Every photograph is then
looked at by the net of its fold, with a threshold chosen on the other folds; and by the net that
has not seen its set, with the mean threshold of the other sets. Prints precision, recall and F1
with intervals; nets and drawings stay in OUTPUT and are not made again, the figures as figures.csv.

Training wants a graphics card and processors to make samples: four minutes on an H200 with 16
of them; on 2 processors some ten hours. Measuring takes five minutes on 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import command_line
import numpy as np
import pandas as pd
import pytorch_lightning as lightning
from draw_pages import draw_pages
from ensemble import Ensemble, folds
from making import same, whole
from measuring import all_finds, judged
from numpy.typing import NDArray
from train_release import draw

from roottip.compare import FLOOR
from roottip.errors import InputError
from roottip.interchange import Dataset, read_dataset
from roottip.learning.export import export
from roottip.learning.mining import APART
from roottip.learning.module import precision_of
from roottip.learning.plates import Plate, read_plates
from roottip.learning.rounds import Rounds
from roottip.scorers.cnn import detector

DRAWN, PAGES = 500, 40
DRAWN_SHARE, PAGES_SHARE = 0.22, 0.03
"""How many of the samples come from drawn plates and from pages."""

FOLDS, FEATURES, RATE, ROUNDS, STEPS, BATCH, SEED = 4, 64, 3e-3, 2, 930, 512, 0


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("out/cross_validation"), help="a folder"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that make samples")
    parser.add_argument("--rounds", type=command_line.positive, default=ROUNDS, help="of training")
    parser.add_argument("--steps", type=command_line.positive, default=STEPS, help="a round")
    arguments = parser.parse_args()
    output: Path = arguments.output
    sets = command_line.several(parser, arguments.data)
    # the folds follow the order of the sets, so nets and images are of one order
    length = {"rounds": arguments.rounds, "steps": arguments.steps}
    same(output, {"sets": [folder.name for folder in sets], **length})
    if not (output / "all.onnx").exists():
        fit(list(sets), output, arguments.workers, **length)
    datasets = {folder: read_dataset(folder, "train") for folder in sets}
    rows, thresholds = [], {}
    for folder, fold_of in folds_of(datasets).items():
        dataset, tolerance = datasets[folder], sets[folder]
        found, thresholds[folder] = by_folds(dataset, fold_of, tolerance, output)
        own = figures(found, dataset, tolerance)
        rows.append({"set": folder.name, "held out": "a fold", **own})
    for folder, tolerance in sets.items():
        others = [value for other, value in thresholds.items() if other != folder]
        dataset = datasets[folder]
        found = look(output / f"without_{folder.name}.onnx", dataset)
        own = figures(found[found["score"] >= np.mean(others)], dataset, tolerance)
        rows.append({"set": folder.name, "held out": "the set", **own})
    frame = pd.DataFrame(rows)
    frame.to_csv(output / "figures.csv", index=False)
    print(frame.to_string(index=False, float_format="%.3f"))


def fit(photographs: list[Path], output: Path, workers: int, rounds: int, steps: int) -> None:
    """Train all nets and write each as ONNX."""
    drawn = whole(output / "drawn", draw, DRAWN, SEED)
    pages = whole(output / "pages", draw_pages, PAGES, 7)
    tips = np.sqrt([len(read_dataset(folder, "train").truth) for folder in photographs])
    share = (1 - DRAWN_SHARE - PAGES_SHARE) * tips / tips.sum()
    share_of = {str(folder): own for folder, own in zip(photographs, share, strict=True)}
    share_of |= {str(drawn): DRAWN_SHARE, str(pages): PAGES_SHARE}
    plates = read_plates(list(map(Path, share_of)))
    lightning.seed_everything(SEED, workers=True, verbose=False)
    module = Ensemble(seen(plates, photographs), FEATURES, RATE)
    trainer = lightning.Trainer(
        precision=precision_of("auto"),
        max_epochs=rounds,
        reload_dataloaders_every_n_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Rounds(plates, [], steps * BATCH, BATCH, workers, SEED, share_of))
    # the one that is asked for, `all`, comes last
    for name, net in module.named.items():
        export(net, output / f"{name}.onnx", {"threshold": FLOOR, "radius": APART})


def seen(plates: list[Plate], photographs: list[Path]) -> dict[str, NDArray[np.bool_]]:
    """Which plates each net learns from; drawn ones all of them do."""
    fold = folds([(plate.dataset, plate.group) for plate in plates], FOLDS, SEED)
    of_set = np.array([plate.dataset for plate in plates])
    drawn = ~np.isin(of_set, list(map(str, photographs)))
    sees = {f"fold_{number}": drawn | (fold != number) for number in range(FOLDS)}
    sees |= {f"without_{folder.name}": of_set != str(folder) for folder in photographs}
    return {**sees, "all": np.ones(len(plates), dtype=bool)}


def folds_of(datasets: Mapping[Path, Dataset]) -> dict[Path, dict[str, int]]:
    """For each set of photographs the fold of each image, as in `seen`."""
    images = [
        (folder, name, group)
        for folder, dataset in datasets.items()
        for name, group in dataset.groups.items()
    ]
    fold = folds([(str(folder), group) for folder, _, group in images], FOLDS, SEED)
    fold_of: dict[Path, dict[str, int]] = {folder: {} for folder in datasets}
    for (folder, name, _), number in zip(images, fold.tolist(), strict=True):
        fold_of[folder][name] = number
    return fold_of


def by_folds(
    dataset: Dataset, fold_of: Mapping[str, int], tolerance: float, output: Path
) -> tuple[pd.DataFrame, float]:
    """Finds by the net of each image's fold from a threshold on that the other folds chose.

    Returns
    -------
    found : DataFrame
    threshold : float
        Their mean.
    """
    members = [[n for n, fold in fold_of.items() if fold == number] for number in range(FOLDS)]
    found = pd.concat(
        [look(output / f"fold_{n}.onnx", dataset, names) for n, names in enumerate(members)]
    )
    kept, thresholds = [], []
    for names in members:
        here = found["image"].isin(names)
        curve = judged(found[~here], dataset, tolerance, 0.0, fold_of.keys() - names).curve
        if curve["f1"].isna().all():
            raise InputError(f"the nets of {output} find nothing; train longer, --steps")
        thresholds.append(float(curve.loc[curve["f1"].idxmax(), "threshold"]))
        kept.append(found[here & (found["score"] >= thresholds[-1])])
    return pd.concat(kept), float(np.mean(thresholds))


def look(weights: Path, dataset: Dataset, names: list[str] | None = None) -> pd.DataFrame:
    """All finds of a net on a set's images, or some."""
    return all_finds(detector(weights), dataset, weights.stem, names)


def figures(found: pd.DataFrame, dataset: Dataset, tolerance: float) -> dict[str, float]:
    """Of all images of a set, with intervals."""
    summary = judged(found, dataset, tolerance, 0.0, dataset.groups).summary
    rates = [rate + end for rate in ("precision", "recall", "f1") for end in ("", "_low", "_high")]
    return {name: summary[name] for name in ("images", "truth", *rates)}


if __name__ == "__main__":
    command_line.run(main)
