"""Looking back at the kernels: what a trained net looks at, in tables, pictures and a page.

The windows explained are those of the detector itself on annotated images: hits, misses and
false alarms as `compare` counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from tqdm import tqdm

from roottip import explain_page, explain_tables, table, windows
from roottip.compare import compare
from roottip.errors import InputError, check_number
from roottip.explain_tables import OUTCOMES, ZONES
from roottip.images import read_image
from roottip.interchange import Dataset
from roottip.learning import attribution, handmade
from roottip.learning.plates import distance
from roottip.matching import FALSE_ALARM, HIT, MISS
from roottip.places import check_own
from roottip.provenance import provenance
from roottip.scale import REFERENCE_WIDTH, adjustment, rescaled
from roottip.scorers import cnn, load
from roottip.windows import Centres, Image

TABLES = ("kernels", "layers", "features", "windows", "zones")
"""Each becomes NAME.csv."""

PER_IMAGE = 150
"""Windows drawn from each image, to hold features against what a person would measure."""

ON_TIP, OFF_TIP = 4.0, 9.0
"""px at the common root width: a window nearer to a marked tip is one, one farther is none."""

BEST = 8
"""Windows kept of those that excite a feature most; 2 of an image at most, for variety."""

SQUARE = int(REFERENCE_WIDTH)
"""px of the squares that are covered: one root width."""


@dataclass
class Seen:
    """What was gathered from the images.

    Attributes
    ----------
    sample : list of DataFrame
        Of each image a row for each window drawn: ``image``, ``tip`` (1 or 0) and
        `handmade.QUANTITIES`.
    features : list of (N, K) float32
        Of those windows.
    pieces : list of (N, side, side, 3) uint8
        Their middles, as large as a kernel of the first layer.
    best : list of list of (float, str, Image)
        For each feature its strongest windows: value, where, and the window.
    windows : dict of int to tuple
        For each row of the windows to explain: the window, empty ground, and `structure`.
    """

    sample: list[pd.DataFrame] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    pieces: list[Image] = field(default_factory=list)
    best: list[list[tuple[float, str, Image]]] = field(default_factory=list)
    windows: dict[int, tuple[Image, Image, Image]] = field(default_factory=dict)


def explain(
    dataset: Dataset,
    weights: Path,
    output: Path,
    tolerance: float = 10.0,
    image: str | None = None,
    count: int = 16,
    seed: int = 0,
) -> tuple[list[str], pd.DataFrame]:
    """Look back at a net and write what was seen.

    Parameters
    ----------
    dataset : Dataset
    weights : Path
        ``NAME.onnx`` with its card.
    output : Path
        Folder for ``explain.html``, ``kernels.csv, layers.csv, features.csv, windows.csv,
        zones.csv`` and ``pictures/``.
    tolerance : float
        px, as for `compare`.
    image : str, optional
        Whose surest hit is followed through the layers; that of all images where not given.
    count : int
        Of hits, of misses and of false alarms to explain, drawn at random where there are more.
    seed : int

    Returns
    -------
    sentences : list of str
        What came out.
    images : DataFrame
        The images table.

    Raises
    ------
    InputError
        The net or the image cannot be used, nothing is found and nothing marked, or `output` holds
        something else.
    """
    # the tables are written in this order, so the first one is there even if a kill came between
    check_own(output, "kernels.csv", [*(f"{name}.csv" for name in TABLES[1:]), "explain.html"])
    check_number("count", count, 1, whole=True)
    check_number("seed", seed, 0, whole=True)
    if image is not None and image not in set(dataset.images["image"]):
        raise InputError(
            f"image={image} is none of the {len(dataset.images)} images, such as "
            f"{dataset.images['image'].iloc[0]!r}"
        )
    started = datetime.now(timezone.utc)
    net, detector = attribution.read_net(weights), load("cnn", weights=weights)
    evaluations, images = compare(dataset, {"cnn": detector}, tolerance)
    failed = images.loc[(images["image"] == image) & (images["status"] == "failed"), "error"]
    if len(failed):
        raise InputError(failed.iloc[0])
    summary, matches = evaluations["cnn"].summary, evaluations["cnn"].matches
    readable = images.loc[images["status"] == "ok", "image"]
    matches = matches[matches["image"].isin(readable)]
    chosen, followed = _choose(matches, image, count, seed)
    card = cnn.card_of(weights)
    seen = _look(dataset, list(readable), chosen, net, card, seed)

    if not seen.sample:
        raise InputError(f"the images of {dataset.root} show nothing but empty ground")

    explained, heats = _explained(chosen, seen, net)
    drawn = explained[explained["drawn"] == 1]
    hits, alarms = (
        [seen.windows[i][:2] for i in drawn.index[drawn["outcome"] == outcome]]
        for outcome in (HIT, FALSE_ALARM)
    )
    kernels, alike, chances = explain_tables.kernels(net, np.concatenate(seen.pieces), hits, seed)
    maps = attribution.feature_maps(net, seen.windows[followed][0])
    sample, values = pd.concat(seen.sample, ignore_index=True), np.concatenate(seen.features)
    layers = attribution.one_pixel(net, card["window"])
    tables = {
        "kernels": kernels,
        "layers": explain_tables.layers(net, maps),
        "features": explain_tables.features(net, layers, sample, values, hits, alarms),
        "windows": explained,
        "zones": explain_tables.zones(drawn),
    }
    sentences = explain_tables.sentences(tables, chances, summary)
    for name in TABLES:
        table.write(tables[name], output / f"{name}.csv")
    settings = {
        "data": dataset.root,
        "weights": f"{weights}, SHA-256 {card['sha256'][:12]}…",
        "tolerance": tolerance,
        "count": count,
        "seed": seed,
        "integrated gradients": "from the image's median colour",
        "covered squares": f"{SQUARE} px",
        **provenance(started),
    }
    story = explain_page.Story(
        tables=tables,
        sentences=sentences,
        kernels=attribution.first_kernels(net),
        alike=alike,
        chances=chances,
        followed=(explained.loc[followed].to_dict(), seen.windows[followed][0], maps),
        best=seen.best,
        heats=heats,
        settings=settings,
    )
    explain_page.write(story, output)
    return [line for part in sentences.values() for line in part], images


def _choose(
    matches: pd.DataFrame, image: str | None, count: int, seed: int
) -> tuple[pd.DataFrame, int]:
    """Some windows of each outcome, ``x, y`` where it looked; and the one to be followed.

    That one is chosen for its score: where ``drawn`` is 0, figures leave it out.
    """
    missed = matches["outcome"] == MISS
    frame = matches[["image", "outcome", "score"]].assign(
        x=matches["x"].where(~missed, matches["truth_x"]),
        y=matches["y"].where(~missed, matches["truth_y"]),
    )
    frame = frame[frame["outcome"].isin(OUTCOMES)].reset_index(drop=True)
    own = frame if image is None else frame[frame["image"] == image]
    if own.empty:
        where = "these images" if image is None else image
        raise InputError(f"nothing is found and nothing is marked in {where}; give other images")
    order = own.assign(rank=own["outcome"].map(OUTCOMES.index)).sort_values(
        ["rank", "score"], ascending=[True, False], kind="stable"
    )
    followed = int(order.index[0])
    rng = np.random.default_rng(seed)
    drawn = [
        i
        for outcome in OUTCOMES
        for i in rng.permutation(frame.index[frame["outcome"] == outcome])[:count]
    ]
    frame["drawn"] = frame.index.isin(drawn).astype(int)
    return frame[(frame["drawn"] == 1) | (frame.index == followed)], followed


def _look(
    dataset: Dataset,
    names: Sequence[str],
    chosen: pd.DataFrame,
    net: attribution.Net,
    card: dict[str, Any],
    seed: int,
) -> Seen:
    """Go through the images once."""
    side, stride = card["window"], card["stride"]
    layers = attribution.one_pixel(net, side)
    small = attribution.first_kernels(net).shape[-1]
    rng = np.random.default_rng(seed)
    seen = Seen()
    for name in tqdm(names, desc="features", unit="image", leave=False, disable=None):
        image = windows.in_colour(read_image(dataset.root / name))
        scaled = adjustment(image)(image)
        ratio = np.array(scaled.shape[1::-1]) / np.array(image.shape[1::-1])

        own = chosen[chosen["image"] == name]
        centres = _pixels(own, ratio, scaled)
        ground = np.full((side, side, 3), handmade.empty_ground(scaled), np.uint8)
        masks = windows.patches(handmade.structure(scaled), centres, side)
        for i, patch, mask in zip(
            own.index, windows.patches(scaled, centres, side), masks, strict=True
        ):
            seen.windows[i] = patch, ground, mask

        grid = windows.grid(scaled.shape, stride)
        grid = grid[windows.foreground(scaled, grid)]
        values = attribution.features(net, layers, scaled, grid, side, stride)
        if len(grid) == 0:
            continue
        seen.best = seen.best or [[] for _ in range(values.shape[1])]
        for best, value in zip(seen.best, values.T, strict=True):
            best += _strongest(scaled, grid, value, side, name, ratio)
            best.sort(key=lambda entry: -entry[0])
            del best[BEST:]

        truth = dataset.truth[dataset.truth["image"] == name]
        hidden = truth["ignore"] == 1
        to_tip, to_hidden = (
            distance(grid, _scaled(part, ratio)) for part in (truth[~hidden], truth[hidden])
        )
        clear = (to_hidden > OFF_TIP) & ((to_tip <= ON_TIP) | (to_tip > OFF_TIP))
        drawn = rng.permutation(np.flatnonzero(clear))[:PER_IMAGE]
        drawn = np.union1d(drawn, np.flatnonzero(clear & (to_tip <= ON_TIP)))
        measured = handmade.quantities(scaled, grid[drawn])
        tip = (to_tip[drawn] <= ON_TIP).astype(int)
        seen.sample.append(measured.assign(image=name, tip=tip))
        seen.features.append(values[drawn])
        seen.pieces.append(windows.patches(scaled, grid[drawn], small))
    return seen


def _scaled(points: pd.DataFrame, ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points in px of the resized image."""
    return rescaled(points[["x", "y"]].to_numpy(np.float64), ratio)


