"""All settings of one drawn plate, as plain numbers, and plates that vary them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from roottip.errors import InputError, check_number
from roottip.synth.growth import SPECIES, check_species

SMALLEST = 32
"""px of a plate's side."""

FINEST = 1000.0
"""px that a mm is drawn large at most."""

_FINEST_GRID = 0.1
"""mm, of the squares that a plate may be engraved with."""


def _within(default: float, least: float = 0.0, most: float = math.inf, above: bool = False) -> Any:
    """A field and the limits of what may be given for it; of a plain one the least is 0."""
    return field(default=default, metadata={"least": least, "most": most, "above": above})


def _share(default: float) -> Any:
    return _within(default, most=1.0)


@dataclass(frozen=True)
class Plate:
    """Settings of one drawn plate.

    Counts are for a megapixel, so that a larger plate has more of each; a fraction of one may
    be drawn. Colours are 0 to 255.

    Attributes
    ----------
    width, height : int
        px
    px_per_mm : float
        How large a mm of the plants is drawn.
    species : str
    day : float
        Age, days after germination.
    plants : int
        Side by side on the plate; 0 draws a plate without roots.
    laterals : float
        Share of the laterals that grow, 0 to 1.
    top : float
        Where the seeds are below the picture's upper edge, mm; negative: above it.
    root_width : float
        Of the thickest root where it starts, px; the others follow the ratio of their radii.
    thinnest : float
        Lowest ratio of a root's width to the thickest root's, 0 to 1.
    taper : float
        Width near the tip over width at the base.
    sharpness : float
        Length of the rounded end over its half width: 1 is round, 3 is pointed.
    translucency : float
        How much light the last mm lets through, 0 to 1.
    cap : float
        How much the root cap is yellow, 0 to 1.
    shading : float
        How much darker a root's edges are than its middle, 0 to 1.
    gloss : float
        Strength of wet highlights on roots, 0 to 1.
    faint : float
        How much paper shows through laterals, 0 to 1.
    pairs : float
        Roots that end beside another root's tip, for each plant.
    pair_gap : float
        The widest gap of such a pair, px; the narrowest is 2 px.
    hairs : float
        Root hairs on each mm of root.
    hair_length : float
        mm
    hair_opacity : float
        0 to 1
    hairless : float
        Length of the zone behind the tip without hairs, mm.
    haze : float
        Opacity of the fuzz that hairs too fine to see make, 0 to 1.
    long_hairs : float
        Single long hairs; a megapixel.
    dirt, residue, fibres, scratches, drops, stains : float
        Blotches, scraps of paper, loose fibres, scratches of the cover, drops of condensation,
        soft dark stains; a megapixel.
    dirt_size : float
        Of a blotch, px.
    film : float
        How much a film of water changes colour and light, 0 to 1.
    labels : float
        Handwritten words; a megapixel.
    ruled : float
        Ruled lines, on a plate.
    grid : float
        Side of the squares that the plate is engraved with, mm; 0: none.
    clamp : float
        Height of a clamp over the upper edge, mm.
    rim : float
        Width of the plate's rim along the other edges, mm.
    seeds : float
        How much seeds and shoots can be seen, 0 to 1.
    leaves : float
        Leaves of a shoot: blades of grasses, else stalked ones.
    shadow : float
        How dark the roots' shadow is, 0 to 1.
    light : float
        How uneven the light is: its range over its mean.
    vignette : float
        How much darker the corners are, 0 to 1.
    grain : float
        Of the paper, grey levels.
    grain_size : float
        px
    cast : float
        Colour cast: -1 is blue, 1 is yellow.
    paper_red, paper_green, paper_blue, root_red, root_green, root_blue : float
        Colours.
    defocus : float
        Standard deviation of the blur, px.
    noise : float
        Standard deviation of the sensor's noise, grey levels.
    jpeg : int
        Quality, 1 to 100.
    """

    width: int = _within(1500, SMALLEST)
    height: int = _within(1500, SMALLEST)
    px_per_mm: float = _within(8.0, most=FINEST, above=True)
    species: str = "wheat"
    day: float = _within(6.0, above=True)
    plants: int = 2
    laterals: float = _share(1.0)
    top: float = _within(10.0, -math.inf)
    root_width: float = _within(7.0, above=True)
    thinnest: float = _share(0.4)
    taper: float = 0.75
    sharpness: float = _within(2.0, above=True)
    translucency: float = _share(0.15)
    cap: float = _share(0.3)
    shading: float = _share(0.3)
    gloss: float = _share(0.1)
    faint: float = _share(0.1)
    pairs: float = 0.5
    pair_gap: float = 20.0
    hairs: float = 12.0
    hair_length: float = 0.9
    hair_opacity: float = _share(0.25)
    hairless: float = 3.0
    haze: float = _share(0.1)
    long_hairs: float = 4.0
    dirt: float = 10.0
    residue: float = 3.0
    fibres: float = 3.0
    scratches: float = 1.5
    drops: float = 1.0
    stains: float = 4.0
    dirt_size: float = 5.0
    film: float = _share(0.15)
    labels: float = 0.4
    ruled: float = 0.3
    grid: float = 0.0
    clamp: float = 0.0
    rim: float = 0.0
    seeds: float = _share(1.0)
    leaves: float = 0.0
    shadow: float = _share(0.15)
    light: float = 0.15
    vignette: float = _share(0.1)
    grain: float = 4.0
    grain_size: float = _within(1.5, above=True)
    cast: float = _within(0.0, -1.0, 1.0)
    paper_red: float = _within(60.0, most=255.0)
    paper_green: float = _within(75.0, most=255.0)
    paper_blue: float = _within(190.0, most=255.0)
    root_red: float = _within(218.0, most=255.0)
    root_green: float = _within(215.0, most=255.0)
    root_blue: float = _within(215.0, most=255.0)
    defocus: float = 0.8
    noise: float = 3.0
    jpeg: int = _within(92, 1.0, 100.0)

    @property
    def paper(self) -> tuple[float, float, float]:
        """RGB."""
        return (self.paper_red, self.paper_green, self.paper_blue)

    @property
    def root(self) -> tuple[float, float, float]:
        """RGB."""
        return (self.root_red, self.root_green, self.root_blue)

    @property
    def megapixels(self) -> float:
        """Of the picture."""
        return self.width * self.height / 1e6


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are given, not None, as the types that `Plate` wants.

    Raises
    ------
    InputError
        There is no such setting, or it is out of its range.
    """
    limits = {own.name: own.metadata or {"least": 0.0} for own in fields(Plate)}
    given: dict[str, Any] = {}
    for key, value in settings.items():
        if value is None:
            continue
        if key not in limits:
            raise InputError(f"plate.{key}: there is no such setting of a plate")
        kind = type(getattr(Plate, key))
        if kind is str:
            check_species([str(value)])
        else:
            check_number(f"plate.{key}", value, whole=kind is int, **limits[key])
        given[key] = kind(value)
    if 0 < given.get("grid", 0.0) < _FINEST_GRID:
        raise InputError(f"plate.grid={given['grid']} must be 0 or at least {_FINEST_GRID} mm")
    return given


def stream(seed: int, *what: str | int) -> np.random.Generator:
    """Random numbers for one purpose, the same whatever else is drawn or not drawn."""
    words = [zlib.crc32(str(word).encode()) for word in what]
    return np.random.default_rng([seed, *words])


_PAPERS = {  # RGB and how far each varies, share
    "blue": ((45, 65, 205), 0.15),
    "wet grey": ((112, 110, 108), 0.2),
    "black": ((28, 28, 30), 0.4),
    "white": ((226, 226, 220), 0.05),
    "agar": ((150, 145, 128), 0.2),
    "brown": ((120, 95, 70), 0.2),
}
_PAPER_ODDS = (0.22, 0.22, 0.14, 0.12, 0.1, 0.06)  # the rest: any colour


def varied(
    seed: int,
    width: int = 800,
    height: int = 800,
    species: Sequence[str] = tuple(SPECIES),
    px_per_mm: float | None = None,
) -> Plate:
    """A plate of any background, contrast, root width, hairiness and dirtiness.

    Parameters
    ----------
    seed : int
        The same seed gives the same plate.
    width, height : int
        px
    species : sequence of str
        To choose from.
    px_per_mm : float, optional
        Else it varies, 3 to 11.

    Returns
    -------
    Plate
        One in ten is without roots, but with dirt, fibres and labels.
    """
    rng = stream(seed, "plate")
    scale = px_per_mm or float(np.exp(rng.uniform(np.log(3), np.log(11))))
    # thicker where a mm is larger, but far from the same ratio: species and ages differ
    root_width = float(np.clip(scale * rng.lognormal(-0.05, 0.4), 3, 14))
    depth = height / scale
    seen = rng.random() < 0.55  # the seeds
    top = depth * rng.uniform(0.03, 0.3) if seen else -rng.uniform(0.0, 60.0)
    # main roots grow 15 to 35 mm a day; their tips shall often be in the picture
    day = float(np.clip((depth * rng.uniform(0.2, 1.1) - min(top, 0)) / 22, 1.2, 14))
    hairy = rng.choice([0.0, 0.3, 1.0, 2.2], p=[0.2, 0.3, 0.35, 0.15])
    clutter = rng.choice([0.2, 1.0, 3.0], p=[0.35, 0.45, 0.2])
    paper, root = _colours(rng)
    clamped = rng.random() < 0.25
    more = stream(seed, "shoots and squares")
    plate = Plate(
        width=width,
        height=height,
        px_per_mm=scale,
        species=str(rng.choice(list(species))),
        day=round(day, 2),
        plants=int(np.clip(rng.poisson(width / scale / 60) + 1, 1, 2 if day > 6 else 4)),
        laterals=rng.uniform(0.2, 1),
        top=top,
        root_width=root_width,
        thinnest=float(np.clip(2.5 / root_width, rng.uniform(0.3, 0.6), 0.9)),
        taper=rng.uniform(0.6, 0.95),
        sharpness=rng.uniform(1.0, 3.0),
        translucency=float(rng.choice([rng.uniform(0, 0.15), rng.uniform(0.2, 0.65)])),
        cap=rng.uniform(0, 0.7),
        shading=rng.uniform(0.05, 0.5),
        gloss=rng.uniform(0, 0.6) if rng.random() < 0.4 else 0.0,
        faint=rng.uniform(0, 0.45),
        pairs=rng.uniform(0, 1.2),
        pair_gap=rng.uniform(8, 30),
        hairs=hairy * rng.uniform(8, 25),
        hair_length=rng.uniform(4, 22) / scale,
        hair_opacity=rng.uniform(0.15, 0.65),
        hairless=rng.uniform(8, 45) / scale,
        haze=hairy * rng.uniform(0, 0.2),
        long_hairs=rng.exponential(8) * (hairy > 0),
        dirt=clutter * rng.exponential(18),
        residue=clutter * rng.exponential(5),
        fibres=clutter * rng.exponential(4),
        scratches=clutter * rng.exponential(2),
        drops=clutter * rng.exponential(3) * (rng.random() < 0.4),
        stains=rng.exponential(3),
        dirt_size=float(np.exp(rng.uniform(np.log(1.5), np.log(12)))),
        film=rng.uniform(0, 0.4) if rng.random() < 0.4 else 0.0,
        labels=rng.exponential(1.2) if rng.random() < 0.4 else 0.0,
        ruled=rng.uniform(0, 2) if rng.random() < 0.25 else 0.0,
        grid=more.uniform(5, 20) if more.random() < 0.12 else 0.0,
        clamp=max(top, 0) + rng.uniform(0.01, 0.12) * depth if clamped else 0.0,
        rim=rng.uniform(0.01, 0.06) * depth if rng.random() < 0.2 else 0.0,
        seeds=rng.uniform(0.75, 1),  # without, roots would begin with an end like a tip
        leaves=more.uniform(1, 6) if more.random() < 0.5 else 0.0,
        shadow=rng.uniform(0, 0.4),
        light=rng.uniform(0, 0.45),
        vignette=rng.uniform(0, 0.35),
        grain=rng.uniform(0.5, 9),
        grain_size=float(np.exp(rng.uniform(np.log(0.7), np.log(4)))),
        cast=rng.normal(0, 0.25),
        paper_red=paper[0],
        paper_green=paper[1],
        paper_blue=paper[2],
        root_red=root[0],
        root_green=root[1],
        root_blue=root[2],
        defocus=rng.uniform(0.4, 1.6) if rng.random() < 0.85 else rng.uniform(1.6, 2.6),
        noise=rng.uniform(0.5, 9),
        jpeg=int(rng.integers(70, 98)),
    )
    if rng.random() < 0.1:
        return replace(
            plate,
            plants=0,
            fibres=plate.fibres + 5,
            dirt=plate.dirt + 10,
            labels=plate.labels + 1,
        )
    return plate


def _colours(rng: np.random.Generator) -> tuple[list[float], list[float]]:
    """RGB of a paper and of roots brighter or darker than it by 25 to 170 grey levels."""
    kind = rng.random()
    known = np.searchsorted(np.cumsum(_PAPER_ODDS), kind)
    if known < len(_PAPERS):
        base, spread = list(_PAPERS.values())[known]
        paper = np.array(base) * (1 + spread * rng.uniform(-1, 1)) + rng.normal(0, 6, 3)
    else:
        paper = rng.uniform(20, 235, 3)
    paper = np.clip(paper, 8, 245)
    darker = paper.mean() > 175 or (paper.mean() > 120 and rng.random() < 0.3)
    room = paper.mean() - 15 if darker else 245 - paper.mean()
    contrast = min(room, rng.choice([rng.uniform(28, 90), rng.uniform(80, 190)]))
    warm = rng.uniform(-0.4, 1.0)  # bluish white to straw
    tint = np.array([1 + 0.04 * warm, 1.0, 1 - 0.2 * warm])
    level = paper.mean() + (-contrast if darker else contrast)
    root = level * tint / tint.mean()
    root += rng.uniform(0.0, 0.5) * (paper - paper.mean()) * (1 - contrast / 255)  # shines through
    root = np.clip(root, 5, 252)
    return [float(value) for value in paper], [float(value) for value in root]
