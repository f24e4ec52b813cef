"""The page of a look back at the kernels, and its pictures. Nothing here knows torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip import html
from roottip.learning.handmade import KINDS, QUANTITIES
from roottip.matching import FALSE_ALARM, HIT, MISS
from roottip.pictures import encode
from roottip.places import write_whole
from roottip.windows import Image, in_colour

Floats = NDArray[np.floating[Any]]

MAPS = 10
"""Feature maps shown of a layer: those that vary most."""

FEATURES = 8
"""Features of the one pixel whose windows are shown."""

WINDOWS = 8
"""Windows of an outcome that are shown; the tables have all."""

FOR, AGAINST = (213, 94, 0), (0, 114, 178)
"""Colours of evidence, of Okabe and Ito (2008): told apart by colour-blind people."""


@dataclass(frozen=True)
class Story:
    """All that the page tells.

    Attributes
    ----------
    tables : mapping of str to DataFrame
        ``kernels, layers, features, windows, zones``.
    sentences : mapping of str to sequence of str
        What came out, for each part.
    kernels : (K, 3, side, side) float
        Of the first layer.
    alike : mapping of str to (K, 3, side, side) float
        The kernels made by hand: by what a kernel ``looks`` and by how it ``acts``.
    chances : mapping of str to (float, float)
        Median and 95th percentile of likeness by chance, of both.
    followed : (dict, Image, list of (K, rows, columns) float)
        The window that is followed through the layers: its row, itself, its feature maps.
    best : sequence of sequence of (float, str, Image)
        For each feature its strongest windows.
    heats : mapping of int to (Image, (side, side) float, (side, side) float)
        For each row of ``windows`` the window, integrated gradients and occlusion.
    settings : mapping
        How it was made.
    """

    tables: Mapping[str, pd.DataFrame]
    sentences: Mapping[str, Sequence[str]]
    kernels: Floats
    alike: Mapping[str, Floats]
    chances: Mapping[str, tuple[float, float]]
    followed: tuple[Mapping[str, Any], Image, Sequence[Floats]]
    best: Sequence[Sequence[tuple[float, str, Image]]]
    heats: Mapping[int, tuple[Image, Floats, Floats]]
    settings: Mapping[str, Any]


def write(story: Story, output: Path) -> None:
    """Write ``explain.html`` and, as files for slides, ``pictures/*.png``."""
    kernels, layers = _kernels(story), _layers(story)
    features, windows = _features(story), _windows(story)
    sheets = {
        "kernels": sheet([[p for _, p in k["shown"]] for k in kernels], 96),
        "layers": sheet([layer["maps"] for layer in layers], 96),
        "features": sheet([[p for _, _, p in f["best"]] for f in features], 120),
    }
    for outcome, members in windows.items():
        sheets[outcome.replace(" ", "_")] = sheet([w["shown"] for w in members], 160)
    folder = output / "pictures"
    for name in ("kernels", "layers", "features", "hit", "miss", "false_alarm"):
        path = folder / f"{name}.png"
        if name in sheets:
            write_whole(path, encode(sheets[name], ".png"))
        else:  # of an earlier look at something else
            path.unlink(missing_ok=True)
    page = html.render(
        "explain.html",
        kernels=kernels,
        layers=layers,
        features=features,
        windows=windows,
        quantities=QUANTITIES,
        kinds=KINDS,
        story=story,
    )
    write_whole(output / "explain.html", page)


def sheet(rows: Sequence[Sequence[Image]], side: int) -> Image:
    """Pictures in rows on white, each as high as `side` px, their pixels left to be seen."""
    gap = 8
    enlarged = [[_enlarged(picture, side) for picture in row] for row in rows]
    width = max((sum(p.shape[1] + gap for p in row) for row in enlarged), default=0) + gap
    canvas = np.full((gap + len(rows) * (side + gap), width, 3), 255, np.uint8)
    for i, row in enumerate(enlarged):
        top, left = gap + i * (side + gap), gap
        for picture in row:
            canvas[top : top + side, left : left + picture.shape[1]] = picture
            left += picture.shape[1] + gap
    return canvas


def _enlarged(picture: Image, side: int) -> Image:
    width = max(1, round(picture.shape[1] * side / picture.shape[0]))
    nearest = cv2.resize(picture, (width, side), interpolation=cv2.INTER_NEAREST)
    return np.asarray(nearest, dtype=np.uint8)


def kernel_picture(kernel: Floats) -> Image:
    """A (3, side, side) kernel in its colours: mid-grey is 0, brighter above, darker below."""
    most = max(float(np.abs(kernel).max()), 1e-12)
    return np.asarray((127.5 + 127.5 * kernel / most).transpose(1, 2, 0).round(), dtype=np.uint8)


def map_picture(values: Floats, most: float) -> Image:
    """A (rows, columns) feature map, black at 0 and white at `most`."""
    grey = np.clip(255 * values / max(most, 1e-12), 0, 255).round().astype(np.uint8)
    return in_colour(grey)


def heat_picture(patch: Image, values: Floats, smooth: float = 0.0) -> Image:
    """Evidence over a pale grey window: orange for a tip, blue against it."""
    grey = 0.35 * patch.mean(axis=2, keepdims=True) + 150
    if smooth > 0:
        values = np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), smooth))
    most = max(float(np.quantile(np.abs(values), 0.995)), 1e-12)
    strength = np.clip(np.abs(values) / most, 0, 1)[:, :, None] ** 0.7
    colour = np.where(values[:, :, None] > 0, np.array(FOR), np.array(AGAINST))
    return np.asarray((1 - strength) * grey + strength * colour, dtype=np.uint8)


def _kernels(story: Story) -> list[dict[str, Any]]:
    """Each kernel with its two likenesses, the most needed for hits first."""
    table = story.tables["kernels"].sort_values(
        "effect_on_hits", ascending=False, kind="stable", na_position="last"
    )
    return [
        {
            "row": row,
            "shown": [
                ("learnt", kernel_picture(story.kernels[row["kernel"]])),
                ("looks", kernel_picture(story.alike["looks"][row["kernel"]])),
                ("acts", kernel_picture(_colourless(story.alike["acts"][row["kernel"]]))),
            ],
            "said": {
                "looks": f"{_named(row, 'looks')}, {row['looks_colour']}",
                "acts": _named(row, "acts"),
            },
        }
        for row in table.to_dict("records")
    ]


def _named(row: Mapping[str, Any], way: str) -> str:
    """A kernel made by hand in words."""
    angle = row[f"{way}_angle"]
    turned = "" if np.isnan(angle) else f" at {angle:.0f}°"
    return f"{row[f'{way}_kind']}{turned}"


def _colourless(kernel: Floats) -> Floats:
    """Where an image's colours rise and fall together, what acts alike has no colour of its own."""
    return np.repeat(kernel.sum(axis=0, keepdims=True), 3, axis=0)


def _layers(story: Story) -> list[dict[str, Any]]:
    """Each layer with the maps that vary most; of one pixel, its features as a mosaic."""
    _, _, maps = story.followed
    layers = []
    for row, values in zip(story.tables["layers"].to_dict("records"), maps, strict=True):
        most = float(values.max())
        if values.shape[1:] == (1, 1):
            side = int(np.ceil(np.sqrt(len(values))))
            mosaic = np.zeros(side * side, values.dtype)
            mosaic[: len(values)] = values[:, 0, 0]
            pictures = [map_picture(mosaic.reshape(side, side), most)]
        else:
            order = np.argsort(-values.std(axis=(1, 2)), kind="stable")[:MAPS]
            pictures = [map_picture(values[i], most) for i in order]
        layers.append({"row": row, "maps": pictures})
    return layers


def _features(story: Story) -> list[dict[str, Any]]:
    rows = story.tables["features"].head(FEATURES).to_dict("records")
    features = []
    for row in rows:
        likes = sorted(((name, row[name]) for name in QUANTITIES), key=_weaker)[:3]
        features.append({"row": row, "likes": likes, "best": story.best[row["feature"]]})
    return features


def _weaker(like: tuple[str, float]) -> float:
    return -abs(like[1])


def _windows(story: Story) -> dict[str, list[dict[str, Any]]]:
    table = story.tables["windows"]
    shown: dict[str, list[dict[str, Any]]] = {}
    for outcome in (HIT, MISS, FALSE_ALARM):
        own = table[table["outcome"] == outcome].head(WINDOWS)
        members = []
        for i, row in zip(own.index, own.to_dict("records"), strict=True):
            patch, given, falls = story.heats[i]
            pictures = [patch, heat_picture(patch, given, 1.0), heat_picture(patch, falls)]
            members.append({"row": row, "shown": pictures})
        if members:
            shown[outcome] = members
    return shown
