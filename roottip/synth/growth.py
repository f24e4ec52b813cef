"""Root systems grown by CPlantBox in a thin layer; the only file that imports plantbox.

The parameter sets are the published ones that ship with CPlantBox (Schnepf et al. 2018,
Annals of Botany 121:1033; Giraud et al. 2023, in silico Plants 5:diad009). Lengths are mm, x to
the right and y down; the seed is at (0, 0). Days are days after germination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from defusedxml import ElementTree
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from roottip.errors import InputError

Line = NDArray[np.float64]

SPECIES = {
    "barley": "spring_barley_CF12",
    "cabbage": "Brassica_oleracea_Vansteenkiste_2014",
    "fababean": "Faba_synMRI",
    "lupin": "Lupinus_albus_Leitner_2014",
    "maize": "Zea_mays_4_Leitner_2014",
    "medick": "Medicago_truncatula_Postma_2011",
    "pea": "Pisum_sativum_a_Pagès_2014",
    "rapeseed": "Brassica_napus_a_Leitner_2010",
    "soybean": "Glycine_max",
    "sunflower": "Heliantus_Pages_2013",
    "wheat": "wheat",
}
"""The parameter set of each species, by its name in CPlantBox."""

THICKNESS = 1.0
"""Thickness of the layer between paper and cover in which roots grow, mm."""

STEP = 0.5
"""mm between the points of a grown line."""

_NODES = 2.0  # mm between CPlantBox's own nodes: where tropism turns a root
_SOWN = 1.0  # mm below the layer's upper edge: no root grows far above its seed
_SMOOTH = 1.6  # mm; roots are smooth, CPlantBox turns them at nodes


@dataclass(frozen=True)
class Root:
    """One root.

    Attributes
    ----------
    id : int
        The same on every day of one root system.
    parent : int
        `id` of the root it grows from; -1 for those that grow from the seed.
    plant : int
        Which of the plants on the plate it belongs to.
    order : int
        0 for roots from the seed, 1 for their laterals, and so on.
    line : (N, 2) float
        ``x, y`` from base to tip, mm.
    born : (N,) float
        When the tip was at each point, days; it never falls along the line.
    radius : float
        mm
    """

    id: int
    parent: int
    plant: int
    order: int
    line: Line
    born: NDArray[np.float64]
    radius: float


def check_species(names: Sequence[str]) -> None:
    """Refuse species without a parameter set.

    Raises
    ------
    InputError
        Names the species there are.
    """
    for name in names:
        if name not in SPECIES:
            raise InputError(f"there is no species {name!r}; there is {', '.join(SPECIES)}")


def grow(
    species: str, days: float, seed: int, width: float, depth: float, plant: int = 0
) -> list[Root]:
    """Grow one plant's roots until a day; `on_day` gives earlier days of the same plant.

    Parameters
    ----------
    species : str
        One of `SPECIES`.
    days : float
    seed : int
        The same seed grows the same roots, in any process.
    width, depth : float
        Of the layer, mm. The seed is in the middle of its upper edge.
    plant : int
        Written into the roots.

    Returns
    -------
    list of Root
        Parents before their laterals.

    Raises
    ------
    InputError
        The species is unknown, or CPlantBox is not installed.
    """
    check_species([species])
    try:
        import plantbox
    except ModuleNotFoundError as error:
        raise InputError(
            f"drawing plates needs {error.name}, which is not installed; "
            "pip install 'roottip[synth]'"
        ) from error
    system = plantbox.Plant()
    system.readParameters(_parameters(Path(plantbox.__file__), SPECIES[species]), "plant", False)
    system.setSeed(seed)
    system.setGeometry(plantbox.SDF_PlantBox(width / 10, THICKNESS / 10, depth / 10))  # cm
    for kind in system.getOrganRandomParameter(plantbox.root):
        if kind is not None:
            kind.dx = _NODES / 10
    for germ in system.getOrganRandomParameter(plantbox.seed):
        if germ is not None:  # sown at the layer's upper edge
            germ.seedPos = plantbox.Vector3d(0, 0, -_SOWN / 10)
    system.initialize(False)
    system.simulate(float(days), False)
    roots: dict[int, Root] = {}
    for organ in sorted(system.getOrgans(plantbox.root), key=lambda organ: organ.getId()):
        root = _root(organ, roots, plant)
        if root is not None:
            roots[root.id] = root
    return [replace(root, line=root.line - (0.0, _SOWN)) for root in roots.values()]


def _parameters(package: Path, name: str) -> str:
    """The parameter set as XML, without the literature list, which CPlantBox warns about."""
    path = package.parent / "modelparameter" / "structural" / "rootsystem" / f"{name}.xml"
    tree = ElementTree.parse(path).getroot()
    for reference in tree.findall("reference"):
        tree.remove(reference)
    return str(ElementTree.tostring(tree, encoding="unicode"))


def _root(organ: Any, known: dict[int, Root], plant: int) -> Root | None:
    nodes = np.array([(node.x, -node.z) for node in organ.getNodes()]) * 10
    count = len(nodes)
    if count < 2:
        return None
    born = np.maximum.accumulate([organ.getNodeCT(i) for i in range(count)])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))])
    if along[-1] < STEP:
        return None
    at = np.append(np.arange(0.0, along[-1] - STEP / 2, STEP), along[-1])
    line = np.stack([np.interp(at, along, nodes[:, i]) for i in (0, 1)], axis=1)
    line = _smooth(line)
    parent = organ.getParent()
    above = known.get(parent.getId()) if parent is not None else None
    if above is not None:  # smoothing has moved the parent a little
        to_parent = above.line - line[0]
        line = line + to_parent[np.argmin((to_parent**2).sum(axis=1))]
    return Root(
        id=int(organ.getId()),
        parent=-1 if above is None else above.id,
        plant=plant,
        order=0 if above is None else above.order + 1,
        line=line,
        born=np.interp(at, along, born),
        radius=float(organ.param().a) * 10,
    )


def _smooth(line: Line) -> Line:
    """Gaussian smoothing that leaves both ends where they are."""
    reach = min(len(line) - 1, round(4 * _SMOOTH / STEP))
    before = 2 * line[0] - line[reach:0:-1]
    after = 2 * line[-1] - line[-2 : -2 - reach : -1]
    padded = np.concatenate([before, line, after])
    smooth = gaussian_filter1d(padded, _SMOOTH / STEP, axis=0, truncate=4)
    return np.asarray(smooth[reach : reach + len(line)])


def on_day(roots: Sequence[Root], day: float) -> list[Root]:
    """The same roots as they were on an earlier day: each cut where its tip was then."""
    younger = []
    for root in roots:
        if root.born[0] >= day:
            continue
        if root.born[-1] <= day:
            younger.append(root)
            continue
        keep = int(np.searchsorted(root.born, day, side="right"))
        (x, y) = (np.interp(day, root.born, root.line[:, i]) for i in (0, 1))
        line = np.concatenate([root.line[:keep], [(x, y)]])
        if np.linalg.norm(np.diff(line, axis=0), axis=1).sum() < STEP:
            continue
        younger.append(replace(root, line=line, born=np.append(root.born[:keep], day)))
    return younger


def directions(line: Line) -> tuple[Line, Line]:
    """Unit vectors along a line, and to its side, at each of its points, (N, 2) each."""
    ahead = np.gradient(line, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    return ahead, ahead[:, ::-1] * (-1.0, 1.0)


def beside(root: Root, gap: float, together: float, shorter: float, new_id: int) -> Root:
    """A root that leaves its neighbour's base and ends beside its tip.

    Parameters
    ----------
    root : Root
        The neighbour, at least twice as long as `shorter`.
    gap : float
        To the side at the tip, mm; negative: to the other side.
    together : float
        Share of the length along which the two are one.
    shorter : float
        How much earlier it ends, mm.
    new_id : int
    """
    _, side = directions(root.line)
    # a steady side: the normal of the smoothed direction cannot fold the line over itself
    side = gaussian_filter1d(side, 6 / STEP, axis=0, mode="nearest")
    share = np.linspace(0, 1, len(root.line))[:, None]
    share = np.clip((share - together) / (1 - together), 0, 1)
    moved = root.line + gap * side * (share * share * (3 - 2 * share))
    keep = max(3, len(moved) - round(shorter / STEP))
    return replace(root, id=new_id, line=moved[:keep], born=root.born[:keep])
