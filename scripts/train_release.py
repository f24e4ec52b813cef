"""Train the net that ships with roottip.

python scripts/train_release.py ../shared/data/osr ../shared/data/tillmore --output release

It learns from the photographs of the train split, all groups, from plates that it draws, grown,
plain, empty and on soil, and from pages of print. The threshold is the highest whose F1 is about
the best (`learning.choice`) on the photographs trained with and on plates drawn anew. The split val
is never read. From nothing it wants a graphics card: some ten minutes on an H100, a day and a half
on 2 processors. --onward goes on from the net that ships instead, or from the mean of the weights
of nets that went on from one another, with plates drawn anew (give another --seed): an hour on 2
processors. When stopped, run it again and it goes on. With --onward --rounds 0 the net stays, and
its review is taught on plates that it never saw.

The net, its twin in 8 bits, and its review, with their cards, are written to roottip/weights/; the
glance that lies there was distilled from a net that shipped before and serves the new one with
another threshold. Then scripts/measure_cnn.py prints the figures for MODEL_CARD.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import onnx
from draw_pages import draw_pages
from draw_plain import draw_plain
from making import same, whole
from onnx import numpy_helper

from roottip import table
from roottip.learning.glance import adopt
from roottip.learning.plates import read_plates
from roottip.learning.recipe import Recipe
from roottip.learning.train import train
from roottip.places import file_hash
from roottip.scorers import card
from roottip.scorers.cnn import SHIPPED, glance_of, int8_of
from roottip.scorers.review import review_of
from roottip.synth.dataset import varied_plates, write_dataset
from roottip.synth.plate import Plate

SEED = 1007

SHARES = {
    "osr": 0.19,
    "tillmore": 0.26,
    "drawn": 0.38,
    "pages": 0.06,
    "plain": 0.03,
    "empty": 0.04,
    "soil": 0.04,
}
"""How many of the samples come from each set."""

RECIPE = {"rounds": 13, "steps": 307, "batch": 768, "rate": 3e-3}
ONWARD = {"rounds": 3, "steps": 2000, "batch": 64, "rate": 6e-4}
"""For a `Recipe`: from nothing, and from the net that ships."""

REVIEW_STEPS = 4000
"""Of the review's training, which --rounds 0 does."""

FINEST = 2.0
"""px. Finer roots are to learn from only where nothing is near: elsewhere they could be hairs."""

LONE = 0.2
"""Share of the single long hairs that remains: drawn, they cannot be told from fine roots."""

SOIL_GRAIN, SOIL_GRAIN_SIZE = (8.0, 22.0), (2.0, 8.0)
"""Grey levels and px, the least and the most: rougher than what plates of all kinds have."""

STAND_OUT = 3.0
"""Roots in soil are this many times as far from the ground's grey level as its grain."""

SEEDLINGS = 5
"""One drawn plate of this many is a row of small plants, as on plates of agar."""


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "data", nargs=2, type=command_line.folder, help="the dataset folders osr and tillmore"
    )
    parser.add_argument("--output", type=Path, default=Path("release"), help="a folder")
    parser.add_argument(
        "--onward",
        nargs="*",
        type=command_line.file,
        metavar="MODEL",
        help="start from the net that ships, or from the mean of these, model.onnx each",
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help="of the pictures and of the training"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help="0 with --onward leaves the net: on plates drawn anew it is calibrated, its review "
        "taught and its threshold chosen",
    )
    arguments = parser.parse_args()
    if arguments.rounds == 0 and arguments.onward is None:
        parser.error("--rounds 0 would ship a net that has learnt nothing; give --onward too")
    for folder in arguments.data:
        if folder.name not in SHARES:  # else this would show after hours of drawing
            parser.error(f"{folder} is neither osr nor tillmore: SHARES says what each brings")
    output: Path = arguments.output
    data = [*arguments.data, *make_sets(output, arguments.seed)]
    start: Path | None = None if arguments.onward is None else SHIPPED
    recipe: dict[str, Any] = {**(RECIPE if start is None else ONWARD), "precision": "auto"}
    if arguments.rounds is not None:
        recipe["rounds"] = arguments.rounds
    recipe["review_steps"] = REVIEW_STEPS if recipe["rounds"] == 0 else 0
    if arguments.onward:
        start = output / "start.onnx"
        write_mean(arguments.onward, start)
    path = trained(
        data,
        output / "net",
        recipe,
        shares=[SHARES[folder.name] for folder in data],
        seed=arguments.seed,
        start=start,
    )
    if not glance_of(path).exists():
        adopt(SHIPPED, path, read_plates(data))
    for made in (path, int8_of(path), glance_of(path), review_of(path)):
        shipped = SHIPPED.with_name(made.name.replace("model", "cnn"))
        for suffix in (".onnx", ".json"):
            if made.exists():
                shutil.copyfile(made.with_suffix(suffix), shipped.with_suffix(suffix))
            else:  # a review that does not help; the one of the net before fits no other
                shipped.with_suffix(suffix).unlink(missing_ok=True)
    print(f"{SHIPPED}, its twin in 8 bits, its glance, its review and their cards are written")


def trained(
    data: list[Path],
    output: Path,
    recipe: dict[str, Any],
    start: Path | None = None,
    **given: Any,
) -> Path:
    """A net that no groups choose, or the one made before; a training stopped goes on.

    It is made by a `Recipe` of those settings, with whatever else is given to `train`.
    """
    begun = {**recipe, **given, "start": None if start is None else file_hash(start)}
    same(output, {"data": [folder.name for folder in data], **begun})
    path = output / "model.onnx"
    if path.is_file():
        return path
    stopped = (output / "checkpoints" / "last.ckpt").is_file()
    made = Recipe(**recipe, glance_steps=0)
    return train(data, output, made, dev=0.0, start=start, resume=stopped, **given)


