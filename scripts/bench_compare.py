"""Time the evaluation of a large comparison.

python scripts/bench_compare.py

Scores three made-up detectors on 1,000 images of 40 tips each, or as many as told, and writes all
that `roottip compare` writes; prints the processor seconds of each part, which is what a core with
nothing else to do takes, and the size of the report. The images are one grainy picture under as
many names.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import command_line
import cv2
import numpy as np
import pandas as pd

from roottip.compare import write
from roottip.evaluation import evaluate
from roottip.verdict import judge

SIDE = 2000.0
TAGS = ["", "close pair", "hair", "close pair;small"]


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--images", type=command_line.positive, default=1000, help="how many")
    parser.add_argument("--tips", type=command_line.positive, default=40, help="an image")
    parser.add_argument("--detectors", type=command_line.positive, default=3, help="how many")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    names = np.array([f"plate_{n:04d}.jpg" for n in range(arguments.images)], dtype=object)
    listed = pd.DataFrame(
        {"image": names, "group": names, "width": SIDE, "height": SIDE, "px_per_mm": 12.0}
    )
    n = arguments.images * arguments.tips
    at, tips = rng.permutation(np.arange(n) % len(names)), rng.uniform(0, SIDE, (n, 2))
    truth = pd.DataFrame({"image": names[at], "x": tips[:, 0], "y": tips[:, 1]}).assign(
        ignore=(rng.random(n) < 0.2).astype(int),
        root_order=rng.integers(0, 3, n),
        cause=rng.choice(TAGS, n),
    )
    places = rng.uniform(0, SIDE, (n, 2))
    distractors = pd.DataFrame(
        {
            "image": names[at],
            "x": places[:, 0],
            "y": places[:, 1],
            "cause": rng.choice(["hair", "dirt"], n),
        }
    )
    evaluations = {}
    for detector in range(arguments.detectors):
        # near each tip two candidates, and as many where something else is
        near = np.concatenate([tips, tips, places]) + rng.normal(0, 4, (3 * n, 2))
        score = rng.uniform(0.05, 1, 3 * n)
        begun = time.process_time()
        found = pd.DataFrame({"image": names[np.tile(at, 3)], "x": near[:, 0], "y": near[:, 1]})
        evaluations[f"detector {detector}"] = evaluate(
            found.assign(score=score), truth, listed, 10.0, 0.6, distractors=distractors
        )
        print(f"detector {detector}: evaluated in {time.process_time() - begun:.1f} s")
    with TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        root.mkdir()
        grain = rng.normal(120, 6, (int(SIDE), int(SIDE))).astype(np.uint8)
        cv2.imwrite(str(root / names[0]), cv2.GaussianBlur(grain, (0, 0), 1.5))
        for name in names[1:]:
            (root / name).symlink_to(root / names[0])
        begun = time.process_time()
        write(evaluations, judge(evaluations), Path(folder) / "out", {}, root=root)
        print(f"tables and report written in {time.process_time() - begun:.1f} s")
        size = (Path(folder) / "out" / "report.html").stat().st_size
        print(f"report.html: {size / 1e6:.1f} MB")
    print(f"all: {time.process_time():.1f} s, the program's start and the made-up points too")


if __name__ == "__main__":
    command_line.run(main)
