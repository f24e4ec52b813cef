from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from roottip import table
from roottip.errors import InputError
from roottip.evaluation import evaluate
from roottip.interchange import divided, read_dataset, read_listed, read_truth

RSML = """<?xml version="1.0"?>
<rsml><metadata><unit>{unit}</unit><resolution>{resolution}</resolution></metadata>
<scene><plant ID="1">
  <root ID="1.1">
    <geometry><polyline><point x="1" y="2"/><point x="3.5" y="40"/></polyline></geometry>
    <root ID="1.1.1">
      <geometry>
        <rootnavspline><point x="2" y="20"/><point x="30" y="22"/></rootnavspline>
      </geometry>
      <functions><function name="diameter"><sample>3</sample></function></functions>
    </root>
  </root>
  <root ID="1.2"><geometry><polyline><point x="7" y="8"/></polyline></geometry></root>
</plant></scene></rsml>"""


def rsml(path, unit="pixel", resolution="1"):
    path.write_text(RSML.format(unit=unit, resolution=resolution))
    return path


def test_tips_are_last_points_with_their_order(tmp_path):
    tips = read_truth(rsml(tmp_path / "a.rsml"), ["a.png"])
    assert tips[["x", "y"]].to_numpy().tolist() == [[3.5, 40], [30, 22], [7, 8]]
    assert tips["root_order"].tolist() == [0, 1, 0]
    assert set(tips["image"]) == {"a.png"}


