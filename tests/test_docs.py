"""The README and the pages of docs/: their commands and code run, and say what is true.

Blocks in ```sh are run line by line where the files that they name are made of the sample;
trainings and drawings are made small by settings that follow the page's own. The tutorial is a
notebook that `make docs` runs.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from roottip import app, table
from roottip.scorers import load
from roottip.settings import choices, keys

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOK = ROOT / "docs" / "tutorial.md"

SMALL = {
    "train": "trainer.rounds=1 trainer.steps=2 trainer.batch=8 trainer.workers=0 dev=0.4 "
    "trainer.glance_steps=1",
    "detect": "engine.workers=0",
    "synth": "count=1 size=200",
    "explain": "count=1 data=annotated split=val",
}
"""What follows a page's own words, so that its command takes seconds."""

KNOWN = {"make", "pip", "git", "python", "mkdir", "cp", "cd"}
"""Programs besides roottip that pages tell people to run."""


KEYS = {name: keys(command) for name, command in app.COMMANDS.items()}
GROUPS = {
    key: names for command in app.COMMANDS.values() for key, names in choices(command).items()
}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of the page's blocks of code, in order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(sh|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with everything that the pages name: photos, annotations, a run, a net."""
    place = tmp_path_factory.mktemp("workplace")
    images, tips = table.read(SAMPLE / "images.csv"), table.read(SAMPLE / "tips.csv")
    images = images[["image", "group"]].head(5)
    images["split"] = ["train"] * 3 + ["val"] * 2
    tips = tips[tips["image"].isin(images["image"])]
    for name in ("annotated", "more", "mine"):
        (place / name / "images").mkdir(parents=True)
        for image in images["image"]:
            shutil.copy(SAMPLE / "images" / image, place / name / "images")
        table.write(images, place / name / "images.csv")
        table.write(tips, place / name / "tips.csv")
    for photographs in ("photos", "week_12"):
        shutil.copytree(place / "annotated" / "images", place / photographs)
    shutil.copy(SAMPLE / "images" / "plate_0001.jpg", place / "plate.jpg")
    table.write(images, place / "images.csv")
    table.write(tips, place / "marked.csv")
    for folder in ("trained", "fitted"):
        (place / folder).mkdir()
        for ending in ("onnx", "json"):
            shutil.copy(
                ROOT / "roottip" / "weights" / f"cnn.{ending}", place / folder / f"model.{ending}"
            )
    run = "detect", f"input={place / 'photos'}", f"output={place / 'results'}", "detector=baseline"
    assert app.main(run) == 0
    shutil.copy(place / "results" / "tips.csv", place / "tips.csv")
    words = f"input={place / 'marked.csv'}", f"images={place / 'photos'}"
    export = f"output={place / 'export.json'}", "output_format=labelstudio"
    assert app.main(["convert", *words, *export]) == 0
    return place