def write_mean(nets: Sequence[Path], path: Path) -> None:
    """The net whose weights are the mean of those of nets alike, with the first one's card.

    Nets that went on from one another are often better so than each (Wortsman et al. 2022, Model
    soups, https://arxiv.org/abs/2203.05482).
    """
    models = [onnx.load(str(net)) for net in nets]
    for stored in zip(*(model.graph.initializer for model in models), strict=True):
        weights = [numpy_helper.to_array(one) for one in stored]
        mean = np.mean(weights, axis=0).astype(weights[0].dtype)
        stored[0].CopyFrom(numpy_helper.from_array(mean, stored[0].name))
    weights_of_all = models[0].SerializeToString(deterministic=True)
    card.write(path, weights_of_all, card.raw(nets[0]))


def draw(folder: Path, count: int, seed: int) -> None:
    """Plates of all kinds to learn from."""
    draw_to_learn_from(folder, some_rows(count, seed), seed)


def draw_soil(folder: Path, count: int, seed: int) -> None:
    """Other such plates on ground as rough as soil behind glass."""
    draw_to_learn_from(folder, on_soil(some_rows(count, seed + 2), seed), seed + 2)


def draw_to_learn_from(folder: Path, plates: list[Plate], growth: int) -> None:
    """Draw plates whose ends that people would hardly see are neither tips nor others.

    `growth` is the seed of how their plants grow: another for each set, or plants would repeat.
    """
    write_dataset(plates, growth, folder, "train", workers=2)
    ignore_faint(folder)
    images = table.read(folder / "images.csv")
    # of a single group nothing is held out: the threshold is for photographs
    table.write(images.assign(group=folder.name), folder / "images.csv")


def draw_empty(folder: Path, count: int, seed: int) -> None:
    """Plates as of `draw` before anything grew: what lies on them ends, and is no root."""
    # not the very plates that `draw` draws with plants
    bare = [replace(plate, plants=0) for plate in some_rows(count, seed + 1)]
    write_dataset(bare, seed + 1, folder, "train", workers=2)


def ignore_faint(folder: Path) -> None:
    """Mark the tips of a drawn dataset that people would hardly see as ignored."""
    tips = table.read(folder / "tips.csv")
    tags = tips["cause"].fillna("").str.split(";")
    faint = tags.map(lambda own: "small" in own and bool({"translucent", "film"} & {*own}))
    bundle = tags.map(lambda own: "bundle" in own)
    beside = tags.map(lambda own: bool({*own} - {"", "small", "close pair"}))
    fine = (tips["width"] < FINEST) & beside
    tips.loc[faint | bundle | fine, "ignore"] = 1
    table.write(tips, folder / "tips.csv")


def some_rows(count: int, seed: int, size: int = 800, every: int = SEEDLINGS) -> list[Plate]:
    """Plates of all kinds with few long hairs; one of `every` so many is a row of young plants."""
    plates = [
        replace(plate, long_hairs=LONE * plate.long_hairs)
        for plate in varied_plates(count, seed, size=size)
    ]
    rng = np.random.default_rng(seed)
    plates[::every] = [seedlings(plate, rng) for plate in plates[::every]]
    return plates


def on_soil(plates: Sequence[Plate], seed: int) -> list[Plate]:
    """The plates with coarse grain, of which people could still tell their roots."""
    rng = np.random.default_rng(seed)
    rough = []
    for plate in plates:
        apart = abs(np.mean(plate.root) - np.mean(plate.paper))
        grain = min(rng.uniform(*SOIL_GRAIN), apart / STAND_OUT)
        size = float(np.exp(rng.uniform(*np.log(SOIL_GRAIN_SIZE))))
        rough.append(replace(plate, grain=float(max(grain, plate.grain)), grain_size=size))
    return rough


def seedlings(plate: Plate, rng: np.random.Generator) -> Plate:
    """The plate with young plants in a row whose roots are fine and whose shoots are not."""
    if plate.plants == 0:
        return plate
    px_per_mm = rng.uniform(7, 13)
    smaller = plate.px_per_mm / px_per_mm
    return replace(
        plate,
        px_per_mm=px_per_mm,
        plants=int(rng.integers(3, 8)),
        day=rng.uniform(2, 6),
        top=rng.uniform(5, 25),
        root_width=rng.uniform(3, 4.5),
        thinnest=0.7,
        leaves=rng.uniform(1, 6),
        hair_length=plate.hair_length * smaller,
        hairless=plate.hairless * smaller,
        rim=plate.rim * smaller,
        clamp=0.0,
    )


MADE = {
    "drawn": (draw, 2000),
    "pages": (draw_pages, 300),
    "plain": (draw_plain, 150),
    "empty": (draw_empty, 300),
    "soil": (draw_soil, 600),
}
"""Sets that are made to learn from: by what, and how many pictures.

Their seeds are up to 2 more than the one given, so two that shall share no plate are 3 apart.
"""


def make_sets(output: Path, seed: int, part: int = 1) -> list[Path]:
    """The folders of `MADE` in `output`, one `part`-th of each; what is there stays."""
    same(output, {"seed": seed, "part": part})
    folders = []
    for name, (make, count) in MADE.items():
        folders.append(whole(output / name, make, count // part, seed))
    return folders


if __name__ == "__main__":
    command_line.run(main)