@pytest.mark.parametrize("namespace", ['xmlns="http://x"', 'xmlns:po="http://y"'])
def test_namespaces_change_nothing(tmp_path, namespace):
    path = rsml(tmp_path / "a.rsml")
    path.write_text(path.read_text().replace("<rsml", f"<rsml {namespace}"))
    tips = read_truth(path, ["a.png"])
    assert tips[["x", "y"]].to_numpy().tolist() == [[3.5, 40], [30, 22], [7, 8]]
    assert tips["root_order"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(("unit", "resolution"), [("cm", "100"), ("inch", "179.0"), ("cm", "x")])
def test_positions_are_pixels_whatever_the_unit(tmp_path, unit, resolution):
    # as SmartRoot writes them: unit and resolution say how long a pixel is
    tips = read_truth(rsml(tmp_path / "a.rsml", unit, resolution))
    assert tips[["x", "y"]].to_numpy()[0].tolist() == [3.5, 40]


def test_a_folder_of_rsml_goes_with_the_images_of_the_same_names(tmp_path):
    rsml(tmp_path / "a.rsml")
    rsml(tmp_path / "b.rsml")
    truth = read_truth(tmp_path, ["day1/a.tif", "b.png", "c.png"])
    assert truth["image"].unique().tolist() == ["day1/a.tif", "b.png"]
    with pytest.raises(InputError, match=r"b.rsml is about b.rsml, but none of the 1 images"):
        read_truth(tmp_path, ["a.tif"])
    assert read_truth(tmp_path / "a.rsml")["image"].unique().tolist() == ["a.jpg"]
    (tmp_path / "other").mkdir()
    rsml(tmp_path / "other" / "b.rsml")
    with pytest.raises(InputError, match=r"b.rsml and .*b.rsml: b.png is there twice; remove one"):
        read_truth(tmp_path, ["a.tif", "b.png"])


BOMB = """<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<rsml><scene><plant ID="&b;"/></scene></rsml>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<rsml><scene><plant ID="1">&x;</plant></scene></rsml>"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "is refused"),
        (OUTSIDE, "is refused"),
        ("<rsml><scene>", "no well-formed XML"),
        ("", "no well-formed XML"),
        ("<annotations/>", r"a.rsml is no RSML: it has no <scene> in an <rsml>; export"),
        ("<rsml><metadata/></rsml>", "a.rsml is no RSML: it has no <scene>"),
        ("<rsml><scene><plant><root ID='3'/></plant></scene></rsml>", "root 3 has no point"),
        (
            RSML.replace('x="7" y="8"', 'x="7"').format(unit="px", resolution=""),
            "root 1.2 has no 'y'",
        ),
        (RSML.replace('"7"', '"left"').format(unit="px", resolution=""), "could not convert"),
        (RSML.replace('"7"', '"nan"').format(unit="px", resolution=""), "a.rsml: nan is no number"),
    ],
)
def test_bad_xml_is_refused(tmp_path, text, said):
    (tmp_path / "a.rsml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_truth(tmp_path / "a.rsml", ["a.png"])


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"there is no file or folder .*none.rsml"):
        read_truth(tmp_path / "none.rsml", ["none.png"])
    with pytest.raises(InputError, match=r"no .rsml file in"):
        read_truth(tmp_path)


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images.csv").write_text("image,split,group\na.png,train,1\nb.png,val,2\n")
    (tmp_path / "tips.csv").write_text("image,x,y\na.png,1,2\n")
    return tmp_path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_image_without_a_group_is_its_own(tmp_path, ending):
    path = tmp_path / f"images.{ending}"
    frame = pd.DataFrame({"image": ["a", "b", "c", "d"], "group": [None, None, "p", "p"]})
    table.write(frame, path)
    marked = tmp_path / "tips.csv"
    marked.write_text("image,x,y\na,1,2\n")
    images, _ = read_listed(path, marked)
    assert images["group"].tolist() == ["a", "b", "p", "p"]
    nothing = pd.DataFrame({"image": [], "x": [], "y": []})
    assert evaluate(nothing, nothing, frame, 5).summary["groups"] == 3


def test_a_group_that_only_the_points_say_is_the_images(dataset):
    (dataset / "images.csv").write_text("image,split\na.png,train\nb.png,train\nc.png,train\n")
    (dataset / "tips.csv").write_text("image,x,y,group\na.png,1,2,P\nb.png,1,2,P\nb.png,9,9,\n")
    assert read_dataset(dataset).groups == {"a.png": "P", "b.png": "P", "c.png": "c.png"}
    (dataset / "images.csv").write_text("image,group\na.png,\nb.png,Q\nc.png,\n")
    assert read_dataset(dataset).groups == {"a.png": "P", "b.png": "Q", "c.png": "c.png"}
    (dataset / "tips.csv").write_text("image,x,y,group\na.png,1,2,P\na.png,8,8,Q\n")
    with pytest.raises(InputError, match=r"a.png is said to be of group P and Q"):
        read_dataset(dataset)


def test_an_empty_list_of_images_is_refused(dataset):
    (dataset / "images.csv").write_text("image,group\n")
    with pytest.raises(InputError, match=r"images.csv lists no image"):
        read_dataset(dataset)


def test_traces_in_subfolders_are_their_images(tmp_path):
    trace = (
        '<rsml><scene><plant><root ID="1"><geometry><polyline><point x="{}" y="1"/></polyline>'
        "</geometry></root></plant></scene></rsml>"
    )
    for x, name in enumerate(("day1/p", "day2/p", "q")):
        path = tmp_path / f"{name}.rsml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(trace.format(x))
    truth = read_truth(tmp_path, ["day1/p.png", "day2/p.png", "q.jpg"])
    assert dict(zip(truth["image"], truth["x"], strict=True)) == {
        "day1/p.png": 0,
        "day2/p.png": 1,
        "q.jpg": 2,
    }


def test_a_trace_that_is_called_otherwise_says_its_image(tmp_path):
    text = RSML.format(unit="pixel", resolution=1)
    named = text.replace("<metadata>", "<metadata><file-key>plate.jpg</file-key>")
    (tmp_path / "scan.rsml").write_text(named)
    assert set(read_truth(tmp_path, ["plate.jpg", "other.jpg"])["image"]) == {"plate.jpg"}
    assert set(read_truth(tmp_path, ["plate.jpg", "scan.png"])["image"]) == {"scan.png"}


def test_traces_of_two_images_of_one_name_are_refused(tmp_path):
    (tmp_path / "p1.rsml").write_text("<rsml/>")
    with pytest.raises(InputError, match=r"images are called so: day1/p1.jpg, day2/p1.jpg; rename"):
        read_truth(tmp_path, ["day1/p1.jpg", "day2/p1.jpg", "p2.jpg"])


def test_a_split_keeps_its_images_and_their_tips(dataset):
    val = read_dataset(dataset, "val")
    assert val.groups == {"b.png": "2"}
    assert len(val.truth) == 0
    assert len(read_dataset(dataset).truth) == 1


@pytest.mark.parametrize(
    ("told", "expected"), [(["val", "", ""], ["val", "train", "train"]), (["", "", ""], None)]
)
def test_an_image_without_a_split_is_to_learn_from_where_others_have_one(tmp_path, told, expected):
    (tmp_path / "images").mkdir()
    table.write(
        pd.DataFrame(
            {"image": ["a.png", "b.png", "c.png"], "split": told, "group": ["g", "g", "h"]}
        ),
        tmp_path / "images.csv",
    )
    (tmp_path / "tips.csv").write_text("image,x,y\na.png,1,2\n")
    images = read_dataset(tmp_path).images
    assert (images["split"].tolist() if "split" in images else None) == expected
    assert divided(images).startswith("group g has images in train and") == (expected is not None)
    assert divided(images.assign(split=["val", "test", "train"])) == ""


def test_a_broken_dataset_says_what_is_missing(dataset):
    with pytest.raises(InputError, match="no split 'test'; it has only train, val"):
        read_dataset(dataset, "test")
    (dataset / "tips.csv").write_text("image,x,y\nz.png,1,2\n")
    with pytest.raises(InputError, match=r"points in 'z.png', which is none of"):
        read_dataset(dataset)
    (dataset / "images.csv").unlink()
    with pytest.raises(InputError, match=r"no dataset folder, it has no images.csv"):
        read_dataset(dataset)


def test_the_published_traces_end_where_the_table_says(shared):
    images = list(table.read(shared / "osr" / "images.csv")["image"])
    truth = read_truth(shared / "osr" / "tips.csv")
    traced = read_truth(shared / "osr" / "rsml", images)
    truth["ignore"] = 0
    s = evaluate(traced, truth[truth["source"] == "traced"], images, tolerance=1).summary
    assert (s["precision"], s["recall"]) == (1, 1)
    assert np.isclose(s["distance_mean"], 0)


def test_distractors_of_the_images_of_a_split(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images.csv").write_text("image,split\na.jpg,val\nb.jpg,train\n")
    (tmp_path / "tips.csv").write_text("image,x,y\na.jpg,1,2\n")
    assert read_dataset(tmp_path).distractors is None
    (tmp_path / "distractors.csv").write_text("image,x,y,cause\na.jpg,5,6,hair\nb.jpg,7,8,dirt\n")
    assert read_dataset(tmp_path).distractors["cause"].tolist() == ["hair", "dirt"]
    of_val = read_dataset(tmp_path, "val").distractors
    assert of_val.to_dict("records") == [{"image": "a.jpg", "x": 5.0, "y": 6.0, "cause": "hair"}]
    (tmp_path / "distractors.csv").write_text("image,x,y,cause\nz.jpg,5,6,hair\n")
    with pytest.raises(InputError, match=r"distractors.csv has points in 'z.jpg', which is none"):
        read_dataset(tmp_path)
    (tmp_path / "distractors.csv").write_text("image,x,y\na.jpg,5,6\n")
    with pytest.raises(InputError, match="has no column cause; it has image, x, y"):
        read_dataset(tmp_path)


def test_roots_may_be_nested_deeper_than_functions(tmp_path):
    line = "<geometry><polyline><point x='1' y='{n}'/></polyline></geometry>"
    roots = [f"<root>{line.format(n=n)}" for n in range(3000)]
    path = tmp_path / "deep.rsml"
    path.write_text(
        f"<rsml><scene><plant>{''.join(roots)}{'</root>' * 3000}</plant></scene></rsml>"
    )
    tips = read_truth(tmp_path, ["deep.png"])
    assert tips["y"].tolist() == tips["root_order"].tolist() == list(range(3000))