def _pixels(points: pd.DataFrame, ratio: NDArray[np.float64], scaled: Image) -> Centres:
    last = np.array(scaled.shape[1::-1]) - 1
    return np.clip(np.round(_scaled(points, ratio)), 0, last).astype(np.int32)


def _strongest(
    scaled: Image,
    grid: Centres,
    value: NDArray[np.float32],
    side: int,
    name: str,
    ratio: NDArray[np.float64],
) -> list[tuple[float, str, Image]]:
    """The two windows of an image that excite a feature most, apart from each other."""
    top = np.argsort(-value, kind="stable")[:60]
    top = top[value[top] > 0]
    top = top[windows.suppress(grid[top], value[top], side / 4)[:2]]
    places = rescaled(grid[top].astype(np.float64), 1 / ratio)
    return [
        (float(value[i]), f"{name}, x {x:.0f}, y {y:.0f}", patch)
        for i, (x, y), patch in zip(
            top, places, windows.patches(scaled, grid[top], side), strict=True
        )
    ]


def _explained(
    chosen: pd.DataFrame, seen: Seen, net: attribution.Net
) -> tuple[pd.DataFrame, dict[int, tuple[Image, NDArray[Any], NDArray[Any]]]]:
    """Figures of each window, and its pixels: the window, integrated gradients, occlusion."""
    rows, heats = [], {}
    for row in tqdm(
        chosen.itertuples(), total=len(chosen), desc="explaining", leave=False, disable=None
    ):
        patch, ground, mask = seen.windows[row.Index]
        given, gap = attribution.integrated_gradients(net, patch, ground)
        falls = attribution.occlusion(net, patch, ground, SQUARE)
        heats[row.Index] = patch, given, falls
        here, empty = attribution.evidence(net, np.stack([patch, ground]))
        zone = handmade.zones(mask, REFERENCE_WIDTH)
        contrast = np.abs(patch.astype(np.float64) - ground).sum(axis=2)
        cells = [_cells(part) for part in (given, falls)]
        # in cells, from the middle of the first; the window's centre is a pixel, not their middle
        middle = (len(patch) // 2 - (SQUARE - 1) / 2) / SQUARE
        worst = np.array(np.unravel_index(cells[1].argmax(), cells[1].shape))
        rows.append(
            {
                "image": row.image,
                "outcome": row.outcome,
                "drawn": row.drawn,
                "x": row.x,
                "y": row.y,
                "score": row.score,
                "window_score": float(expit(float(here))),
                "evidence": float(here),
                "evidence_of_empty_ground": float(empty),
                "gap": gap,
                **_by_zone("given", given, zone),
                **_by_zone("share", np.abs(given) / np.abs(given).sum(), zone),
                **_by_zone("contrast", contrast / max(1.0, float(contrast.sum())), zone),
                "largest_fall": float(falls.max()),
                "largest_fall_px": SQUARE * float(np.hypot(*(worst - middle))),
                "agreement": float(
                    pd.Series(cells[0].ravel()).corr(pd.Series(cells[1].ravel()), "spearman")
                ),
            }
        )
    return pd.DataFrame(rows, index=chosen.index), heats


def _cells(pixels: NDArray[Any]) -> NDArray[Any]:
    """Mean of the pixels of each covered square, so that the two methods can be compared."""
    whole = len(pixels) // SQUARE * SQUARE
    count = whole // SQUARE
    squares = pixels[:whole, :whole].reshape(count, SQUARE, count, SQUARE)
    return np.asarray(squares.mean(axis=(1, 3)))


def _by_zone(name: str, pixels: NDArray[Any], zone: Image) -> dict[str, float]:
    return {f"{name}_{key}": float(pixels[zone == i].sum()) for i, key in enumerate(ZONES)}
