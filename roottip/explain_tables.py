"""The figures of a look back at the kernels, as tables, and the sentences that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roottip.errors import counted
from roottip.learning import attribution, handmade
from roottip.matching import FALSE_ALARM, HIT, MISS
from roottip.windows import Image

OUTCOMES = (HIT, MISS, FALSE_ALARM)

ZONES = ("tip", "root", "other", "ground")
"""What `handmade.ZONES` are called in the columns of tables."""

NEEDED = 0.1
"""Evidence; hits that lose less without a kernel hardly need it."""

Windows = Sequence[tuple[Image, Image]]
"""Windows, each with as much empty ground."""


def zones(explained: pd.DataFrame) -> pd.DataFrame:
    """Means over the windows of each outcome, a row for each of its zones."""
    rows = []
    for outcome in OUTCOMES:
        own = explained[explained["outcome"] == outcome]
        for key, words in zip(ZONES, handmade.ZONES, strict=True):
            share, contrast = own[f"share_{key}"], own[f"contrast_{key}"]
            rows.append(
                {
                    "outcome": outcome,
                    "windows": len(own),
                    "zone": words,
                    "evidence_given": own[f"given_{key}"].mean(),
                    "share": share.mean(),
                    "share_sd": share.std(),
                    "share_of_contrast": contrast.mean(),
                    "times_contrast": share.mean() / contrast.mean()
                    if contrast.sum() > 0
                    else np.nan,
                }
            )
    return pd.DataFrame(rows)


def kernels(
    net: attribution.Net, pieces: Image, hits: Windows, seed: int
) -> tuple[pd.DataFrame, dict[str, NDArray[Any]], dict[str, tuple[float, float]]]:
    """Kernels beside those made by hand: by their numbers ("looks") and by what they answer."""
    weights = attribution.first_kernels(net)
    known = handmade.family(weights.shape[-1])
    pieces = pieces.transpose(0, 3, 1, 2)
    size = weights[0].size
    covariance = np.cov(pieces.reshape(len(pieces), size).astype(np.float64).T)
    # a colour that the images lack, as in grey photographs, would leave nothing to solve
    covariance += np.eye(size) * 1e-6 * covariance.trace() / size
    metrics = {"looks": np.eye(size), "acts": covariance}
    frame = pd.DataFrame({"kernel": np.arange(len(weights))})
    alike, chances = {}, {}
    for way, metric in metrics.items():
        found, alike[way] = handmade.nearest(weights, known, metric)
        chances[way] = handmade.chance(weights, known, metric, seed)
        frame = frame.join(found.rename(columns=lambda name, way=way: f"{way}_{name}"))
    flat = weights.reshape(len(weights), 3, -1).astype(np.float64)
    frame["grey"] = (flat.sum(axis=1) ** 2).sum(axis=1) / 3 / (flat**2).sum(axis=(1, 2))
    frame["effect_on_hits"] = _effect(net, 2, hits, len(weights))
    return frame, alike, chances


def _effect(net: attribution.Net, layers: int, chosen: Windows, count: int) -> NDArray[Any]:
    if not chosen:
        return np.full(count, np.nan)
    patches, grounds = (np.stack([window[i] for window in chosen]) for i in (0, 1))
    return np.asarray(attribution.effects(net, layers, patches, grounds).mean(axis=0))


def layers(net: attribution.Net, maps: Sequence[NDArray[np.float32]]) -> pd.DataFrame:
    """How a window shrinks to one pixel: a row for each layer, `maps` being what it answers."""
    rows = [
        {
            "layer": i,
            "kernels": len(value),
            "kernel_side": side,
            "step": step,
            "map_side": value.shape[1],
            "numbers": value.size,
            "sees_px": sees,
            "awake": float((value > 0).mean()),
        }
        for i, (value, (side, step, sees)) in enumerate(
            zip(maps, attribution.shapes(net), strict=True), start=1
        )
    ]
    return pd.DataFrame(rows)


def features(
    net: attribution.Net,
    layers: int,
    sample: pd.DataFrame,
    values: NDArray[np.float32],
    hits: Windows,
    alarms: Windows,
) -> pd.DataFrame:
    """Features of the one pixel, the most needed for hits first."""
    names = list(handmade.QUANTITIES)
    ranked = sample[names].rank().to_numpy(np.float64)
    answers = pd.DataFrame(values).rank().to_numpy(np.float64)
    ranked, answers = (_standard(part) for part in (ranked, answers))
    tip = _standard(sample[["tip"]].rank().to_numpy(np.float64))
    correlation = pd.DataFrame(answers.T @ ranked / len(sample), columns=names)
    frame = pd.DataFrame(
        {
            "feature": np.arange(values.shape[1]),
            "effect_on_hits": _effect(net, layers, hits, values.shape[1]),
            "effect_on_false_alarms": _effect(net, layers, alarms, values.shape[1]),
            "awake": (values > 0).mean(axis=0),
            "tip": (answers.T @ tip / len(sample))[:, 0],
            "most_like": np.array(names)[correlation.abs().to_numpy().argmax(axis=1)],
            "predicted": _predicted(ranked, answers, pd.factorize(sample["image"])[0]),
        }
    ).join(correlation)
    return frame.sort_values("effect_on_hits", ascending=False, ignore_index=True)


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of mean 0 and variance 1; 0 where a column is constant."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1))


def _predicted(
    ranked: NDArray[np.float64], answers: NDArray[np.float64], images: NDArray[np.intp]
) -> NDArray[np.float64]:
    """R² of each feature's ranks on images left out, from all quantities and their squares."""
    folds = images % 10
    if images.max() == 0:
        return np.full(answers.shape[1], np.nan)
    inputs = np.column_stack([np.ones(len(ranked)), ranked, ranked**2])
    error = np.zeros(answers.shape[1])
    for fold in np.unique(folds):
        out = folds == fold
        slopes = np.linalg.lstsq(inputs[~out], answers[~out], rcond=None)[0]
        error += ((answers[out] - inputs[out] @ slopes) ** 2).sum(axis=0)
    total = (answers**2).sum(axis=0)
    share = 1 - error / np.where(total > 0, total, 1)
    return np.asarray(np.where(total > 0, share, np.nan))


