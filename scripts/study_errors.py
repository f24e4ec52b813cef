"""Sort the errors of a net on annotated images, and show each as a crop.

python scripts/study_errors.py ../shared/data/tillmore:20 --split train --output out/errors

The argument is a dataset folder and the tolerance in px. Prints how many misses have a find beyond
the tolerance but within twice of it (the mark and the find are one tip), a find below the
threshold, a neighbour that is hit, or nothing; and how many false alarms are the other half of such
a pair, lie near an ignored point, or neither. Where the dataset says where roots really end
(``x_end, y_end``) it prints precision and recall measured there, too. Writes the errors as
OUTPUT/errors.csv and a sheet of crops of each kind as OUTPUT/KIND.png: green rings are marks, grey
ones ignored, red crosses finds, pink ones candidates below the threshold.
"""

from __future__ import annotations

from pathlib import Path

import command_line
import cv2
import numpy as np
import pandas as pd
from measuring import all_finds

from roottip import table
from roottip.evaluation import evaluate
from roottip.images import read_image
from roottip.interchange import Dataset, read_dataset
from roottip.matching import FALSE_ALARM, HIT, MISS
from roottip.scorers.cnn import SHIPPED, detector
from roottip.windows import Image, in_colour

SIDE, SHOWN, COLUMNS = 110, 220, 8


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add_sets(parser, nargs=None)
    parser.add_argument("--split", default="val", help="of the images to look at")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="model.onnx of a net")
    parser.add_argument("--output", type=Path, default=Path("out/errors"), help="a folder")
    arguments = parser.parse_args()
    folder, tolerance = arguments.data
    dataset = read_dataset(folder, arguments.split)
    looking = detector(arguments.weights)
    found = all_finds(looking, dataset, folder.name)
    result = evaluate(found, dataset.truth, dataset.groups, tolerance, looking.threshold)
    say("at the marks", result.summary)
    if "x_end" in dataset.truth:
        ends = dataset.truth.assign(
            x=dataset.truth["x_end"].fillna(dataset.truth["x"]),
            y=dataset.truth["y_end"].fillna(dataset.truth["y"]),
        )
        there = evaluate(found, ends, dataset.groups, tolerance, looking.threshold)
        say("at the very ends", there.summary)
    below = found[found["score"] < looking.threshold]
    errors = sorted_errors(result.matches, dataset.truth, below, tolerance)
    if errors.empty:
        print("no misses and no false alarms")
        return
    print(errors.groupby(["outcome", "kind"]).size().to_string())
    arguments.output.mkdir(parents=True, exist_ok=True)
    listed = errors[["image", "px", "py", "score", "kind"]]
    table.write(listed.rename(columns={"px": "x", "py": "y"}), arguments.output / "errors.csv")
    for kind, own in errors.groupby("kind"):
        path = arguments.output / f"{str(kind).replace(' ', '_')}.png"
        sheet = crops(own, dataset, found, looking.threshold)
        cv2.imwrite(str(path), sheet[..., ::-1])


def say(where: str, summary: dict[str, float]) -> None:
    figures = ", ".join(f"{name} {summary[name]:.4f}" for name in ("precision", "recall", "f1"))
    print(f"{where}, threshold {summary['threshold']:g}: {figures}")


def sorted_errors(
    matches: pd.DataFrame, truth: pd.DataFrame, below: pd.DataFrame, tolerance: float
) -> pd.DataFrame:
    """The misses and false alarms with their ``kind`` and place ``px, py``."""
    marks = matches["outcome"] == MISS
    matches = matches.assign(
        px=matches["truth_x"].where(marks, matches["x"]),
        py=matches["truth_y"].where(marks, matches["y"]),
    )
    rows = []
    for image, own in matches.groupby("image"):
        places = {name: part[["px", "py"]] for name, part in own.groupby("outcome")}
        places["below"] = below.loc[below["image"] == image, ["x", "y"]]
        hidden = truth[(truth["image"] == image) & (truth["ignore"] == 1)]
        places["ignored point"] = hidden[["x", "y"]]
        for error in own[own["outcome"].isin([MISS, FALSE_ALARM])].itertuples():

            def near(name: str, reach: float, error=error, places=places) -> bool:
                other = places.get(name)
                if other is None or other.empty:
                    return False
                apart = np.hypot(*(other.to_numpy(dtype=float) - [error.px, error.py]).T)
                return bool((apart <= reach).any())

            kinds = {
                "a pair too far apart": near(
                    FALSE_ALARM if error.outcome == MISS else MISS, 2 * tolerance
                ),
                "below the threshold": error.outcome == MISS and near("below", tolerance),
                "beside a tip that is hit": near(HIT, 1.5 * tolerance),
                "near an ignored point": near("ignored point", 2 * tolerance),
            }
            kind = next((name for name, is_so in kinds.items() if is_so), "alone")
            rows.append({"image": image, **error._asdict(), "kind": f"{error.outcome} {kind}"})
    return pd.DataFrame(rows)


def crops(errors: pd.DataFrame, dataset: Dataset, found: pd.DataFrame, threshold: float) -> Image:
    tiles = []
    for image, own in errors.groupby("image", sort=False):
        picture = read_image(dataset.root / str(image))
        picture = in_colour(picture).copy()
        for mark in dataset.truth[dataset.truth["image"] == image].itertuples():
            colour = (150, 150, 150) if mark.ignore else (0, 255, 0)
            cv2.circle(picture, (round(mark.x), round(mark.y)), 5, colour, 1)
        for find in found[found["image"] == image].itertuples():
            colour = (255, 0, 0) if find.score >= threshold else (255, 120, 255)
            cv2.drawMarker(picture, (round(find.x), round(find.y)), colour, cv2.MARKER_CROSS, 7, 1)
        for error in own.itertuples():
            cut = cv2.getRectSubPix(picture, (SIDE, SIDE), (error.px, error.py))
            tile = cv2.resize(cut, (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC)
            label = str(image) if np.isnan(error.score) else f"{image} {error.score:.2f}"
            cv2.putText(tile, label[-30:], (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1)
            tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    return np.asarray(np.vstack(rows), dtype=np.uint8)


if __name__ == "__main__":
    command_line.run(main)
