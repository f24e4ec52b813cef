"""Measure how often the 95 % intervals of `roottip.certainty` hold the truth.

python scripts/check_intervals.py

Simulates two detectors of known precision and recall on groups of images. Groups differ in how
many tips they have, in how hard they are (a tip is found with a probability that varies from
group to group, up and down for both detectors together and for each alone) and in how much
there is to raise a false alarm. Prints for 5, 10 and 40 groups in how many of 500 repetitions
the interval of each rate, and of each paired difference, holds the true value; beside it, the
same for the usual percentile bootstrap over groups; and how often the permutation test says
p < 0.05 of two detectors that do not differ (it should in 5 %). Takes about a minute.
`--better 0.99 0.98 --worse 0.98 0.96` asks the same of nearly perfect detectors.
"""

from __future__ import annotations

import command_line
import numpy as np
import pandas as pd
from scipy.stats import norm

from roottip.certainty import RATES, difference, rate_intervals
from roottip.matching import rates

Rates = tuple[float, float]

DETECTORS: tuple[Rates, Rates] = ((0.95, 0.90), (0.85, 0.75))
"""Precision and recall in the long run of the better detector and of the worse."""

TIPS = 15.0
"""Mean number of tips in a group."""

SPREAD = 0.6
"""Standard deviation of a group's difficulty, in probits; half its variance is shared by the
detectors."""


def simulate(rng: np.random.Generator, groups: int, detectors: list[tuple[float, float]]):
    """Hits, misses and false alarms, ``(G, 3)`` for each detector, on the same groups."""
    # gamma mixtures: the number of tips varies more than a Poisson count
    tips = rng.poisson(TIPS * rng.gamma(3, 1 / 3, groups))
    ease, clutter = rng.normal(0, SPREAD * np.sqrt(0.5), (2, groups))
    for precision, recall in detectors:
        own_ease, own_clutter = rng.normal(0, SPREAD * np.sqrt(0.5), (2, groups))
        # a probit shifted so that its mean over the normal effects is the recall wanted
        shift = norm.ppf(recall) * np.sqrt(1 + SPREAD**2)
        hits = rng.binomial(tips, norm.cdf(shift + ease + own_ease))
        # the mean of a lognormal is exp(variance / 2)
        effect = np.exp(clutter + own_clutter - SPREAD**2 / 2)
        alarms = rng.poisson(TIPS * recall * (1 - precision) / precision * effect)
        yield np.stack([hits, tips - hits, alarms], axis=1)


def true_rates(precision: float, recall: float) -> np.ndarray:
    f1 = 2 * precision * recall / (precision + recall)
    return np.array([precision, recall, f1])


def percentile_bootstrap(
    rng: np.random.Generator, counts: np.ndarray, resamples: int = 500
) -> np.ndarray:
    """``(3, 2)`` bounds for precision, recall and F1."""
    groups = len(counts)
    drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    values = rates(*(drawn @ counts).T)
    return np.array([np.nanquantile(values[name], [0.025, 0.975]) for name in RATES])


def coverage(
    groups: int, repetitions: int, seed: int = 0, detectors: tuple[Rates, Rates] = DETECTORS
) -> pd.Series:
    """The share of repetitions in which each interval holds the truth."""
    rng = np.random.default_rng(seed)
    known = dict(zip(("better", "worse"), detectors, strict=True))
    truth = {name: true_rates(*own) for name, own in known.items()}
    apart = truth["better"] - truth["worse"]
    held: dict[str, list[bool]] = {}

    def note(kind: str, values: np.ndarray, bounds: np.ndarray) -> None:
        for name, value, (low, high) in zip(RATES, values, bounds, strict=True):
            held.setdefault(f"{kind} {name}", []).append(bool(low <= value <= high))

    for _ in range(repetitions):
        both = dict(zip(known, simulate(rng, groups, [*detectors]), strict=True))
        for name, counts in both.items():
            note(name, truth[name], np.array([*rate_intervals(counts).values()]))
            note(f"bootstrap, {name}", truth[name], percentile_bootstrap(rng, counts))
        told = difference(both["better"], both["worse"])
        note("difference", apart, told[["low", "high"]].to_numpy())
        one, other = simulate(rng, groups, [known["better"]] * 2)
        same = difference(one, other).set_index("rate")["p"]
        for name in RATES:
            held.setdefault(f"p < 0.05 by chance, {name}", []).append(bool(same[name] < 0.05))
    return pd.Series({kind: float(np.mean(values)) for kind, values in held.items()})


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--groups", type=command_line.positive, nargs="+", default=[5, 10, 40], help="how many"
    )
    parser.add_argument(
        "--repetitions", type=command_line.positive, default=500, help="for each number of groups"
    )
    for name, own in zip(("--better", "--worse"), DETECTORS, strict=True):
        parser.add_argument(
            name,
            type=float,
            nargs=2,
            default=own,
            metavar=("PRECISION", "RECALL"),
            help="of the simulated detector",
        )
    arguments = parser.parse_args()
    detectors = (tuple(arguments.better), tuple(arguments.worse))
    columns = {
        f"{n} groups": coverage(n, arguments.repetitions, detectors=detectors)
        for n in arguments.groups
    }
    print(pd.DataFrame(columns).map("{:.1%}".format).to_string())


if __name__ == "__main__":
    command_line.run(main)
