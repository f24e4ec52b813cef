"""What lies on the roots: seeds, shoots, dirt, fibres, writing, clamps, drops of water."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip.synth.growth import Line
from roottip.synth.plate import Plate, stream
from roottip.synth.shapes import Shape, area, disc, ellipse, lay, letter, letter_size, line

DIRT, LABEL, SEED, DROP = 1, 2, 3, 4
"""What `Clutter.kind` says of a pixel; 0 is nothing."""

GRASSES = ("barley", "maize", "wheat")
"""Species with blades for leaves."""

_FONTS = (
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
)
_LETTERS = list("0123456789ABCDEFGHKLMNPRSTVXYabdeghkmnrtwxy-+./")


@dataclass
class Clutter:
    """What lies on the roots.

    Attributes
    ----------
    paint : (H, W, 4) uint8
        Red, green, blue, each times the opacity, and the opacity.
    kind : (H, W) uint8
        `DIRT`, `LABEL`, `SEED`, `DROP` or 0.
    hidden : (H, W) bool
        Where a clamp, rim or sticker lies.
    places : list of (x, y, cause)
        What looks like a tip and is none, and is not hidden; some outside the picture.
    """

    paint: Any
    kind: Any
    hidden: Any
    places: list[tuple[float, float, str]] = field(default_factory=list)

    def lay(self, thing: Sequence[Shape], opacity: float, kind: int = 0) -> None:
        """Lay a thing over what is there; a kind of 0 leaves the kind as it is."""
        part, covered = lay(self.paint, thing, opacity)
        if kind:
            self.kind[part][covered] = kind

    def cover(self, thing: Sequence[Shape]) -> None:
        """Hide what is there; what is laid on it later is seen."""
        part, covered = lay(self.paint, thing, 1.0)
        self.hidden[part] |= covered
        self.kind[part][covered] = 0
        under = np.zeros_like(self.hidden)
        under[part] = covered
        self.places = [place for place in self.places if not value_at(under, place[:2], False)]


def value_at(plane: Any, xy: Any, outside: Any) -> Any:
    """What an (H, W) plane holds at points, (..., 2) px, and outside of it."""
    column, row = np.moveaxis(np.rint(xy).astype(int), -1, 0)
    inside = (row >= 0) & (column >= 0) & (row < plane.shape[0]) & (column < plane.shape[1])
    return np.where(inside, plane[np.where(inside, row, 0), np.where(inside, column, 0)], outside)


def scatter(plate: Plate, seed: int, sown: Line) -> Clutter:
    """Draw all that lies on the roots.

    Parameters
    ----------
    plate : Plate
    seed : int
    sown : (N, 2) float
        Where the seeds are, px.
    """
    made = Clutter(
        np.zeros((plate.height, plate.width, 4), dtype=np.uint8),
        np.zeros((plate.height, plate.width), dtype=np.uint8),
        np.zeros((plate.height, plate.width), dtype=bool),
    )
    _grid(made, plate, stream(seed, "grid"))
    for n, (x, y) in enumerate(sown):
        stem = _seed(made, plate, x, y, stream(seed, "seed", n))
        _leaves(made, plate, stem, stream(seed, "leaves", n))
    _dirt(made, plate, stream(seed, "dirt"))
    _residue(made, plate, stream(seed, "residue"))
    _fibres(made, plate, stream(seed, "fibres"))
    _drops(made, plate, stream(seed, "drops"))
    _scratches(made, plate, stream(seed, "scratches"))
    _ruled(made, plate, stream(seed, "ruled"))
    _labels(made, plate, stream(seed, "labels"))
    _frame(made, plate, stream(seed, "frame"))
    return made


def _many(plate: Plate, density: float, rng: np.random.Generator) -> int:
    return int(rng.poisson(max(density, 0) * plate.megapixels))


def _seed(made: Clutter, plate: Plate, x: float, y: float, rng: np.random.Generator) -> Line:
    """A seed and its shoot; the line that the shoot follows, (N, 2) px from the seed up."""
    if plate.seeds <= 0:
        made.places.append((x, y, "seed"))  # where roots begin looks like their end
        return np.array([[x, y]])
    mm = plate.px_per_mm
    long = max(rng.uniform(2.5, 7) * mm, 1.2 * plate.root_width)
    shoot = rng.uniform(3, 9) * long * min(1.0, plate.day / 5)
    tall = np.linspace(0, 1, 16)
    stem = np.stack(
        [
            x + 0.12 * shoot * rng.normal() * tall**2 + 0.03 * shoot * np.sin(3 * tall),
            y - shoot * tall,
        ],
        axis=1,
    )
    half = 0.22 * long * (1 - 0.55 * tall**2) * rng.uniform(0.7, 1.2)
    half[-1] = 0.3
    leaf = np.array(rng.choice([(215, 205, 125), (150, 175, 80), (225, 220, 190)]))
    edge = np.stack([half, np.zeros(16)], axis=1)
    _blade(made, plate, stem, edge, leaf, ((1.0, 0.85), (0.6, 1.0), (0.25, 1.1)))
    made.places.append((stem[-1, 0], stem[-1, 1], "seed"))
    brown = rng.uniform(110, 225) * np.array([1.0, rng.uniform(0.65, 0.85), rng.uniform(0.3, 0.6)])
    turn = rng.normal(90, 25)
    fat = long * rng.uniform(0.28, 0.5)
    body = [
        ellipse(x, y, (long / 2 * ring, fat * ring), turn, brown * tone)
        for ring, tone in ((1.0, 0.8), (0.75, 1.0), (0.35, 1.15))
    ]
    made.lay(body, plate.seeds, SEED)
    way = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))]) * long / 2
    made.places += [(x - way[0], y - way[1], "seed"), (x + way[0], y + way[1], "seed")]
    return stem


def _leaves(made: Clutter, plate: Plate, stem: Line, rng: np.random.Generator) -> None:
    """Leaves along a shoot, bent by their weight: long blades of grasses, round ones on stalks."""
    if plate.seeds <= 0:
        return
    grass = plate.species in GRASSES
    green = rng.uniform((60, 95, 30), (190, 215, 130))
    along = np.linspace(0, 1, 24)
    for _ in range(rng.poisson(plate.leaves)):
        mm = plate.px_per_mm * min(1.0, 0.3 + plate.day / 8)
        long = rng.uniform(15, 70) * mm if grass else rng.uniform(4, 22) * mm
        start = stem[rng.integers(len(stem) // 3, len(stem))]
        turn = rng.normal(0, 0.6 if grass else 0.9)
        turn = turn + np.sign(turn) * rng.uniform(0, 1.2) * along  # from straight up, rad
        way = np.stack([np.sin(turn), -np.cos(turn)], axis=1)
        axis = start + np.cumsum(way, axis=0) * long / len(along)
        if grass:
            half = long * rng.uniform(0.015, 0.05) * np.minimum(1, 5 * along) * (1 - along**3)
        else:
            stalk = rng.uniform(0.2, 0.6)
            blade = np.clip((along - stalk) / (1 - stalk), 0, 1)
            half = long * rng.uniform(0.1, 0.3) * np.sqrt(blade * (1 - blade))
        half = np.maximum(half, long * rng.uniform(0.008, 0.025) * (1 - 0.6 * along))
        edge = half[:, None] * np.stack([-way[:, 1], way[:, 0]], axis=1)
        leaf = green * rng.uniform(0.75, 1.25)
        _blade(made, plate, axis, edge, leaf, ((1.0, 0.85), (0.7, 1.0)))
        if rng.random() < 0.6:
            vein = line(axis[:-2], 1, leaf * rng.uniform(0.8, 1.3))
            made.lay([vein], 0.7 * plate.seeds, SEED)
        made.places.append((axis[-1, 0], axis[-1, 1], "seed"))


def _blade(
    made: Clutter,
    plate: Plate,
    axis: Line,
    edge: Line,
    colour: NDArray[np.float64],
    rings: tuple[tuple[float, float], ...],
) -> None:
    """A shoot or leaf from its axis to its edge, (N, 2) px each, in rings of a share and a tone."""
    made.lay(
        [
            area(np.concatenate([axis - ring * edge, (axis + ring * edge)[::-1]]), colour * tone)
            for ring, tone in rings
        ],
        plate.seeds,
        SEED,
    )


def _grid(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Lines of the squares that a plate is engraved with: they cover nothing and end nowhere."""
    if plate.grid <= 0:
        return
    tilt = rng.normal(0, 0.01)
    tone = np.full(3, 235.0 if rng.random() < 0.6 else 20.0)
    opacity = rng.uniform(0.08, 0.45)
    thick = 1 + int(rng.random() < 0.4)
    step, reach = plate.grid * plate.px_per_mm, plate.width + plate.height
    aside = tilt * reach
    lines = [
        line(ends, thick, tone)
        for at in np.arange(rng.uniform(-step, 0), reach, step)
        for ends in ([[at, 0], [at - aside, reach]], [[0, at], [reach, at + aside]])
    ]
    made.lay(lines, opacity)


