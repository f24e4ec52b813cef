"""What lies on the roots: seeds, shoots, dirt, fibres, writing, clamps, drops of water."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roottip.synth.growth import Line
from roottip.synth.plate import Plate, stream

DIRT, LABEL, HIDDEN, SEED, DROP = 1, 2, 3, 4, 5
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
        `DIRT`, `LABEL`, `HIDDEN`, `SEED`, `DROP` or 0.
    places : list of (x, y, cause)
        What looks like a tip and is none.
    """

    paint: Any
    kind: Any
    places: list[tuple[float, float, str]] = field(default_factory=list)

    def colour(self, rgb: Any, opacity: float) -> tuple[float, float, float, float]:
        """As cv2 draws it on `paint`."""
        red, green, blue = (min(max(float(value), 0.0), 255.0) * opacity for value in rgb)
        return (red, green, blue, 255 * opacity)

    def dot(self, x: float, y: float, radius: float, rgb: Any, opacity: float, kind: int) -> None:
        """A disc."""
        centre, r = _fixed([[x, y]])[0].tolist(), max(1, round(radius * 16))
        cv2.circle(self.paint, centre, r, self.colour(rgb, opacity), -1, cv2.LINE_AA, 4)
        cv2.circle(self.kind, centre, r, kind, -1, cv2.LINE_8, 4)

    def line(self, xy: Line, thickness: int, rgb: Any, opacity: float, kind: int) -> None:
        """A bent line."""
        path = [_fixed(xy)]
        colour = self.colour(rgb, opacity)
        cv2.polylines(self.paint, path, False, colour, thickness, cv2.LINE_AA, 4)
        cv2.polylines(self.kind, path, False, kind, thickness, cv2.LINE_8, 4)

    def area(self, xy: Line, rgb: Any, opacity: float, kind: int) -> None:
        """A filled polygon."""
        path = [_fixed(xy)]
        cv2.fillPoly(self.paint, path, self.colour(rgb, opacity), cv2.LINE_AA, 4)
        cv2.fillPoly(self.kind, path, kind, cv2.LINE_8, 4)


def _fixed(xy: Any) -> NDArray[np.int32]:
    return np.asarray(np.round(np.asarray(xy) * 16), dtype=np.int32)


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
    centre = _fixed([[x, y]])[0].tolist()
    for ring, tone in ((1.0, 0.8), (0.75, 1.0), (0.35, 1.15)):
        axes = (round(8 * long * ring), round(16 * fat * ring))
        colour = made.colour(brown * tone, plate.seeds)
        cv2.ellipse(made.paint, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA, 4)
        cv2.ellipse(made.kind, centre, axes, turn, 0, 360, SEED, -1, cv2.LINE_8, 4)
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
            made.line(axis[:-2], 1, leaf * rng.uniform(0.8, 1.3), 0.7 * plate.seeds, SEED)
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
    for ring, tone in rings:
        outline = np.concatenate([axis - ring * edge, (axis + ring * edge)[::-1]])
        made.area(outline, colour * tone, plate.seeds, SEED)


def _grid(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Lines of the squares that a plate is engraved with: they cover nothing and end nowhere."""
    if plate.grid <= 0:
        return
    tilt = rng.normal(0, 0.01)
    tone = np.full(3, 235.0 if rng.random() < 0.6 else 20.0)
    colour = made.colour(tone, rng.uniform(0.08, 0.45))
    thick = 1 + int(rng.random() < 0.4)
    step, reach = plate.grid * plate.px_per_mm, plate.width + plate.height
    aside = tilt * reach
    for at in np.arange(rng.uniform(-step, 0), reach, step):
        for ends in ([[at, 0], [at - aside, reach]], [[0, at], [reach, at + aside]]):
            cv2.polylines(made.paint, [_fixed(ends)], False, colour, thick, cv2.LINE_AA, 4)


def _dirt(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Blotches of a few discs, dark ones mostly."""
    for _ in range(_many(plate, plate.dirt, rng)):
        x, y = rng.uniform((0, 0), (plate.width, plate.height))
        size = plate.dirt_size * rng.lognormal(-0.4, 0.6)
        tone = rng.uniform(0, 90) if rng.random() < 0.6 else rng.uniform(90, 235)
        rgb = tone * np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.6, 1)])
        opacity = rng.uniform(0.25, 1.0)
        for dx, dy, r in rng.normal(0, 1, (rng.integers(1, 6), 3)):
            radius = size / 2 * np.exp(0.4 * r)
            made.dot(x + 0.5 * size * dx, y + 0.5 * size * dy, radius, rgb, opacity, DIRT)
        made.places.append((x, y, "dirt"))