@pytest.fixture
def here(workplace, tmp_path, monkeypatch) -> Path:
    """A fresh copy of the workplace, to work in."""
    shutil.copytree(workplace, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(words: list[str]) -> None:
    """Run a line of a page, or look whether it could be run."""
    program, *rest = words
    if program == "roottip":
        if rest[0] == "train":  # the page makes its net itself
            (output,) = (word for word in rest if word.startswith("output="))
            shutil.rmtree(output.removeprefix("output="), ignore_errors=True)
        if rest[0] in app.COMMANDS:
            rest += SMALL.get(rest[0], "").split()
            # a page shows several ways to bring annotations in
            rest += ["overwrite=true"] * (rest[0] in ("convert", "synth"))
        code = app.main(rest[: rest.index(">")] if ">" in rest else rest)
        assert code == 0, f"exit code {code}: {shlex.join(words)}"
        return
    assert program in KNOWN, f"what is {program}? {shlex.join(words)}"
    if program == "cp":
        shutil.copy(*rest)
    if program == "make":
        assert f"\n{rest[0]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if program == "python":
        assert (ROOT / rest[0]).is_file(), shlex.join(words)


pytestmark = pytest.mark.filterwarnings(
    # Lightning's and torch's, about the few samples and cores of a test
    "ignore:::pytorch_lightning",
    "ignore:::torch",
)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p) and p != NOTEBOOK], ids=lambda page: page.name
)
def test_commands_and_code_run(page, here, capsys):
    names: dict[str, object] = {}
    if "roottip detect input=photos output=results\n" in page.read_text(encoding="utf-8"):
        shutil.rmtree("results")  # the page makes it itself
    for language, content in blocks(page):
        if language == "python":
            exec(compile(content, str(page), "exec"), names)
            continue
        for line in content.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                run(words)
    tables = [value for value in names.values() if isinstance(value, pd.DataFrame)]
    assert all(len(found) for found in tables)
    assert tables or "tips = " not in page.read_text(encoding="utf-8")
    capsys.readouterr()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_and_extras_in_the_text_exist(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    known = {key for of_command in KEYS.values() for key in of_command}
    for code in re.findall(r"`([^`]+)`", text):
        command = re.match(r"roottip ([a-z]+)\b", code)
        assert command is None or command[1] in KEYS, code
        known_here = KEYS[command[1]] if command else known
        if command or re.match(r"'?[a-z_.]+=\S", code):
            for key, value in re.findall(r"(?:^|\s)'?([a-z_.]+)=(\S*)", code):
                assert key in known_here, code
                for name in value.split("|") if key in GROUPS and "…" not in value else ():
                    assert name in GROUPS[key], code
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\.\[([a-z,]+)\]", page.read_text(encoding="utf-8")):
        assert f"\n{extra} = [" in extras


@pytest.mark.parametrize(
    "line",
    [
        "roottip detekt input=photos",
        "roottip detect input=photos outptu=results",
        "roottip detect input=photos output=o detector=cnm",
        "make demos",
        "python scripts/none.py",
        "frobnicate photos",
    ],
)
def test_a_stale_line_is_noticed(line, here, capsys):
    with pytest.raises(AssertionError):
        run(shlex.split(line))


@pytest.mark.parametrize(
    "text", ["`roottip detect inptu=x`", "`thresold=0.5`", "`engine=dask|slrum`", '`".[trian]"`']
)
def test_stale_text_is_noticed(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"Say {text}.", encoding="utf-8")
    with pytest.raises(AssertionError):
        test_settings_and_extras_in_the_text_exist(page)


def test_what_pages_say_of_the_shipped_weights_is_on_their_cards():
    said = {page.name: " ".join(page.read_text(encoding="utf-8").split()) for page in PAGES}
    net, made = (
        json.loads((ROOT / "roottip" / "weights" / f"{name}.json").read_text())
        for name in ("cnn", "features")
    )
    radius = load("baseline").radius
    for page, words in (
        ("different.md", f"the shipped net's is {net['threshold']:g}."),
        ("different.md", f"scores less than {net['surest']:g} "),
        ("tables.md", f"{net['window']} px wide for the cnn, {made['window']} px for the features"),
        ("tables.md", f"({net['radius']:g} px, one root width"),
        ("tables.md", f"{made['radius']:g} for the features, {radius:g} for the baseline"),
        ("accuracy.md", f"at its threshold of {net['threshold']:g},"),
    ):
        assert words in said[page], page


def test_scripts_named_in_the_text_are_there():
    for page in PAGES:
        for script in re.findall(r"scripts/\w+\.py", page.read_text(encoding="utf-8")):
            assert (ROOT / script).is_file(), f"{page.name}: {script}"


def test_what_the_readme_points_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGES[0].read_text(encoding="utf-8")):
        assert "://" in target or (ROOT / target).exists(), target


def test_every_column_is_explained(here):
    told = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    words = "pattern={kind}_{number}", "px_per_mm=8", "detector=baseline"
    assert app.main(["detect", "input=photos", "output=out", *words]) == 0
    assert app.main(["compare", "data=annotated", "detectors=[baseline]", "output=told"]) == 0
    for name in ("tips", "images", "summary"):
        for column in table.read(Path(f"out/{name}.csv")):
            plain = column.removesuffix("_mean")
            assert f"`{plain}`" in told or plain in ("kind", "number", "group"), column
    for path in Path("told").glob("*.csv"):
        assert f"`{path.name}`" in told


def test_every_note_is_explained():
    told = (ROOT / "docs" / "different.md").read_text(encoding="utf-8")
    notes = re.findall(r"^\| `([^`]+)` \|", told.partition("## Notes")[2], re.MULTILINE)
    code = "".join(
        (ROOT / "roottip" / f"{name}.py").read_text(encoding="utf-8")
        for name in ("traits", "decoding", "ledger")
    )
    filled = {
        "first of 3 frames": "first of {frames} frames",
        "not square by its resolution, 300 x 600 dpi": "not square by its resolution, {dpi[0]:.0f}",
        "the same file as b.jpg": "the same file as {printable(twin)}",
    }
    for note in notes:
        fixed = filled.get(note, note)
        assert fixed in code or note == "a PNG named .jpg", note
    doubts = re.findall(r'^        "([^"]+)": ', code.partition("doubts = {")[2], re.MULTILINE)
    assert doubts
    assert set(doubts) <= set(notes)


def test_every_public_name_is_in_the_reference():
    import roottip

    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in roottip.__all__:
        assert re.search(rf"^::: roottip\.\w+\.{name}$", reference, re.MULTILINE), name
