"""Draw the plates of data/sample again.

python scripts/make_sample.py

The same seed gives the same plates; JPEG bytes may differ between versions of OpenCV.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from roottip.synthetic import sample_plates, write_dataset

SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("data/sample"))
    write_dataset(sample_plates(), SEED, parser.parse_args().output)


if __name__ == "__main__":
    main()