def _dirt(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Blotches of a few discs, dark ones mostly."""
    for _ in range(_many(plate, plate.dirt, rng)):
        x, y = rng.uniform((0, 0), (plate.width, plate.height))
        size = plate.dirt_size * rng.lognormal(-0.4, 0.6)
        tone = rng.uniform(0, 90) if rng.random() < 0.6 else rng.uniform(90, 235)
        rgb = tone * np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.6, 1)])
        opacity = rng.uniform(0.25, 1.0)
        discs = [
            disc(x + size / 2 * dx, y + size / 2 * dy, size / 2 * np.exp(0.4 * r), rgb)
            for dx, dy, r in rng.normal(0, 1, (rng.integers(1, 6), 3))
        ]
        made.lay(discs, opacity, DIRT)
        made.places.append((x, y, "dirt"))


def _residue(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Pale flakes of paper: clouds of specks and short threads."""
    for _ in range(_many(plate, plate.residue, rng)):
        x, y = rng.uniform((0, 0), (plate.width, plate.height))
        spread = rng.uniform(2, 14)
        rgb = np.array(plate.paper) + (235 - np.array(plate.paper)) * rng.uniform(0.3, 1)
        opacity = rng.uniform(0.15, 0.6)
        cloud: list[Shape] = []
        for dx, dy in rng.normal(0, spread, (rng.integers(5, 40), 2)):
            if rng.random() < 0.5:
                cloud.append(disc(x + dx, y + dy, rng.uniform(0.4, 1.6), rgb))
            else:
                turn = rng.uniform(0, np.pi)
                way = rng.uniform(2, 8) * np.array([np.cos(turn), np.sin(turn)])
                cloud.append(line([(x + dx, y + dy), (x + dx + way[0], y + dy + way[1])], 1, rgb))
        made.lay(cloud, opacity, DIRT)
        made.places.append((x, y, "dirt"))


def _fibres(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Loose threads that bend more than roots do."""
    for _ in range(_many(plate, plate.fibres, rng)):
        steps = int(rng.integers(6, 60))
        turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.05, 0.4), steps))
        path = np.cumsum(4 * np.stack([np.cos(turn), np.sin(turn)], axis=1), axis=0)
        path += rng.uniform((0, 0), (plate.width, plate.height)) - path[steps // 2]
        tone = rng.uniform(10, 245) * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.7, 1)])
        thread = line(path, 1 + int(rng.random() < 0.3), tone)
        made.lay([thread], rng.uniform(0.3, 0.9), DIRT)
        made.places += [(*path[0], "hair"), (*path[-1], "hair")]


def _drops(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Drops of condensation: a pale lens with a bright rim and a glint."""
    for _ in range(_many(plate, plate.drops, rng)):
        for _ in range(rng.integers(1, 8)):
            x, y = rng.uniform((0, 0), (plate.width, plate.height))
            r = float(np.clip(rng.lognormal(2, 0.6), 3, 40))
            pale = np.array(plate.paper) * 0.7 + 70
            made.lay([disc(x, y, r, pale)], rng.uniform(0.05, 0.2), DROP)
            rim = ellipse(x, y, (r, r), 0.0, pale * 1.2, thickness=1)
            made.lay([rim], rng.uniform(0.15, 0.5))
            glint = disc(x - 0.4 * r, y - 0.4 * r, 0.15 * r, (250, 250, 250))
            made.lay([glint], rng.uniform(0.3, 0.9))


def _scratches(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    for _ in range(_many(plate, plate.scratches, rng)):
        start = rng.uniform((0, 0), (plate.width, plate.height))
        turn, long = rng.uniform(0, 2 * np.pi), rng.uniform(20, 250)
        way = long * np.array([np.cos(turn), np.sin(turn)])
        bent = 0.03 * long * rng.normal() * np.array([-np.sin(turn), np.cos(turn)])
        path = np.stack([start, start + way / 2 + bent, start + way])
        tone = 235 if rng.random() < 0.7 else 25
        made.lay([line(path, 1, (tone, tone, tone))], rng.uniform(0.15, 0.6), DIRT)
        made.places += [(*path[0], "scratch"), (*path[-1], "scratch")]


def _ruled(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Pencil lines with ticks."""
    for _ in range(rng.poisson(plate.ruled)):
        y = plate.height * rng.uniform(0.05, 0.95)
        fall = plate.height * rng.normal(0, 0.01)
        tone = np.array(plate.paper) * rng.uniform(0.4, 0.8)
        opacity = rng.uniform(0.4, 0.9)
        ends = [(-5.0, y), (plate.width + 5.0, y + fall)]
        lines = [line(ends, int(rng.integers(1, 3)), tone)]
        for share in np.arange(rng.uniform(0.05, 0.3), 1, rng.uniform(0.1, 0.3)):
            x, at = share * plate.width, y + share * fall
            lines.append(line([(x, at - 7), (x, at + 7)], 1, tone))
            made.places += [(x, at - 7, "scratch"), (x, at + 7, "scratch")]
        made.lay(lines, opacity, DIRT)


def _labels(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Words in pen on the cover, some on a sticker that hides what is below."""
    for _ in range(_many(plate, plate.labels, rng)):
        word = rng.choice(_LETTERS, rng.integers(2, 9))
        scale = rng.uniform(0.6, 2.2)
        x, y = rng.uniform((0, 0.05), (0.85, 1)) * (plate.width, plate.height)
        pen = np.array(rng.choice([(25, 25, 30), (25, 35, 110), (120, 25, 30), (235, 235, 235)]))
        if rng.random() < 0.3:
            right, height = x + 21 * scale * len(word), 24 * scale
            corners = [(x - 9, y + 12), (right, y + 12), (right, y - height), (x - 9, y - height)]
            made.cover([area(corners, (232, 230, 222))])
            pen = pen if pen[0] < 200 else np.array((25, 25, 30))
        font, thick = int(rng.choice(_FONTS)), int(rng.integers(1, 4))
        opacity = rng.uniform(0.6, 1)
        letters = []
        for text in map(str, word):
            size = scale * rng.uniform(0.85, 1.15)
            at = (round(x), round(y + rng.normal(0, 2)))
            wide, high = letter_size(text, font, size, thick)
            letters.append(letter(text, *at, font, size, thick, pen))
            made.places.append((x + wide / 2, y - high / 2, "label"))
            x += wide + rng.uniform(0, 4)
        made.lay(letters, opacity, LABEL)


def _frame(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """A clamp over the upper edge and the plate's rim along the others."""
    right, bottom = plate.width + 5.0, plate.height + 5.0
    if plate.clamp > 0:
        low = plate.clamp * plate.px_per_mm
        tilt = rng.normal(0, 0.006) * plate.width
        tone = rng.uniform(8, 60) if rng.random() < 0.75 else rng.uniform(150, 230)
        edge = [(-5.0, low - tilt), (right, low + tilt)]
        bar = [(-5.0, -5.0), *edge, (right, -5.0)]
        made.cover([area(bar, (tone, tone, tone * 1.03))])
        for share, more in ((0.97, 1.5), (0.9, 0.6), (0.6, 1.2)):  # rounded like a bar
            strip = line(np.array(edge) * (1.0, share), 2, np.full(3, tone * more))
            made.lay([strip], 0.5)
    if plate.rim > 0:
        wide = plate.rim * plate.px_per_mm
        tone = rng.uniform(15, 240)
        sides = {
            "left": [(-5.0, -5.0), (wide, -5.0), (wide, bottom), (-5.0, bottom)],
            "right": [(right - wide, -5.0), (right, -5.0), (right, bottom), (right - wide, bottom)],
            "below": [
                (-5.0, bottom - wide),
                (right, bottom - wide),
                (right, bottom),
                (-5.0, bottom),
            ],
        }
        for name in rng.permutation(list(sides))[: rng.integers(1, 4)]:
            made.cover([area(sides[name], np.full(3, tone))])
