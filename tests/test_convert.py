"""The command: which format is meant, names and sizes of images, dataset folders, bad input."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from exchange_examples import COCO, CVAT, LABEL_STUDIO, NAPARI, YOLO, roi
from PIL import Image

from roottip import app, table
from roottip.convert import convert, input_name, left_out, output_name
from roottip.errors import InputError
from roottip.formats.gallery import Gallery
from roottip.images import read_image, read_size
from roottip.interchange import read_dataset, read_truth


@pytest.fixture
def photos(tmp_path):
    """Three photographs; p.png is the one of the examples, 40 x 20 px."""
    folder = tmp_path / "my photos <1>"
    (folder / "day 2").mkdir(parents=True)
    for name, size in (("p.png", (40, 20)), ("q r.png", (30, 50)), ("day 2/p2.jpg", (8, 8))):
        Image.new("L", size).save(folder / name)
    return folder


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "export.json"
    path.write_text(LABEL_STUDIO)
    return path


def run(capsys, *words):
    code = app.main(["convert", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_an_export_becomes_a_dataset_in_one_command(capsys, tmp_path, photos, export):
    mine = tmp_path / "my data"
    words = f"input={export}", f"images={photos}", f"output={mine}"
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert out.startswith(f"2 tips in 1 of 1 images: {mine} (dataset)\n")
    assert "roottip train data=" in out
    dataset = read_dataset(mine)
    assert dataset.truth[["image", "x", "y", "ignore"]].to_numpy().tolist() == [
        ["p.png", pytest.approx(10), pytest.approx(4), 0],
        ["p.png", -0.5, -0.5, 1],
    ]
    assert dataset.images.to_dict("records") == [
        {"image": "p.png", "split": "train", "width": 40, "height": 20, "group": "p.png"}
    ]
    assert (mine / "images" / "p.png").read_bytes() == (photos / "p.png").read_bytes()
    assert not list(mine.rglob("*.part"))
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "is there already; give another output= or say overwrite=true" in err
    assert run(capsys, *words, "overwrite=true")[0] == 0
    assert app.main(["compare", f"data={mine}", "detectors=[baseline]"]) == 0


def test_images_that_are_there_are_not_copied(capsys, tmp_path, photos, export):
    mine = tmp_path / "mine"
    mine.mkdir()
    photos.rename(mine / "images")
    before = (mine / "images" / "p.png").stat().st_mtime_ns
    assert run(capsys, f"input={export}", f"output={mine}")[0] == 0
    assert (mine / "images" / "p.png").stat().st_mtime_ns == before
    _, _, err = run(capsys, f"input={export}", f"output={tmp_path / 'other'}")
    assert "a dataset folder holds the images too; give images=" in err


def test_a_table_of_images_is_kept_whole_with_its_groups_and_splits(tmp_path, photos, export):
    listing = photos / "listing.csv"
    listing.write_text(
        "image,group,split\np.png,plant 1,val\nq r.png,plant 1,val\nday 2/p2.jpg,007,\n"
    )
    convert(export, tmp_path / "mine", listing)
    images = table.read(tmp_path / "mine" / "images.csv")
    assert images["image"].tolist() == ["p.png", "q r.png", "day 2/p2.jpg"]
    assert images["group"].tolist() == ["plant 1", "plant 1", "007"]
    assert images["width"].tolist() == [40, 30, 8]
    assert images["split"].tolist() == ["val", "val", ""]


def test_what_is_advised_is_what_the_splits_are_for(capsys, tmp_path, photos, export):
    said = "splits are those that the images table says; val= divides nothing\n"
    for splits, told in (
        ("val,val", {"compare"}),
        ("train,", {"train"}),
        (",val", {"train", "compare"}),
    ):
        rows = zip(("p.png", "day 2/p2.jpg"), splits.split(","), strict=True)
        listing = photos / "listing.csv"
        listing.write_text("image,split\n" + "".join(f"{name},{split}\n" for name, split in rows))
        words = f"input={export}", f"output={tmp_path / splits}", f"images={listing}", "val=0.5"
        code, out, err = run(capsys, *words)
        assert (code, err) == (0, said)
        assert {way for way in ("train", "compare") if f"roottip {way}" in out} == told
    listing.write_text("image,split\np.png,test\nday 2/p2.jpg,test\n")
    code, out, _ = run(capsys, f"input={export}", f"output={tmp_path / 'o'}", f"images={listing}")
    assert (code, "use it" in out) == (0, False)
    code, out, err = run(capsys, f"input={export}", f"output={tmp_path / 'p'}", f"images={photos}")
    assert (code, err) == (0, "")
    assert "use it: roottip train" in out


def test_paths_may_be_words_from_python(tmp_path, photos, export):
    name, points, _ = convert(str(export), str(tmp_path / "o"), str(photos))
    assert (name, len(points)) == ("dataset", 2)
    assert convert(str(tmp_path / "o"), str(tmp_path / "o.xml"))[0] == "cvat"


def test_groups_go_to_val_as_wholes_and_stay_there(tmp_path, photos):
    for n in range(40):
        Image.new("L", (8, 8)).save(photos / f"n{n:02d}.png")
    rows = [(f"n{n:02d}.png", 1, 1, f"g{n // 2}") for n in range(40)]
    splits = []
    for name, some in (("a", rows[:30]), ("b", rows[::-1])):
        points = pd.DataFrame(some, columns=["image", "x", "y", "group"])
        table.write(points, tmp_path / f"{name}.csv")
        convert(tmp_path / f"{name}.csv", tmp_path / name, photos, val=0.25)
        images = table.read(tmp_path / name / "images.csv")
        assert images.groupby("group")["split"].nunique().max() == 1
        splits.append(images.drop_duplicates("group").set_index("group")["split"])
        assert (splits[-1] == "val").sum() == round(0.25 * len(splits[-1]))
    before, after = splits[0], splits[1].loc[splits[0].index]
    assert (before == after).mean() > 0.8
    assert convert(tmp_path / "a.csv", tmp_path / "c", photos, val=0)[0] == "dataset"
    assert set(table.read(tmp_path / "c" / "images.csv")["split"]) == {"train"}


@pytest.mark.parametrize(
    "name", ["coco", "labelstudio", "cvat", "yolo", "imagej", "napari", "rsml"]
)
def test_a_dataset_goes_through_every_format_and_back(tmp_path, photos, export, name):
    convert(export, tmp_path / "a", photos)
    out = tmp_path / {"coco": "b.json", "labelstudio": "b.json", "cvat": "b.xml"}.get(name, "b")
    convert(tmp_path / "a", out, output_format=name)
    convert(out, tmp_path / "c", photos)
    for part in ("tips.csv", "images.csv"):
        a, c = (table.read(tmp_path / folder / part) for folder in "ac")
        pd.testing.assert_frame_equal(a, c[list(a)], atol=1e-4)


@pytest.mark.parametrize("name", ["coco", "labelstudio", "cvat", "napari", "rsml", "csv"])
def test_groups_of_a_dataset_go_along(capsys, tmp_path, photos, export, name):
    listing = photos / "listing.csv"
    listing.write_text(
        "image,group,split,px_per_mm\n"
        "p.png,plant,val,2\nq r.png,plant,val,2\nday 2/p2.jpg,,train,2\n"
    )
    marked = tmp_path / "t.csv"
    marked.write_text("image,x,y\np.png,1,1\nq r.png,2,2\nday 2/p2.jpg,3,3\n")
    convert(marked, tmp_path / "a", listing)
    ending = {"coco": ".json", "labelstudio": ".json", "cvat": ".xml", "csv": ".csv"}
    out = tmp_path / f"b{ending.get(name, '')}"
    words = f"input={tmp_path / 'a'}", f"output={out}", f"output_format={name}"
    said = run(capsys, *words)[2]
    assert said == (
        "" if name == "csv" else f"left out, as {name} has no place for it: split, px_per_mm\n"
    )
    convert(out, tmp_path / "c", photos)
    images = table.read(tmp_path / "c" / "images.csv").set_index("image")
    assert images["group"].to_dict() == {
        "p.png": "plant",
        "q r.png": "plant",
        "day 2/p2.jpg": "day 2/p2.jpg",
    }
    # of an image without a tip no format with a list of points alone knows the group
    marked.write_text("image,x,y\nq r.png,2,2\n")
    if name not in ("csv", "napari", "rsml"):
        words = (
            f"input={marked}",
            f"images={listing}",
            f"output={tmp_path / out.name[1:]}",
            words[2],
        )
        assert "group of images without tips, split" in run(capsys, *words)[2]


def test_points_of_two_plants_in_one_image_keep_their_groups(tmp_path, photos):
    marked = tmp_path / "t.csv"
    marked.write_text("image,x,y,group\np.png,1,1,left\np.png,5,5,right\n")
    convert(marked, tmp_path / "a.json", photos, output_format="coco")
    assert convert(tmp_path / "a.json", tmp_path / "b.csv")[1]["group"].tolist() == [
        "left",
        "right",
    ]


def test_a_dataset_keeps_what_its_tables_say(tmp_path, photos):
    listing = photos / "listing.csv"
    listing.write_text("image,group,split,px_per_mm\np.png,,val,2.5\n")
    marked = tmp_path / "t.csv"
    marked.write_text("image,x,y,group\np.png,1,1,plant\n")
    convert(marked, tmp_path / "a", listing)
    (tmp_path / "a" / "distractors.csv").write_text("image,x,y,cause\np.png,5,5,dirt\n")
    convert(tmp_path / "a", tmp_path / "b")
    dataset = read_dataset(tmp_path / "b")
    assert dataset.images.to_dict("records") == [
        {
            **{"image": "p.png", "split": "val", "width": 40, "height": 20, "group": "plant"},
            "px_per_mm": 2.5,
        }
    ]
    assert dataset.distractors["cause"].tolist() == ["dirt"]
    marked.write_text("image,x,y\nq r.png,1,1\n")
    convert(marked, tmp_path / "b", photos, overwrite=True)
    assert read_dataset(tmp_path / "b").distractors is None


def test_files_that_would_be_read_with_those_written_are_in_the_way(tmp_path, photos):
    marked = tmp_path / "t.csv"
    for image in ("p.png", "q r.png"):
        marked.write_text(f"image,x,y\n{image},1,1\n")
        words = marked, tmp_path / "r", photos
        if image == "p.png":
            assert convert(*words, output_format="rsml")[0] == "rsml"
            assert convert(*words, output_format="rsml", overwrite=True)[0] == "rsml"
    with pytest.raises(InputError, match=r"p.rsml would stay, and be read with what is written"):
        convert(*words, output_format="rsml", overwrite=True)
    for name, held in (("yolo", "labels/p.txt"), ("imagej", "p.zip"), ("napari", "p.csv")):
        folder = tmp_path / name
        for image in ("p.png", "q r.png"):
            marked.write_text(f"image,x,y\n{image},1,1\n")
            if image == "p.png":
                convert(marked, folder, photos, output_format=name)
                (folder / "notes.txt").write_text("mine")
        with pytest.raises(InputError, match=f"{held} would stay"):
            convert(marked, folder, photos, output_format=name, overwrite=True)
    with pytest.raises(InputError, match=r"plate.roi: imagej is written as .zip, not .roi"):
        convert(marked, tmp_path / "plate.roi", photos)


def test_the_format_is_in_the_path_or_said(tmp_path, export):
    said = {"a.csv": "csv", "a.PARQUET": "parquet", "a.rsml": "rsml", "a.xml": "cvat"}
    said |= {"a.zip": "imagej", "a.roi": "imagej", "folder": "dataset"}
    assert {path: output_name(tmp_path / path, None) for path in said} == said
    with pytest.raises(InputError, match=r"out.json could be coco or labelstudio; say which with"):
        output_name(tmp_path / "out.json", None)
    with pytest.raises(InputError, match=r"out.xyz is like no format; say .*, of rsml, coco, .*"):
        output_name(tmp_path / "out.xyz", None)
    with pytest.raises(InputError, match="output_format=koko: there is no such format; there is r"):
        output_name(tmp_path / "out.json", "koko")
    assert input_name(export, None) == "labelstudio"
    with pytest.raises(InputError, match="there is no file or folder"):
        input_name(tmp_path / "none", None)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    with pytest.raises(InputError, match="is like no format"):
        input_name(mixed, None)
    (mixed / "a.csv").write_text(NAPARI)
    (mixed / "a.rsml").write_text("<rsml/>")
    with pytest.raises(InputError, match="could be rsml or napari; say which with input_format="):
        input_name(mixed, None)
    assert input_name(mixed, "rsml") == "rsml"


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_sizes_come_from_headers_as_displayed(tmp_path, monkeypatch, ending):
    upright = Image.new("L", (30, 20))
    exif = upright.getexif()
    displayed = []
    for orientation in range(1, 9):
        exif[274] = orientation
        upright.save(tmp_path / f"{orientation}.{ending}", exif=exif)
        displayed.append(read_image(tmp_path / f"{orientation}.{ending}").shape[1::-1])
    assert set(displayed) == {(30, 20), (20, 30)}
    monkeypatch.delattr("PIL.ImageFile.ImageFile.load")  # no pixel is decoded
    assert [read_size(tmp_path / f"{n}.{ending}") for n in range(1, 9)] == displayed


def test_the_size_of_a_scan_that_is_too_large_to_load_is_known(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "scan.png")
    assert read_size(tmp_path / "scan.png") == (20_000, 10_000)


def test_a_size_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "text.jpg").write_text("text")
    for name, said in (("none.jpg", "there is no file"), ("text.jpg", "is not an image")):
        with pytest.raises(InputError, match=said):
            read_size(tmp_path / name)


def test_a_size_that_is_missing_or_another_is_said(tmp_path, photos, export):
    table.write(pd.DataFrame({"image": ["p.png"], "x": [1], "y": [2]}), tmp_path / "a.csv")
    for name, ending in (("coco", "json"), ("labelstudio", "json"), ("cvat", "xml"), ("yolo", "")):
        with pytest.raises(InputError, match=r"needs the size of p.png; give images="):
            convert(tmp_path / "a.csv", tmp_path / f"b.{ending}", output_format=name)
    Image.new("L", (20, 40)).save(photos / "p.png")
    with pytest.raises(InputError, match=r"says that p.png is 40 x 20 px, but in .* it is 20 x 40"):
        convert(export, tmp_path / "b.csv", photos)


def test_names_of_images_are_found(tmp_path, photos, export):
    upload = "/data/upload/1/0a1b2c3d-p.png"
    for text, name in (
        (LABEL_STUDIO.replace("-p.png", "-q_r.png"), "q r.png"),
        (LABEL_STUDIO.replace(upload, "/data/local-files/?d=x/q%20r.png"), "q r.png"),
        (LABEL_STUDIO.replace(upload, "http://h:8080/data/local-files/?d=x/q%20r.png"), "q r.png"),
        (LABEL_STUDIO.replace(upload, "s3://bucket/day%202/p2.jpg?X=1"), "day 2/p2.jpg"),
        (COCO.replace("p.png", "C:\\\\data\\\\day 2\\\\p2.jpg"), "day 2/p2.jpg"),
    ):
        Image.new("L", (40, 20)).save(photos / name)
        export.write_text(text)
        points = convert(export, tmp_path / "b.csv", photos, overwrite=True)[1]
        assert set(points["image"]) == {name}
    export.write_text(LABEL_STUDIO.replace("-p.png", "-z.png"))
    with pytest.raises(InputError, match=r"task 3 is about .*z.png, but none of the 3 im"):
        convert(export, tmp_path / "c.csv", photos)
    (tmp_path / "p.csv").write_text(NAPARI)
    with pytest.raises(InputError, match=r"p.csv does not say which image it belongs to; give im"):
        convert(tmp_path / "p.csv", tmp_path / "c.rsml")
    Image.new("L", (8, 8)).save(photos / "p.jpg")
    with pytest.raises(InputError, match=r"about p.csv, and 2 images are called so: p.jpg, p.png"):
        convert(tmp_path / "p.csv", tmp_path / "c.rsml", photos)
    assert convert(tmp_path / "p.csv", tmp_path / "c.rsml", photos / "p.png")[0] == "rsml"


def test_a_date_before_a_name_is_no_upload_s_number(tmp_path, photos, export):
    for name in ("20230101-p.png", "20230102-p.png"):
        Image.new("L", (40, 20)).save(photos / name)
    for said in ("0a1b2c3d-20230102-p.png", "20230102-p.png"):
        export.write_text(LABEL_STUDIO.replace("0a1b2c3d-p.png", said))
        points = convert(export, tmp_path / "b.csv", photos, overwrite=True)[1]
        assert set(points["image"]) == {"20230102-p.png"}
    (photos / "20230102-p.png").unlink()
    (photos / "p.png").unlink()
    with pytest.raises(InputError, match=r"none of the 3 images of .* is called so"):
        convert(export, tmp_path / "b.csv", photos, overwrite=True)


def test_predictions_are_read_only_where_nobody_went_over_the_file(tmp_path, export):
    (first,) = json.loads(LABEL_STUDIO)
    guess = {"model_version": "roottip", "result": first["annotations"][0]["result"]}
    second = json.loads(json.dumps(first).replace("-p.png", "-q.png"))
    second |= {"predictions": [guess], "annotations": []}
    for tasks, images in (
        ([second], ["q.png"]),
        ([first, second], ["p.png"]),
        ([second, second | {"annotations": [{"was_cancelled": True, "result": []}]}], []),
    ):
        export.write_text(json.dumps(tasks))
        points = convert(export, tmp_path / "b.csv", overwrite=True)[1]
        if len(tasks) == 1:
            with pytest.raises(InputError, match="holds roottip's own finds, which are no truth"):
                convert(export, tmp_path / "mine")
        assert list(dict.fromkeys(points["image"])) == images


def test_two_photos_are_never_taken_for_one(tmp_path, photos):
    rows = tmp_path / "t.csv"
    rows.write_text("image,x,y\nday1/p.png,1,1\nday2/p.png,2,2\n")
    with pytest.raises(InputError, match=r"rows of day1/p.png and of day2/p.png, but .* only one"):
        convert(rows, tmp_path / "o.rsml", photos / "p.png")
    rows.write_bytes(b"image,x,y\n\xff.png,1,1\n")
    points = convert(rows, tmp_path / "o.parquet")[1]
    assert points["image"].tolist() == ["\udcff.png"]
    listed = tmp_path / "images.csv"
    listed.write_bytes(b"image,width,height,group,px_per_mm\nb.png,9,9,g,\n\xff.png,9,8,h,\n")
    _, points, images = convert(rows, tmp_path / "o.json", listed, output_format="coco")
    assert images[["image", "height", "group"]].to_numpy().tolist() == [
        ["\udcff.png", 8, "h"],
        ["b.png", 9, "g"],
    ]
    assert points["group"].tolist() == ["h"]
    assert left_out(points, images, "coco") == ["group of images without tips"]


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("y/labels/p.txt", YOLO.replace(" 0.2625 0.225 2", " 10.5 4.5 2"), "419.5, 89.5"),
        ("a.json", COCO.replace("[10, 4,", "[10, 400,"), "10, 400"),
        ("a.xml", CVAT.replace("10.50,4.50", "-3.00,4.50"), "-3.5, 4"),
        ("p.csv", NAPARI.replace("4.0,10.0", "4.0,42.0"), "42, 4"),
        ("t.csv", "image,x,y\np.png,10,21\n", "10, 21"),
    ],
)
def test_a_visible_tip_far_outside_its_image_is_refused(tmp_path, photos, name, text, place):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path = tmp_path / "y" if name.startswith("y/") else path
    said = rf"1 visible tip far outside .* as {place} on p.png \(40 x 20 px\); give the images"
    with pytest.raises(InputError, match=said):
        convert(path, tmp_path / "out.csv", photos)
    assert not (tmp_path / "out.csv").exists()


def test_a_tip_slightly_outside_and_an_ignored_one_are_kept_and_said(capsys, tmp_path, photos):
    rows = tmp_path / "t.csv"
    words = f"input={rows}", f"images={photos}", "output_format=csv", "overwrite=true"
    for row, said in (
        ("41.5,20.5,0", "1 tip outside the image, such as 41.5, 20.5 on p.png (40 x 20 px)\n"),
        ("99,20.5,1", "1 tip outside the image, such as 99, 20.5 on p.png (40 x 20 px)\n"),
        ("39.5009,-0.5009,0", ""),
    ):
        rows.write_text(f"image,x,y,ignore\np.png,{row}\n")
        code, out, err = run(capsys, *words, f"output={tmp_path / 'o.csv'}")
        assert (code, err) == (0, said)
        assert out.startswith("1 tip in 1 of ")
    rows.write_text("image,x,y\np.png,-900,9000\n")  # of no size that is known
    assert len(convert(rows, tmp_path / "u.csv")[1]) == 1


def test_yolo_images_may_be_called_as_its_lists_are(tmp_path, photos):
    for name in ("test.png", "notes.png"):
        Image.new("L", (40, 20)).save(photos / name)
    rows = tmp_path / "t.csv"
    rows.write_text("image,x,y\ntest.png,1,1\nnotes.png,2,2\np.png,3,3\n")
    convert(rows, tmp_path / "yolo", photos, output_format="yolo")
    (tmp_path / "yolo" / "labels" / "classes.txt").write_text("tip\n")
    points = convert(tmp_path / "yolo", tmp_path / "back.csv", photos)[1]
    assert sorted(points["image"]) == ["notes.png", "p.png", "test.png"]


def test_what_roboflow_puts_beside_labels_is_none(tmp_path, photos):
    labels = tmp_path / "yolo" / "train" / "labels"
    labels.mkdir(parents=True)
    (labels / "p.txt").write_text(YOLO)
    (tmp_path / "yolo" / "data.yaml").write_text("names: [tip]\nkpt_shape: [1, 3]\n")
    for name in ("README.roboflow.txt", "README.dataset.txt"):
        (tmp_path / "yolo" / name).write_text("Pose, 1 image\n")
    assert len(convert(tmp_path / "yolo", tmp_path / "a.csv", photos)[1]) == 2


def test_label_studio_may_label_a_point_by_another_result(tmp_path, export):
    (task,) = json.loads(LABEL_STUDIO)
    result = task["annotations"][0]["result"]
    for entry in list(result):
        value = entry["value"]
        label = {
            **entry,
            "type": "labels",
            "value": {**value, "labels": value.pop("keypointlabels")},
        }
        entry["type"] = "keypoint"
        result.append(label)
    export.write_text(json.dumps([task]))
    assert convert(export, tmp_path / "b.csv")[1]["ignore"].tolist() == [0, 1]


def test_rsml_named_otherwise_says_its_image(tmp_path, photos):
    rows = tmp_path / "t.csv"
    rows.write_text("image,x,y,root_order,group\np.png,3,3,2,g7\n")
    convert(rows, tmp_path / "trace.rsml", photos / "p.png")
    assert convert(tmp_path / "trace.rsml", tmp_path / "b.csv", photos)[1]["image"].tolist() == [
        "p.png"
    ]
    rows.write_text("image,x,y,root_order\np.png,3,3,\np.png,8,3,1\n")
    convert(rows, tmp_path / "other.rsml", photos / "p.png")  # an order nobody told stays unknown
    assert read_truth(tmp_path / "other.rsml")["root_order"].tolist() == [pd.NA, 1]
    (told,) = read_truth(tmp_path / "trace.rsml").to_dict("records")
    assert (told["root_order"], told["group"]) == (2, "g7")


def test_another_image_in_the_way_is_not_replaced(tmp_path, photos, export):
    mine = tmp_path / "mine" / "images" / "p.png"
    mine.parent.mkdir(parents=True)
    Image.new("L", (40, 20), 99).save(mine)
    before = mine.read_bytes()
    with pytest.raises(InputError, match=r"p.png is another image than .* say overwrite=true"):
        convert(export, tmp_path / "mine", photos)
    assert mine.read_bytes() == before
    convert(export, tmp_path / "mine", photos, overwrite=True)
    assert mine.read_bytes() == (photos / "p.png").read_bytes()


def test_sizes_that_are_none_are_asked_of_the_files(tmp_path, photos, export):
    listing = photos / "listing.csv"
    listing.write_text("image,width,height\np.png,64px,\n")
    convert(export, tmp_path / "coco.json", listing, output_format="coco")
    (entry,) = json.loads((tmp_path / "coco.json").read_text())["images"]
    assert (entry["width"], entry["height"]) == (40, 20)


def test_what_macos_leaves_beside_files_is_none(tmp_path, photos, export):
    convert(export, tmp_path / "r", photos, output_format="rsml")
    (tmp_path / "r" / "._p.rsml").write_bytes(b"\0\5\26\7")
    assert len(convert(tmp_path / "r", tmp_path / "b.csv", photos)[1]) == 2
    with zipfile.ZipFile(tmp_path / "cvat.zip", "w") as archive:
        archive.writestr("annotations.xml", CVAT)
        archive.writestr("__MACOSX/._annotations.xml", b"\0\5\26\7")
    assert len(convert(tmp_path / "cvat.zip", tmp_path / "c.csv")[1]) == 2


def test_labels_say_which_marks_are_tips(tmp_path, photos, export):
    two = json.loads(LABEL_STUDIO)
    result = two[0]["annotations"][0]["result"]
    seed = json.loads(json.dumps(result[0]).replace('"tip"', '"seed (dry)"'))
    result += [seed, seed]
    export.write_text(json.dumps(two))
    out = tmp_path / "b.csv"
    with pytest.raises(InputError, match=r"labelled seed \(dry\) \(2\), tip \(1\); say which are"):
        convert(export, out, photos)
    assert len(convert(export, out, photos, label="tip")[1]) == 2  # and the ignored one
    code = app.main(
        ["convert", f"input={export}", f"output={out}", "label=seed (dry)", "overwrite=true"]
    )
    assert code == 0
    assert len(table.read(out)) == 3
    with pytest.raises(InputError, match="no marks labelled tips; it has seed"):
        convert(export, out, photos, label="tips", overwrite=True)


def test_a_task_nobody_annotated_is_no_image_without_tips(tmp_path, export):
    tasks = json.loads(LABEL_STUDIO)
    task = json.dumps(tasks[0])
    tasks.append(json.loads(task.replace("-p.png", "-q.png")) | {"annotations": []})
    tasks.append(json.loads(task.replace("-p.png", "-r.png")))
    tasks[2]["annotations"][0]["result"] = []
    export.write_text(json.dumps(tasks))
    assert convert(export, tmp_path / "b.csv")[2]["image"].tolist() == ["p.png", "r.png"]
    tasks[0]["annotations"] *= 2
    export.write_text(json.dumps(tasks))
    with pytest.raises(InputError, match="task 3 has 2 annotations; mark one as ground truth"):
        convert(export, tmp_path / "c.csv")
    tasks[0]["annotations"] = [dict(tasks[0]["annotations"][0], ground_truth=g) for g in (0, 1)]
    export.write_text(json.dumps(tasks))
    assert len(convert(export, tmp_path / "c.csv")[1]) == 2


def test_what_a_format_cannot_hold_is_said(capsys, tmp_path, photos):
    found = pd.DataFrame({"image": ["p.png"], "x": [1.0], "y": [2.0], "score": [0.5], "x_mm": [1]})
    table.write(found, tmp_path / "a.csv")
    words = f"input={tmp_path / 'a.csv'}", f"output={tmp_path / 'p.zip'}"
    code, out, err = run(capsys, *words)
    assert (code, out) == (0, f"1 tip in 1 of 1 images: {tmp_path / 'p.zip'} (imagej)\n")
    assert err == "left out, as imagej has no place for it: score, x_mm\n"
    assert left_out(found, found, "csv") == []
    words = f"input={tmp_path / 'a.csv'}", f"images={photos}", f"output={tmp_path / 'set'}"
    assert "only what somebody went over\n" in run(capsys, *words)[2]
    table.write(found.assign(x=41.0), tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"tip at 41, 2 is outside p.png \(40 x 20 px\)"):
        convert(tmp_path / "a.csv", tmp_path / "y", photos, output_format="yolo")
    two = pd.DataFrame({"image": ["p.png", "p.jpg"], "x": [1, 1], "y": [2, 2]})
    table.write(two, tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"p.png and p.jpg would both be written to p.rsml"):
        convert(tmp_path / "a.csv", tmp_path / "r", output_format="rsml")
    table.write(two.assign(image=["a.png", "b.png"]), tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"r.rsml is one file, but there are 2 images"):
        convert(tmp_path / "a.csv", tmp_path / "r.rsml")
    for name in ("../a.png", "/a.png"):
        table.write(two.assign(image=[name, "b.png"]), tmp_path / "a.csv")
        with pytest.raises(InputError, match="outside the folder of images"):
            convert(tmp_path / "a.csv", tmp_path / "r", output_format="rsml")
    assert not (tmp_path / "r").exists()


BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.xml", BOMB, "is refused, its XML holds entities"),
        ("p.xml", CVAT[:200], "no well-formed XML"),
        ("p.xml", CVAT.replace("image", "track"), "export in that format from CVAT"),
        ("p.xml", "<VOC/>", "export in that format from CVAT"),
        ("p.xml", CVAT.replace("10.50,4.50", "10,50,4,50"), r"image 0: '10,50,4,50' is no x,y"),
        ("p.xml", CVAT.replace("10.50,4.50", "1O.5,4.5"), r"image 0: '1O.5' is no number"),
        (
            "p.xml",
            CVAT.replace("points ", "box ").replace("/points", "/box"),
            "has no points, only box",
        ),
        ("p.json", "[1, 2", "is no JSON"),
        ("p.json", "[" * 100_000, "is no JSON"),
        ("p.json", '{"a": 1}', "is like no format"),
        ("p.json", COCO.replace('"file_name"', '"name"'), "image 1 has no 'file_name'"),
        ("p.json", COCO.replace('"image_id": 7', '"image_id": 8'), "annotation 1 is on image 8"),
        ("p.json", COCO.replace("[10, 4, 2, 0, 0, 0]", "[10, 4]"), "annotation 1: .* no triples"),
        ("p.json", COCO.replace("[10, 4,", '["10,5", 4,'), "annotation 1: '10,5' is no number"),
        ("p.json", COCO.replace("[10, 4,", "[NaN, 4,"), "annotation 1: nan is no number"),
        ("p.json", COCO.replace('"keypoints"', '"bbox2"'), "annotations but no keypoints"),
        ("p.json", COCO.replace('[\n {"id": 7', '{"id": 7', 1), "is no JSON"),
        ("p.json", LABEL_STUDIO.replace("26.25", '"26,25"'), "task 3: '26,25' is no number"),
        ("p.json", LABEL_STUDIO.replace('tion": 0', 'tion": 90'), "task 3 was turned"),
        ("p.json", LABEL_STUDIO.replace("keypointlabels", "brushlabels"), "no key points, only br"),
        ("p.csv", NAPARI.replace("4.0", "4;0"), "row 1: '4;0' is no number"),
        ("p.csv", NAPARI.replace("axis-1", "axis-1,axis-2"), "a points layer of one flat image"),
        ("p.csv", "image;x;y\np.png;10,5;4\n", "first line names; fields are separated by commas"),
        ("p.csv", 'image,x,y\np.png,"10,5",4\n', "row 1, column x: .* is not a finite number"),
        ("p.roi", b"Iout", "p.roi is no ImageJ ROI, or damaged"),
        ("p.roi", b"text", "p.roi is no ImageJ ROI, or damaged"),
        ("p.roi", roi([(1, 2), (3, 4)])[:70], "p.roi is no ImageJ ROI, or damaged"),
        ("p.roi", roi([(1, 2)])[:6] + b"\0" + roi([(1, 2)])[7:], "holds no points, only polygon"),
        ("p.zip", b"PK nothing", "is no zip that can be unpacked"),
        ("y/labels/p.txt", YOLO.replace("0.2625", "0,2625"), "line 1: '0,2625' is no number"),
        ("y/labels/p.txt", "0 0.1 0.1 0.1 0.1\n", "line 1 has 5 numbers"),
        ("y/labels/p.txt", YOLO.replace(" 2\n", " 0.93\n"), "0.93 is no visibility"),
        ("y/data.yaml", "a: [1", "data.yaml is no YAML"),
    ],
)
def test_malformed_files_give_place_and_reason(tmp_path, photos, name, text, said):
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if name.startswith("y/"):
        path = tmp_path / "in" / "y"
    with pytest.raises(InputError, match=said) as caught:
        convert(path, tmp_path / "out.csv", photos / "p.png")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.csv").exists()


def test_a_zip_that_would_unpack_to_much_is_refused(tmp_path, photos, monkeypatch):
    monkeypatch.setattr("roottip.formats.marks.MOST_UNPACKED", 99)
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(100))
    with pytest.raises(InputError, match="would unpack to over 1 GB"):
        convert(tmp_path / "p.zip", tmp_path / "out.csv", photos)


def test_a_zip_of_cvat_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("annotations.xml", CVAT)
        archive.writestr("images/p.png", b"")
    points = convert(tmp_path / "a.zip", tmp_path / "b.parquet")[1]
    np.testing.assert_allclose(points[["x", "y"]], [[10, 4], [-0.5, -0.5]])
    assert len(table.read(tmp_path / "b.parquet")) == 2


def test_a_run_goes_out_with_its_images_without_tips_but_not_the_unreadable(tmp_path):
    rows = [("a.jpg", "ok", 9, 8), ("b.jpg", "ok", 9, 8), ("c.jpg", "failed", None, None)]
    listed = pd.DataFrame(rows, columns=["image", "status", "width", "height"])
    table.write(listed.convert_dtypes(), tmp_path / "images.csv")
    table.write(table.points("a.jpg", np.ones((1, 2)), np.ones(1)), tmp_path / "tips.csv")
    convert(tmp_path / "tips.csv", tmp_path / "a.xml", tmp_path / "images.csv")
    _, points, images = convert(tmp_path / "a.xml", tmp_path / "b.csv")
    assert images["image"].tolist() == ["a.jpg", "b.jpg"]
    assert points[["x", "y", "score"]].to_numpy().tolist() == [[1, 1, 1]]


def test_a_size_of_which_half_is_missing_is_none():
    frame = pd.DataFrame({"image": ["p.png"], "width": [40], "height": [0]})
    assert Gallery(["p.png"], None, frame).size("p.png") is None


def test_an_original_that_a_dataset_links_to_stays(tmp_path, photos):
    (tmp_path / "mine" / "images").mkdir(parents=True)
    original = tmp_path / "original.png"
    original.write_bytes(b"the only copy")
    try:
        (tmp_path / "mine" / "images" / "p.png").symlink_to(original)
    except OSError:
        pytest.skip("this system makes no links here")
    (tmp_path / "t.csv").write_text("image,x,y\np.png,3,3\n")
    convert(tmp_path / "t.csv", tmp_path / "mine", photos, overwrite=True)
    assert original.read_bytes() == b"the only copy"
    copied = tmp_path / "mine" / "images" / "p.png"
    assert copied.read_bytes() == (photos / "p.png").read_bytes()
