"""The Tab key, in a real bash."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
import yaml

from roottip import app
from roottip.completion import script
from roottip.settings import resource

CONF = resource("conf")
SCRIPT = script(app.COMMANDS)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="there is no bash"
)


def completed(line: list[str], tmp_path) -> list[str]:
    """What bash offers for words that are cut as readline cuts them, the last one unfinished."""
    words = " ".join(f"'{word}'" for word in line)
    code = (
        f"{SCRIPT}\nCOMP_WORDS=({words}) COMP_CWORD={len(line) - 1}\n_roottip\n"
        "(( ${#COMPREPLY[@]} )) && printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    said = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert said.stderr == ""
    return said.stdout.splitlines()


def test_commands_and_their_keys(tmp_path):
    assert completed(["roottip", ""], tmp_path)[: len(app.COMMANDS)] == list(app.COMMANDS)
    assert completed(["roottip", "det"], tmp_path) == ["detect"]
    assert completed(["roottip", "compare", "t"], tmp_path) == ["tolerance="]
    keys = completed(["roottip", "detect", ""], tmp_path)
    assert {"input=", "detector=", "detector.weights=", "engine.job.queue="} < set(keys)
    assert not {"detector.name=", "engine.job=", "data="} & set(keys)
    assert completed(["roottip", "detect", "detector.scorer.s"], tmp_path) == [
        "detector.scorer.sigma="
    ]


def written(config: dict, above: str = "") -> set[str]:
    """The keys of a config file that hold values."""
    found = set()
    for key, value in config.items():
        found |= written(value, f"{above}{key}.") if isinstance(value, dict) else {above + key}
    return found - {f"{above}defaults", f"{above}name"}


@pytest.mark.parametrize("command", app.COMMANDS)
def test_it_offers_the_settings_that_the_config_files_hold(command, tmp_path):
    config = yaml.safe_load((CONF / f"{command}.yaml").read_text(encoding="utf-8"))
    groups = [next(iter(line)) for line in config.get("defaults", []) if isinstance(line, dict)]
    settings = written(config).union(groups)
    for group in groups:
        for path in (CONF / group).glob("*.yaml"):
            settings |= written(yaml.safe_load(path.read_text(encoding="utf-8")), f"{group}.")
    assert set(completed(["roottip", command, ""], tmp_path)) == {
        "--help",
        *(f"{key}=" for key in settings),
    }


def test_choices_and_paths(tmp_path):
    (tmp_path / "my photos").mkdir()
    (tmp_path / "mine.csv").touch()
    for value, offered in (("", ["baseline", "cnn", "features"]), ("c", ["cnn"])):
        words = ["roottip", "detect", "detector", "=", value]
        assert completed(words if value else words[:-1], tmp_path) == offered
    assert completed(["roottip", "train", "resume", "=", "t"], tmp_path) == ["true"]
    offered = completed(["roottip", "detect", "input", "=", "m"], tmp_path)
    assert sorted(offered) == ["mine.csv", "my photos"]
    # as zsh's bashcompinit cuts them
    assert completed(["roottip", "detect", "input=mi"], tmp_path) == ["input=mine.csv"]
    assert completed(["roottip", "detect", "detector=b"], tmp_path) == ["detector=baseline"]
    assert completed(["roottip", "compare", "tolerance", "=", "1"], tmp_path) == []
