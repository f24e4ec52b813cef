from __future__ import annotations

import json
import os
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from roottip import batch, table
from roottip.errors import InputError
from roottip.provenance import card_settings, identity
from roottip.scorers import load
from roottip.traits import Traits

FORMATS = ("csv", "parquet")
SETTINGS = {"name": "baseline"}


@pytest.fixture
def run_folder(tmp_path, plate):
    source = tmp_path / "run, [1] = ü"
    (source / "day 2").mkdir(parents=True)
    Image.fromarray(plate).save(source / "p10.png")
    Image.fromarray(plate[:, ::-1].copy()).save(source / "day 2" / "p2.png")
    Image.fromarray(np.full((60, 80, 3), 99, np.uint8)).save(source / "blank.png")
    (source / "broken.jpg").write_text("no image")
    return source


def run(source, output, **more):
    return batch.run(source, output, load("baseline"), SETTINGS, **more)


def test_a_run_has_a_row_for_every_image(tmp_path, run_folder):
    tips, images = run(run_folder, tmp_path / "out")
    assert images["image"].tolist() == ["blank.png", "broken.jpg", "day 2/p2.png", "p10.png"]
    assert images["status"].tolist() == ["ok", "failed", "ok", "ok"]
    assert images["tips"].tolist() == [0, pd.NA, 1, 1]
    assert "is not an image" in images["error"][1]
    assert images.loc[3, ["width", "height"]].tolist() == [200, 240]
    xy = tips.set_index("image")[["x", "y"]]
    assert xy.loc["p10.png"].to_numpy() == pytest.approx((100, 151), abs=3)
    assert xy.loc["day 2/p2.png"].to_numpy() == pytest.approx((99, 151), abs=3)


def test_the_files_are_the_contract(tmp_path, run_folder):
    output = tmp_path / "out"
    tips, _ = run(run_folder, output)
    tables = [f"{name}.{suffix}" for name in ("images", "summary", "tips") for suffix in FORMATS]
    folders = [".roottip", "overlays", "thumbnails"]
    assert sorted(p.name for p in output.iterdir()) == sorted(
        [*folders, *tables, "report.html", "run.json"]
    )
    written = table.read(output / "tips.csv")
    assert list(written) == ["image", "x", "y", "score"]
    pd.testing.assert_frame_equal(table.check_points(written, "t").drop(columns="ignore"), tips)
    columns = list(table.read(output / "images.csv"))
    assert columns[: len(table.IMAGE_COLUMNS)] == list(table.IMAGE_COLUMNS)
    overlay = cv2.imread(str(output / "overlays" / "day 2" / "p2.png.png"))
    assert overlay.shape == (240, 200, 3)
    record = json.loads((output / "run.json").read_text())
    assert record["finished"] is True
    assert record["detector"] == SETTINGS
    page = (output / "report.html").read_text()
    assert "2 tips in 3 of 4 images; 1 could not be read" in page


def test_a_run_without_any_tip_writes_whole_tables(tmp_path):
    Image.new("L", (30, 20), 80).save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "out", overlays=False)
    assert (tmp_path / "out" / "tips.csv").read_text() == "image,x,y,score\n"
    assert not (tmp_path / "out" / "overlays").exists()


def test_the_same_run_again_gives_the_same_tips_and_another_is_refused(tmp_path, run_folder):
    output = tmp_path / "out"
    run(run_folder, output)
    first = (output / "tips.csv").read_bytes()
    run(run_folder, output)
    assert (output / "tips.csv").read_bytes() == first
    with pytest.raises(InputError, match="holds the results of another run"):
        run(run_folder / "p10.png", output)
    assert (output / "tips.csv").read_bytes() == first
    run(run_folder / "p10.png", output, overwrite=True)
    assert (output / "tips.csv").read_bytes() != first


def test_results_inside_the_input_folder_are_no_input(tmp_path, run_folder):
    _, first = run(run_folder, run_folder / "out")
    _, again = run(run_folder, run_folder / "out")
    assert again["image"].tolist() == first["image"].tolist()


def test_pictures_of_another_run_are_no_photographs(tmp_path, run_folder):
    _, first = run(run_folder, run_folder / "day" / "out")
    assert list((run_folder / "day" / "out").rglob("*.png"))
    _, other = run(run_folder, tmp_path / "elsewhere")
    assert other["image"].tolist() == first["image"].tolist()


