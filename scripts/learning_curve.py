"""How good a detector gets with how many training images.

python scripts/learning_curve.py ../shared/data/osr:10 ../shared/data/tillmore:20

Each argument is a dataset folder and the tolerance in px. For each number, random groups of the
split `train` are drawn until they have that many images of each dataset (`all`: all of them), a
detector is trained on just those and measured on `val`; several seeds. Prints and writes the
average precision (no threshold to choose) and the highest F1 of the curve (as if the best
threshold were known), as OUTPUT.csv and OUTPUT.png. The CNN (--detector cnn) trains by the quick
recipe: minutes for each point.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import command_line
import cv2
import numpy as np
import pandas as pd

from roottip import compare, table
from roottip.detector import WindowDetector
from roottip.interchange import Dataset, read_dataset
from roottip.learning.mining import LEAST, RADIUS
from roottip.scorers import cnn, features

MEASURES = {"average_precision": "average precision", "f1": "highest F1"}


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser)
    parser.add_argument("--detector", choices=["features", "cnn"], default="features", help="which")
    parser.add_argument(
        "--images", type=command_line.counts, default="2,4,8,all", help="of each dataset, at most"
    )
    parser.add_argument("--seeds", type=command_line.positive, default=3, help="how many")
    parser.add_argument(
        "--length", type=command_line.positive, default=2500, help="samples a round (features)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/learning_curve"), help="without its ending"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = []
    for wanted in arguments.images:
        for seed in range(1 if wanted == "all" else arguments.seeds):
            with TemporaryDirectory() as folder:
                parts = [
                    subset(data, Path(folder) / str(i), wanted, seed)
                    for i, (data, _) in enumerate(arguments.data)
                ]
                detector = trained(arguments.detector, parts, Path(folder), arguments.length, seed)
                counts = [len(read_dataset(part).images) for part in parts]
            for (data, tolerance), count in zip(arguments.data, counts, strict=True):
                measured = measure(detector, read_dataset(data, "val"), tolerance)
                rows.append({"dataset": data.name, "images": count, "seed": seed, **measured})
            frame = pd.DataFrame(rows)
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            frame.to_csv(arguments.output.with_suffix(".csv"), index=False)
            latest = frame.tail(len(arguments.data))
            print(latest.to_string(index=False, float_format="%.3f"), flush=True)
    draw(frame, arguments.detector, arguments.output.with_suffix(".png"))


def subset(data: Path, folder: Path, wanted: str, seed: int) -> Path:
    """A dataset folder of some groups of the train split; the images are links."""
    dataset = read_dataset(data, "train")
    images = dataset.images.assign(group=list(dataset.groups.values()))
    groups = np.random.default_rng(seed).permutation(sorted(images["group"].unique()))
    size = images["group"].value_counts()[groups].cumsum()
    most = len(images) if wanted == "all" else int(wanted)
    # at least one group; a group is never cut
    kept = groups[: max(1, int((size <= most).sum()))]
    images = images[images["group"].isin(kept)]
    tips = dataset.truth[dataset.truth["image"].isin(images["image"])]
    folder.mkdir(exist_ok=True)
    (folder / "images").unlink(missing_ok=True)
    (folder / "images").symlink_to(dataset.root.resolve())
    table.write(tips, folder / "tips.csv")
    table.write(images, folder / "images.csv")  # last: it says that the dataset is whole
    return folder


def trained(
    detector: str, parts: list[Path], folder: Path, length: int, seed: int
) -> WindowDetector:
    if detector == "cnn":
        from roottip.learning.recipe import Recipe
        from roottip.learning.train import train

        recipe = Recipe(rounds=3, steps=300, batch=64, tip_weight=6.0)
        path = train(parts, folder / "net", recipe, dev=0.0, threshold=LEAST, seed=seed)
        return cnn.detector(path)
    from roottip.learning.features import fit
    from roottip.learning.plates import read_plates

    net = fit(read_plates(parts), length=length, seed=seed)
    return WindowDetector(
        features.FeaturesScorer(net), features.STRIDE, threshold=LEAST, radius=RADIUS
    )


def measure(detector: WindowDetector, dataset: Dataset, tolerance: float) -> dict[str, float]:
    evaluations, _ = compare.compare(dataset, {"it": detector}, tolerance)
    result = evaluations["it"]
    return {
        "average_precision": result.summary["average_precision"],
        "f1": float(result.curve["f1"].max()),
    }


def draw(table: pd.DataFrame, detector: str, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, (column, title) in zip(axes, MEASURES.items(), strict=True):
        for name, own in table.groupby("dataset"):
            by = own.groupby("images")[column]
            (line,) = axis.plot(by.mean().index, by.mean(), "o-", label=name)
            axis.fill_between(by.min().index, by.min(), by.max(), alpha=0.2, color=line.get_color())
        axis.set(title=f"{detector}: {title} on val", xlabel="training images", xscale="log")
        axis.set_xticks(sorted(table["images"].unique()), sorted(table["images"].unique()))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 1)
    axes[0].legend(loc="lower right", title="line: mean, band: range over seeds")
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    command_line.run(main)
