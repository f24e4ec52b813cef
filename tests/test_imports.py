from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def modules_after(code: str) -> set[str]:
    """What a fresh process has loaded after running some code."""
    script = f"{code}\nimport sys; print('MODULES', *sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stdout.rpartition("MODULES")[2].split())


HEAVY = {"torch", "pytorch_lightning", "albumentations", "sklearn", "skimage", "captum"}


def test_import_loads_nothing_heavy():
    loaded = modules_after("import roottip")
    assert not loaded & (HEAVY | {"cv2", "numpy", "pandas", "hydra", "scipy"})


def test_version_help_and_completion_answer_at_once():
    words = (["--version"], ["--help"], ["detect", "--help"], ["--completion"])
    code = f"from roottip.app import main\nassert not any(main(words) for words in {words!r})"
    assert not modules_after(code) & (HEAVY | {"cv2", "numpy", "pandas", "scipy", "onnxruntime"})


def test_a_baseline_run_and_an_evaluation_never_load_torch(tmp_path):
    detect = ["detect", f"input={SAMPLE / 'images'}", f"output={tmp_path}", "detector=baseline"]
    compare = ["compare", f"data={SAMPLE}", "detectors=[baseline]"]
    code = (
        f"from roottip.app import main\nassert main({detect!r}) == 0\nassert main({compare!r}) == 0"
    )
    loaded = modules_after(code)
    assert "cv2" in loaded
    assert not loaded & (HEAVY | {"pyvips"})


def test_a_run_loads_nothing_that_only_figures_need(tmp_path):
    words = ["detect", f"input={SAMPLE / 'images' / 'plate_0001.jpg'}", f"output={tmp_path}"]
    code = (
        f"from roottip.app import main\nassert main({[*words, 'engine.workers=0']!r}) == 0\n"
        "import sys; assert 'onnxruntime' in sys.modules"
    )
    assert not modules_after(code) & (HEAVY | {"scipy.stats", "matplotlib"})


def test_the_features_detector_needs_no_training_package():
    code = (
        "import roottip\n"
        f"image = roottip.read_image({str(SAMPLE / 'images' / 'plate_0001.jpg')!r})\n"
        "assert len(roottip.load('features').detect(image)) > 0"
    )
    assert not modules_after(code) & (HEAVY | {"onnxruntime", "joblib"})


def test_library_use_never_loads_hydra():
    code = (
        "import roottip\n"
        f"image = roottip.read_image({str(SAMPLE / 'images' / 'plate_0001.jpg')!r})\n"
        "assert len(roottip.load('baseline').detect(image)) > 0"
    )
    assert not modules_after(code) & (HEAVY | {"hydra", "omegaconf"})


def test_the_module_is_the_program():
    result = subprocess.run(
        [sys.executable, "-m", "roottip", "detect", "inptu=x"], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "did you mean input?" in result.stderr