def test_photographs_beside_a_former_run_are_images(tmp_path, run_folder, capsys):
    day = run_folder / "day 2"
    run(day, tmp_path / "first")
    shutil.copytree(tmp_path / "first", day, dirs_exist_ok=True)
    assert (day / "overlays" / "p2.png.png").is_file()
    _, images = run(run_folder, tmp_path / "out")
    assert images["image"].tolist() == ["blank.png", "broken.jpg", "day 2/p2.png", "p10.png"]
    told = "left out: 2 pictures that runs drew, in their overlays/ and thumbnails/\n"
    assert told in capsys.readouterr().err
    _, images = run(day, tmp_path / "day")
    assert images["image"].tolist() == ["p2.png"]
    (day / "p2.png").unlink()
    with pytest.raises(InputError, match=r"nothing but pictures that runs drew, .*; give photo"):
        run(day, tmp_path / "none")


def test_photographs_in_the_output_are_images(tmp_path, run_folder):
    output = run_folder / "day 2"
    every = ["blank.png", "broken.jpg", "day 2/p2.png", "p10.png"]
    for _ in range(2):
        _, images = run(run_folder, output)
        assert images["image"].tolist() == every
    listed = [run_folder / name for name in (*every, "day 2/overlays/p10.png.png")]
    (tmp_path / "list.txt").write_text("\n".join(map(str, listed)))
    _, images = run(tmp_path / "list.txt", output, overwrite=True)
    assert len(images) == len(every)


def test_a_list_may_name_images_anywhere(tmp_path, run_folder):
    (tmp_path / "list.txt").write_text(str(run_folder / "p10.png"))
    tips, _ = run(tmp_path / "list.txt", tmp_path / "out")
    assert len(tips) == 1


def test_a_folder_that_a_run_was_refused_is_still_one_of_photographs(tmp_path, run_folder):
    (run_folder / "day 2" / "tips.csv").write_text("somebody's")
    with pytest.raises(InputError, match="no run made it"):
        run(run_folder, run_folder / "day 2")
    _, images = run(run_folder, tmp_path / "out")
    assert "day 2/p2.png" in set(images["image"])


def test_run_json_says_what_made_the_tables(tmp_path, run_folder):
    told = {"px_per_mm": 20.0, "pattern": "{name}", "group": ["name"]}
    run(run_folder, tmp_path / "out", traits=Traits(**told))
    made = json.loads((tmp_path / "out" / "run.json").read_text())
    assert {name: made[name] for name in told} == told


def test_a_pattern_that_fits_no_image_is_refused_before_the_work(tmp_path, run_folder, capsys):
    said = r"\{b\}-\{c\} fits none of the 4 images, or in several ways, such as blank; names are"
    with pytest.raises(InputError, match=said):
        run(run_folder, tmp_path / "out", traits=Traits(pattern="{b}-{c}"))
    assert not (tmp_path / "out").exists()
    run(run_folder, tmp_path / "out", traits=Traits(pattern="b{rest}"))
    told = "pattern=b{rest} does not fit 2 of 4 images, such as p2; images.csv notes which\n"
    assert told in capsys.readouterr().err
    run(run_folder, tmp_path / "out", traits=Traits(pattern="{all}"))
    assert "pattern" not in capsys.readouterr().err


def test_an_output_around_the_images_is_refused_and_left_alone(tmp_path, run_folder):
    (run_folder / "images.csv").write_text("image,split,group\n")
    with pytest.raises(InputError, match=r"all images of .* lie in .*give another output="):
        run(run_folder, run_folder)
    assert (run_folder / "images.csv").read_text() == "image,split,group\n"


def test_a_photo_on_its_side_gives_what_the_upright_one_gives(tmp_path, plate):
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(plate).save(tmp_path / "in" / "a.png")
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(plate)))
    turned.save(tmp_path / "in" / "b.png", exif=exif)
    tips, images = run(tmp_path / "in", tmp_path / "o")
    upright, stored = (
        tips.loc[tips["image"] == name, ["x", "y", "score"]].to_numpy()
        for name in ("a.png", "b.png")
    )
    assert len(upright) > 0
    assert np.array_equal(upright, stored)
    assert images[["width", "height"]].to_numpy().tolist() == [[200, 240]] * 2
    pictures = [(tmp_path / "o" / "overlays" / f"{name}.png.png").read_bytes() for name in "ab"]
    assert pictures[0] == pictures[1]


def test_an_interrupted_run_keeps_what_is_done(tmp_path, run_folder):
    class Interrupted:
        threshold = 0.5
        calls = 0

        def find(self, image, threshold=None):
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return load("baseline").find(image, threshold)

    with pytest.raises(KeyboardInterrupt):
        batch.run(run_folder, tmp_path / "out", Interrupted(), SETTINGS)
    assert len(table.read(tmp_path / "out" / "images.csv")) == 2
    assert json.loads((tmp_path / "out" / "run.json").read_text())["finished"] is False