def sentences(
    tables: dict[str, pd.DataFrame],
    chances: dict[str, tuple[float, float]],
    summary: dict[str, Any],
) -> dict[str, list[str]]:
    """What came out, in words, for each part of the page; every number is from the tables."""
    kernels, layers, features, zones, explained = (
        tables[name] for name in ("kernels", "layers", "features", "zones", "windows")
    )
    looks, acts = kernels["looks_likeness"], kernels["acts_likeness"]
    beyond = kernels[looks > chances["looks"][1]]
    explained = explained[explained["drawn"] == 1]
    kinds = [
        f"{number} {kind}{'' if number == 1 or kind.endswith('s') else 's'}"
        for kind, number in beyond["looks_kind"].value_counts().items()
    ]
    made = f": {', '.join(kinds)}" if kinds else ""
    needed = kernels[kernels["effect_on_hits"] > NEEDED]
    said = {
        "kernels": [
            f"{len(beyond)} of {len(kernels)} kernels look more like one made by hand than 95 % of "
            f"shuffled kernels do (likeness above {chances['looks'][1]:.2f}){made}. The "
            f"nearest has {(looks**2).mean():.0%} of a kernel's energy (mean of all); a colourless "
            f"kernel could have {kernels['grey'].mean():.0%}.",
            "What a kernel answers to these images correlates with the answers of one made by hand "
            f"by {acts.median():.2f} (median); of {(kernels['acts_explained'] >= 0.8).sum()} it "
            f"explains four fifths or more. Shuffled kernels reach {chances['acts'][0]:.2f}: where "
            "the two are close, answering alike proves little; "
            f"beyond chance do so {counted((acts > chances['acts'][1]).sum(), 'kernel')}.",
        ],
        "layers": [
            f"A window of {layers['sees_px'].iloc[-1]} px becomes {layers['numbers'].iloc[0]} "
            f"numbers in the first layer and, in the {len(layers) - 2}th, one pixel with "
            f"{layers['kernels'].iloc[-3]} features."
        ],
    }
    if kernels["effect_on_hits"].notna().all():
        said["kernels"].append(
            f"{len(needed)} of {len(kernels)} kernels give the hits more than {NEEDED} of evidence "
            "each, the others less."
        )
    needing = features["effect_on_hits"].notna().all()  # else nothing is hit
    top = features.head(5)
    like = "; ".join(
        f"{row.feature} goes with {row.most_like} ({features.loc[row.Index, row.most_like]:+.2f})"
        for row in top.itertuples()
    )
    said["features"] = [
        f"The {'five features that hits need most' if needing else 'first five features'}: {like} "
        "(rank correlation; with there being a "
        f"marked tip: {', '.join(f'{value:+.2f}' for value in top['tip'])})."
    ]
    if features["predicted"].notna().any():  # on one image nothing can be left out
        said["features"].append(
            f"All {len(handmade.QUANTITIES)} quantities together predict "
            f"{features['predicted'].median():.0%} of a feature's variation on images left out "
            "(median); the rest is the net's own."
        )
    said["windows"] = []
    for outcome in OUTCOMES:
        own = zones[(zones["outcome"] == outcome) & (zones["windows"] > 0)]
        if own.empty:
            continue
        near = own.iloc[0]
        along, other, ground = own["share"].iloc[1:]
        said["windows"].append(
            f"{outcome.capitalize()} ({counted(near['windows'], 'window')}): {near['share']:.0%} "
            f"of what the pixels say, for or against, comes from within one root width of the "
            f"middle ({near['times_contrast']:.1f} times its share of the contrast), {along:.0%} "
            f"from along the root, {other:.0%} from other roots and things, {ground:.0%} from the "
            f"ground. Net of what speaks against: {near['evidence_given']:+.1f} from the tip, "
            f"{own['evidence_given'].iloc[1]:+.1f} from along the root, "
            f"{own['evidence_given'].iloc[2:].sum():+.1f} from the rest."
        )
    moved = (explained["evidence"] - explained["evidence_of_empty_ground"]).abs()
    said["windows"].append(
        f"The pixels' evidence adds up to the score's: the sums differ by "
        f"{explained['gap'].abs().median():.3f} in {moved.median():.1f} (medians)."
    )
    said["detector"] = [
        f"On these images it finds {summary['hits']} of {counted(summary['truth'], 'marked tip')} "
        f"and raises {counted(summary['false_alarms'], 'false alarm')}."
    ]
    return said
