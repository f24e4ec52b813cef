"""Test the core with the oldest releases that pyproject.toml allows.

python scripts/lowest.py out/lowest

Makes a new environment there, in place of an older one, installs roottip with every dependency of
the core at its lower bound, and runs the tests that need no extra. The bounds are releases with
wheels for Python 3.10 to 3.12; for a newer Python some have none.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib.metadata import requires
from pathlib import Path

import command_line
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]

TESTS = (
    "bands causes certainty compare completion contrast convert detector engine evaluation formats "
    "images interchange ledger listing looks matching meter noise page pictures places ruled "
    "runpage scale scalebar settings splits surroundings table traits verdict windows"
)
TOOLS = "fsspec hypothesis pycocotools pytest scikit-image scikit-learn tifffile"


def lower_bounds() -> list[str]:
    """``name==version`` of every dependency of the core."""
    core = [Requirement(text) for text in requires("roottip") or () if "extra ==" not in text]
    return [
        f"{requirement.name}=={specifier.version}"
        for requirement in core
        for specifier in requirement.specifier
        if specifier.operator == ">="
    ]


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("environment", type=Path, help="a folder to make")
    environment = parser.parse_args().environment.resolve()
    # it is emptied: that must not befall a folder named by mistake
    if environment.exists() and not (environment / "pyvenv.cfg").is_file():
        parser.error(f"{environment} is there and no environment; give another folder")
    venv.create(environment, with_pip=True, clear=True)
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    bounds = lower_bounds()
    print(*bounds, sep="\n")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *TOOLS.split(), "--editable", ROOT, *bounds],
        check=True,
    )
    tests = [str(ROOT / "tests" / f"test_{name}.py") for name in TESTS.split()]
    # what old releases warn of has been mended since
    words = [python, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider", *tests]
    subprocess.run(words, cwd=ROOT, check=True)
    # the nets, in old releases of ONNX Runtime and OpenCV
    subprocess.run([python, "-m", "roottip", "demo", f"output={environment / 'demo'}"], check=True)


if __name__ == "__main__":
    command_line.run(main)