@pytest.mark.parametrize(("x", "score"), [(np.nan, 1.0), (3.0, np.nan), (3.0, np.inf)])
def test_a_find_that_is_none_costs_its_image_s_row(tmp_path, run_folder, x, score):
    class Odd:
        threshold = 0.5

        def find(self, image, threshold=None):
            some = len(image) == 60
            return np.array([[x, 3.0]] * some).reshape(-1, 2), np.array([score] * some)

    tips, images = batch.run(run_folder, tmp_path / "out", Odd(), SETTINGS)
    assert len(tips) == 0
    assert images["status"].tolist() == ["failed", "failed", "ok", "ok"]
    assert "what the detector found, row 1, column" in images["error"][0]


@pytest.mark.parametrize("given", ["cnn", None, {"name": "cnn"}])
def test_what_is_no_detector_or_no_engine_is_refused_before_the_work(tmp_path, run_folder, given):
    with pytest.raises(InputError, match=r"must have a method find; roottip.load\('cnn'\) makes"):
        batch.run(run_folder, tmp_path / "out", given, SETTINGS)
    with pytest.raises(InputError, match=r"work=4 is no engine; roottip.engine.local\(w"):
        run(run_folder, tmp_path / "out", work=4)
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file_is_refused(tmp_path, run_folder):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="is a file; give a folder"):
        run(run_folder, tmp_path / "out")


@pytest.mark.parametrize("inside", ["", "results"])
def test_output_that_is_a_link_to_nothing_is_refused(tmp_path, run_folder, inside):
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="out is a link to nothing; remove it, or make the folder"):
        run(run_folder, tmp_path / "out" / inside)
    (tmp_path / "gone").mkdir()
    run(run_folder, tmp_path / "out" / inside)
    assert (tmp_path / "gone" / inside / "tips.csv").is_file()


def test_a_name_that_is_no_path_gets_its_row(tmp_path, run_folder):
    image = next(run_folder.rglob("*.png"))
    listed = tmp_path / "list.txt"
    listed.write_bytes(b"a\0b.png\n" + os.fsencode(image) + b"\n")
    _, images = batch.run(listed, tmp_path / "o", load("baseline"), {})
    assert sorted(images["status"]) == ["failed", "ok"]


def test_a_folder_may_be_called_as_an_image_s_picture(tmp_path, run_folder):
    blank = Image.open(run_folder / "blank.png")
    for folder in ("blank.png.png", "blank.png.JPG", "blank.png.png_"):
        (run_folder / folder).mkdir()
        blank.save(run_folder / folder / "p.png")
    _, images = run(run_folder, tmp_path / "out")
    done = images["status"] == "ok"
    assert done.sum() == 6
    for below in ("overlays", "thumbnails"):
        pictures = {batch._picture(below, name) for name in images.loc[done, "image"]}
        assert len(pictures) == 6
        assert all((tmp_path / "out" / picture).is_file() for picture in pictures)
    assert batch._picture("overlays", "a.jpg/b.png.x/c.jpg").startswith("overlays/a.jpg_/b.png.x/c")


def test_a_link_to_itself_is_a_missing_image(tmp_path, run_folder):
    (run_folder / "me.jpg").symlink_to(run_folder / "me.jpg")
    _, images = run(run_folder, tmp_path / "out")
    failed = images[images["status"] == "failed"]
    assert "me.jpg" in failed["image"].tolist()
    assert len(failed) < len(images)


def test_what_a_card_says_makes_another_run():
    card = {"sha256": "net", "glance": "glance", "threshold": 0.4, "surest": 0.0}
    scorer = SimpleNamespace(card=card, runtime="onnxruntime")
    detector = SimpleNamespace(scorer=scorer, review=SimpleNamespace(card={"sha256": "again"}))
    assert identity(detector) == "net+glance+again+onnxruntime"
    assert card_settings(detector) == {"threshold": 0.4, "surest": 0.0}


def test_the_summary_counts_doubts_and_seconds_of_what_was_done():
    images = pd.DataFrame(
        {
            "image": ["a", "b", "c"],
            "status": ["ok", "ok", "failed"],
            "note": ["", "blurred", "odd"],
            "seconds": [1.0, 2.0, 9.0],
        }
    )
    said = batch.summary(pd.DataFrame({"x": [1.0]}), images, 3)
    assert said == (
        "1 tip in 2 of 3 images; 1 could not be read (see images.csv); "
        "1 doubtful (note in images.csv). 1.50 s an image."
    )