def _residue(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Pale flakes of paper: clouds of specks and short threads."""
    for _ in range(_many(plate, plate.residue, rng)):
        x, y = rng.uniform((0, 0), (plate.width, plate.height))
        spread = rng.uniform(2, 14)
        rgb = np.array(plate.paper) + (235 - np.array(plate.paper)) * rng.uniform(0.3, 1)
        opacity = rng.uniform(0.15, 0.6)
        for dx, dy in rng.normal(0, spread, (rng.integers(5, 40), 2)):
            if rng.random() < 0.5:
                made.dot(x + dx, y + dy, rng.uniform(0.4, 1.6), rgb, opacity, DIRT)
            else:
                turn = rng.uniform(0, np.pi)
                way = rng.uniform(2, 8) * np.array([np.cos(turn), np.sin(turn)])
                ends = np.array([[x + dx, y + dy], [x + dx + way[0], y + dy + way[1]]])
                made.line(ends, 1, rgb, opacity, DIRT)
        made.places.append((x, y, "dirt"))


def _fibres(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Loose threads that bend more than roots do."""
    for _ in range(_many(plate, plate.fibres, rng)):
        steps = int(rng.integers(6, 60))
        turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.05, 0.4), steps))
        path = np.cumsum(4 * np.stack([np.cos(turn), np.sin(turn)], axis=1), axis=0)
        path += rng.uniform((0, 0), (plate.width, plate.height)) - path[steps // 2]
        tone = rng.uniform(10, 245) * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.7, 1)])
        made.line(path, 1 + int(rng.random() < 0.3), tone, rng.uniform(0.3, 0.9), DIRT)
        made.places += [(*path[0], "hair"), (*path[-1], "hair")]


def _drops(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Drops of condensation: a pale lens with a bright rim and a glint."""
    for _ in range(_many(plate, plate.drops, rng)):
        for _ in range(rng.integers(1, 8)):
            x, y = rng.uniform((0, 0), (plate.width, plate.height))
            r = float(np.clip(rng.lognormal(2, 0.6), 3, 40))
            pale = np.array(plate.paper) * 0.7 + 70
            made.dot(x, y, r, pale, rng.uniform(0.05, 0.2), DROP)
            centre = _fixed([[x, y]])[0].tolist()
            ring = made.colour(pale * 1.2, rng.uniform(0.15, 0.5))
            cv2.circle(made.paint, centre, round(r * 16), ring, 1, cv2.LINE_AA, 4)
            glint = made.colour((250, 250, 250), rng.uniform(0.3, 0.9))
            shine = _fixed([[x - 0.4 * r, y - 0.4 * r]])[0].tolist()
            cv2.circle(made.paint, shine, round(2.4 * r), glint, -1, cv2.LINE_AA, 4)


def _scratches(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    for _ in range(_many(plate, plate.scratches, rng)):
        start = rng.uniform((0, 0), (plate.width, plate.height))
        turn, long = rng.uniform(0, 2 * np.pi), rng.uniform(20, 250)
        way = long * np.array([np.cos(turn), np.sin(turn)])
        bent = 0.03 * long * rng.normal() * np.array([-np.sin(turn), np.cos(turn)])
        path = np.stack([start, start + way / 2 + bent, start + way])
        tone = 235 if rng.random() < 0.7 else 25
        made.line(path, 1, (tone, tone, tone), rng.uniform(0.15, 0.6), DIRT)
        made.places += [(*path[0], "scratch"), (*path[-1], "scratch")]


def _ruled(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """Pencil lines with ticks."""
    for _ in range(rng.poisson(plate.ruled)):
        y = plate.height * rng.uniform(0.05, 0.95)
        fall = plate.height * rng.normal(0, 0.01)
        tone = np.array(plate.paper) * rng.uniform(0.4, 0.8)
        opacity = rng.uniform(0.4, 0.9)
        ends = np.array([[-5.0, y], [plate.width + 5.0, y + fall]])
        made.line(ends, int(rng.integers(1, 3)), tone, opacity, DIRT)
        for share in np.arange(rng.uniform(0.05, 0.3), 1, rng.uniform(0.1, 0.3)):
            x, at = share * plate.width, y + share * fall
            made.line(np.array([[x, at - 7], [x, at + 7]]), 1, tone, opacity, DIRT)
            made.places += [(x, at - 7, "scratch"), (x, at + 7, "scratch")]


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
            made.area(np.array(corners), (232, 230, 222), 1.0, HIDDEN)
            pen = pen if pen[0] < 200 else np.array((25, 25, 30))
        font, thick = int(rng.choice(_FONTS)), int(rng.integers(1, 4))
        colour = made.colour(pen, rng.uniform(0.6, 1))
        for letter in word:
            size = scale * rng.uniform(0.85, 1.15)
            (wide, high), _ = cv2.getTextSize(str(letter), font, size, thick)
            at = (round(x), round(y + rng.normal(0, 2)))
            cv2.putText(made.paint, str(letter), at, font, size, colour, thick, cv2.LINE_AA)
            cv2.putText(made.kind, str(letter), at, font, size, LABEL, thick + 1)
            made.places.append((x + wide / 2, y - high / 2, "label"))
            x += wide + rng.uniform(0, 4)


def _frame(made: Clutter, plate: Plate, rng: np.random.Generator) -> None:
    """A clamp over the upper edge and the plate's rim along the others."""
    right, bottom = plate.width + 5.0, plate.height + 5.0
    if plate.clamp > 0:
        low = plate.clamp * plate.px_per_mm
        tilt = rng.normal(0, 0.006) * plate.width
        tone = rng.uniform(8, 60) if rng.random() < 0.75 else rng.uniform(150, 230)
        edge = [(-5.0, low - tilt), (right, low + tilt)]
        bar = np.array([(-5.0, -5.0), *edge, (right, -5.0)])
        made.area(bar, (tone, tone, tone * 1.03), 1.0, HIDDEN)
        for share, more in ((0.97, 1.5), (0.9, 0.6), (0.6, 1.2)):  # rounded like a bar
            strip = np.array(edge) * (1.0, share)
            made.line(strip, 2, np.full(3, tone * more), 0.5, HIDDEN)
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
            made.area(np.array(sides[name]), np.full(3, tone), 1.0, HIDDEN)
