"""Each format: round trips, its program's pixels, its program's own reader, damaged files."""

from __future__ import annotations

import contextlib
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from exchange_examples import COCO, CVAT, LABEL_STUDIO, NAPARI, YOLO, roi
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roottip.errors import InputError
from roottip.formats import FORMATS
from roottip.formats.gallery import Gallery

NAMES = ["a <b> & 'c'.jpg", "tag 1/p,;=ü.png", "tag 1/empty.tif", "tag 2/p,;=ü.png"]
WIDTH, HEIGHT = 3000, 2000
IMAGES = pd.DataFrame({"image": NAMES, "width": WIDTH, "height": HEIGHT})

# ImageJ stores 32-bit floats: half of 1/4096 px at 3000
PRECISION = {"imagej": 2e-4}


def gallery():
    return Gallery(NAMES, None, IMAGES, "images.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


def through(name, points, folder):
    """What comes back when points are written in a format and read again."""
    form = FORMATS[name]
    files = form.write(points, IMAGES)
    root = folder / name
    for file, content in files.items():
        path = root / file if file else root / f"all{form.ENDINGS[0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path = root / f"all{form.ENDINGS[0]}" if form.SINGLE else root
    assert [n for n, other in FORMATS.items() if other.recognises(path)] == [name]
    return form.read(path, gallery(), None)


LETTERS = st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_characters="\x7f")
point = st.tuples(
    st.sampled_from([NAMES[0], NAMES[1], NAMES[3]]),
    st.floats(0, WIDTH - 1),
    st.floats(0, HEIGHT - 1),
    st.floats(0, 1),
    st.integers(0, 1),
    st.integers(0, 9),
    st.text(LETTERS, min_size=1),
)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25)  # of files written and read
@example(rows=[(NAMES[0], 0.0, 0.0, 0.5, 0, 1, "a\x85")], scored=True)  # no white space in XML
@given(rows=st.lists(point, max_size=8), scored=st.booleans())
def test_what_is_written_is_read(name, rows, scored, folder):
    columns = ["image", "x", "y", "score", "ignore", "root_order", "group"]
    points = pd.DataFrame(rows, columns=columns).sort_values("image", kind="stable")
    points["image"] = points["image"].astype(object)
    if not scored:
        points = points.drop(columns="score")
    marks = through(name, points, folder)
    kept = FORMATS[name].KEEPS or columns
    # ImageJ keeps the ignored ones apart; within that, the order is the same
    got, want = (t.sort_values(["image", "ignore"], kind="stable") for t in (marks.points, points))
    assert got["image"].tolist() == want["image"].tolist()
    assert got["ignore"].tolist() == want["ignore"].tolist()
    atol = PRECISION.get(name, 1e-6)
    places = (t[["x", "y"]].to_numpy(dtype=float) for t in (got, want))
    np.testing.assert_allclose(*places, rtol=0, atol=atol)
    for column in ("score", "root_order", "group"):
        if column in want and column in kept and len(want):
            assert got[column].astype(str).tolist() == want[column].astype(str).tolist()
        elif column not in kept:
            assert column not in got
    if name not in ("csv", "parquet"):  # tables list no images without points
        assert set(marks.images["image"]) == set(NAMES)


def one(tmp_path, name, content, label=None, images=None):
    """The points of one file, with its image being p.png of 40 x 20 px."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    frame = pd.DataFrame({"image": ["p.png"], "width": [40], "height": [20]})
    known = images or Gallery(["p.png"], None, frame, "images.csv")
    (form,) = [f for f in FORMATS.values() if f.recognises(path)]
    return form.read(path, known, label).points


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", COCO),
        ("a.json", LABEL_STUDIO),
        ("a.xml", CVAT),
        ("p.csv", NAPARI),
    ],
)
def test_a_program_s_own_file_is_right_to_half_a_pixel(tmp_path, name, content):
    tips = one(tmp_path, name, content)
    np.testing.assert_allclose(tips[["x", "y"]], [[10, 4], [-0.5, -0.5]], atol=1e-9)
    assert tips["ignore"].tolist() == [0, 1]
    assert tips["image"].tolist() == ["p.png", "p.png"]


def test_yolo_s_own_files_are_right_to_half_a_pixel(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "p.txt").write_text(YOLO)
    (tmp_path / "data.yaml").write_text("kpt_shape: [1, 3]\nnames: {0: tip}\n")
    frame = pd.DataFrame({"image": ["p.png"], "width": [40], "height": [20]})
    known = Gallery(["p.png"], None, frame)
    tips = FORMATS["yolo"].read(tmp_path, known, None).points
    np.testing.assert_allclose(tips[["x", "y"]], [[10, 4], [-0.5, -0.5]], atol=1e-9)
    assert tips["ignore"].tolist() == [0, 1]
    (tmp_path / "labels" / "p.txt").write_text("0 0.2625 0.225 0.1 0.2 0.2625 0.225\n")
    with pytest.raises(InputError, match="line 1 has 7 numbers"):
        FORMATS["yolo"].read(tmp_path, known, None)
    (tmp_path / "data.yaml").unlink()
    assert FORMATS["yolo"].read(tmp_path, known, None).points[["x", "y"]].to_numpy().tolist() == [
        pytest.approx([10, 4])
    ]


def test_imagej_s_own_files_are_right_to_half_a_pixel(tmp_path):
    tips = one(tmp_path, "p.roi", roi([(10, 4), (-0.5, -0.5), (3.25, 7.75)]))
    assert tips[["x", "y"]].to_numpy().tolist() == [[10, 4], [-0.5, -0.5], [3.25, 7.75]]
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("0004-0010.roi", roi([(10, 4)]))
        archive.writestr("ignore-1.roi", roi([(1, 2)]))
    (tmp_path / "p.roi").unlink()
    tips = FORMATS["imagej"].read(tmp_path, Gallery(["p.png"]), None).points
    assert tips[["x", "y", "ignore"]].to_numpy().tolist() == [[10, 4, 0], [1, 2, 1]]


def test_what_is_written_is_right_to_half_a_pixel(tmp_path):
    points = pd.DataFrame({"image": ["p.png"], "x": [10.0], "y": [4.0], "ignore": [0]})
    images = pd.DataFrame({"image": ["p.png"], "width": [40], "height": [20]})
    written = {name: form.write(points, images) for name, form in FORMATS.items()}
    (mark,) = json.loads(written["coco"][""])["annotations"]
    assert mark["keypoints"] == [10, 4, 2]
    assert mark["bbox"] == [0, 0, 26.5, 20]  # continuous: 10.5 + 16
    (task,) = json.loads(written["labelstudio"][""])
    assert task["data"] == {"image": "/data/local-files/?d=p.png"}
    value = task["annotations"][0]["result"][0]["value"]
    assert (value["x"], value["y"]) == (26.25, 22.5)
    assert b'points="10.5,4.5"' in written["cvat"][""]
    assert written["yolo"]["labels/p.txt"].split()[5:] == [b"0.2625", b"0.225", b"2"]
    assert written["napari"]["p.csv"] == b"index,axis-0,axis-1,ignore\n0,4.0,10.0,0\n"
    assert b'<point x="10.0" y="4.0" />' in written["rsml"]["p.rsml"]


def sample(scored=True):
    points = pd.DataFrame(
        {"image": [NAMES[0]] * 2, "x": [10.25, 99.0], "y": [20.5, 7.0], "ignore": [0, 1]}
    )
    return points.assign(score=[0.5, 0.25]) if scored else points


def test_pycocotools_reads_and_scores_what_is_written(tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    scoring = pytest.importorskip("pycocotools.cocoeval")
    (tmp_path / "a.json").write_bytes(FORMATS["coco"].write(sample(), IMAGES)[""])
    truth = coco.COCO(str(tmp_path / "a.json"))
    assert [i["file_name"] for i in truth.loadImgs(truth.getImgIds())] == NAMES
    marks = truth.loadAnns(truth.getAnnIds())
    assert [mark["keypoints"] for mark in marks] == [[10.25, 20.5, 2], [99.0, 7.0, 1]]
    found = truth.loadRes([dict(marks[0], keypoints=[10.25, 20.5, 1], score=0.9)])
    run = scoring.COCOeval(truth, found, "keypoints")
    run.params.kpt_oks_sigmas = np.array([0.05])
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert run.stats[[0, 5]].tolist() == pytest.approx([1, 1])  # the ignored tip is no miss
    capsys.readouterr()


def test_roifile_reads_what_is_written_as_point_selections(tmp_path):
    roifile = pytest.importorskip("roifile")
    (tmp_path / "p.zip").write_bytes(
        FORMATS["imagej"].write(sample(), IMAGES)[NAMES[0].replace(".jpg", ".zip")]
    )
    rois = roifile.roiread(tmp_path / "p.zip")
    assert [(r.name, r.roitype.name) for r in rois] == [("tips", "POINT"), ("ignore", "POINT")]
    assert [r.coordinates().tolist() for r in rois] == [[[10.25, 20.5]], [[99.0, 7.0]]]


@pytest.mark.filterwarnings("ignore")  # the program's own
def test_napari_s_reader_takes_what_is_written(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(FORMATS["napari"].write(sample(), IMAGES)[NAMES[0].replace(".jpg", ".csv")])
    napari = pytest.importorskip("napari_builtins.io._read", exc_type=ImportError)
    data, meta, kind = napari.csv_to_layer_data(str(path))
    assert kind == "points"
    np.testing.assert_array_equal(data, [[20.5, 10.25], [7.0, 99.0]])
    assert list(meta["properties"]) == ["score", "ignore"]


@pytest.mark.filterwarnings("ignore")  # the program's own
def test_label_studio_s_converter_takes_what_is_written(tmp_path):
    theirs = pytest.importorskip("label_studio_sdk.converter.converter", exc_type=ImportError)
    (tmp_path / "a.json").write_bytes(FORMATS["labelstudio"].write(sample(False), IMAGES)[""])
    config = (
        '<View><Image name="image" value="$image"/><KeyPointLabels name="tip" toName="image">'
        '<Label value="tip"/><Label value="ignore"/></KeyPointLabels></View>'
    )
    converter = theirs.Converter(config, str(tmp_path))
    items = list(converter.iter_from_json_file(str(tmp_path / "a.json")))
    assert len(items) == len(NAMES)
    first, second = items[0]["output"]["tip"]
    assert first["x"] == pytest.approx(100 * 10.75 / WIDTH)
    assert first["y"] == pytest.approx(100 * 21 / HEIGHT)
    assert [first["keypointlabels"], second["keypointlabels"]] == [["tip"], ["ignore"]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=3,
)


def places_in(value):
    """Every container of a JSON value with every key or index in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places_in(inner)


@pytest.mark.parametrize(("name", "text"), [("coco", COCO), ("labelstudio", LABEL_STUDIO)])
@given(data=st.data())
def test_json_with_anything_in_any_place_is_read_or_refused(name, text, data, folder):
    content = json.loads(text)
    places = list(places_in(content))
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        container[key] = data.draw(json_values)
    path = folder / "fuzz.json"
    path.write_text(json.dumps(content))
    with contextlib.suppress(InputError):
        FORMATS[name].read(path, Gallery(["p.png"]), None)


@pytest.mark.parametrize("size", [9.3e18, 2**31, -(2**70)])
def test_sizes_that_cannot_be(size, folder):
    path = folder / "size.json"
    content = json.loads(LABEL_STUDIO)
    for result in content[0]["annotations"][0]["result"]:
        result["original_width"] = size
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"cannot be .* px"):
        FORMATS["labelstudio"].read(path, Gallery(["p.png"]), None)


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("cvat", "p.xml", CVAT.encode()),
        ("imagej", "p.roi", roi([(10, 4), (1, 2)])),
        ("napari", "p.csv", NAPARI.encode()),
        ("yolo", "labels/p.txt", YOLO.encode()),
    ],
)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused(name, file, content, data, folder):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"fuzz {name}" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    frame = pd.DataFrame({"image": ["p.png"], "width": [40], "height": [20]})
    root = path.parent.parent if name == "yolo" else path
    with contextlib.suppress(InputError):
        FORMATS[name].read(root, Gallery(["p.png"], None, frame), None)


SMALL = pd.DataFrame({"image": ["p.png"], "width": [40], "height": [20]})


def test_boxes_of_yolo_and_areas_of_coco():
    points = pd.DataFrame({"image": ["p.png"], "x": [30.0], "y": [12.0], "ignore": [0]})
    files = FORMATS["yolo"].write(points, SMALL)
    # the box from 14.5 to the right edge, and as high as the image
    numbers = [float(word) for word in files["labels/p.txt"].split()]
    assert numbers == [0, 27.25 / 40, 0.5, 25.5 / 40, 1, 30.5 / 40, 12.5 / 20, 2]
    assert b"flip_idx:\n- 0\n" in files["data.yaml"]
    (mark,) = json.loads(FORMATS["coco"].write(points, SMALL)[""])["annotations"]
    assert (mark["bbox"], mark["area"]) == ([14.5, 0, 25.5, 20], 1024)


@pytest.mark.parametrize("y", [-0.6, 19.6])
def test_a_tip_above_or_below_the_image_is_refused_by_yolo(y):
    points = pd.DataFrame({"image": ["p.png"], "x": [30.0], "y": [y], "ignore": [0]})
    with pytest.raises(InputError, match=r"is outside p\.png \(40 x 20 px\)"):
        FORMATS["yolo"].write(points, SMALL)


def test_a_part_of_a_skeleton_outside_the_image_is_no_point_of_cvat(tmp_path):
    point = '<points label="tip" outside="{}" occluded="0" points="{},4.5"/>'
    text = point.format(1, 20.5) + point.format(0, 10.5)
    text = f'<annotations><image name="p.png" width="40" height="20">{text}</image></annotations>'
    tips = one(tmp_path, "a.xml", text)
    assert tips[["x", "y"]].to_numpy().tolist() == [[10, 4]]


def coco(**annotation) -> str:
    image = {"id": 1, "file_name": "p.png"}
    category = {"id": 1, "name": "root", "keypoints": ["tip", "base"]}
    mark = {"id": 1, "image_id": 1, "category_id": 1, **annotation}
    return json.dumps({"images": [image], "annotations": [mark], "categories": [category]})


def test_each_keypoint_of_coco_has_its_own_name_and_a_crowd_is_ignored(tmp_path):
    both = coco(keypoints=[10, 4, 2, 3, 4, 2])
    with pytest.raises(InputError, match=r"labelled base \(1\), tip \(1\)"):
        one(tmp_path, "a.json", both)
    crowd = one(tmp_path, "b.json", coco(keypoints=[10, 4, 2], iscrowd=1))
    assert crowd["ignore"].tolist() == [1]


@pytest.mark.parametrize("order", [2**31, -(2**31), 1e20])
def test_orders_that_cannot_be(tmp_path, order):
    text = coco(keypoints=[10, 4, 2], attributes={"root_order": order})
    with pytest.raises(InputError, match="is no whole number that can be"):
        one(tmp_path, "a.json", text)


def test_scores_of_some_points_are_scores_of_none(tmp_path):
    content = json.loads(coco(keypoints=[10, 4, 2], score=0.5))
    content["annotations"].append({"id": 2, "image_id": 1, "keypoints": [1, 2, 2]})
    assert "score" not in one(tmp_path, "a.json", json.dumps(content))


def test_a_cancelled_annotation_is_none(tmp_path):
    def mark(x, **more):
        value = {"x": x, "y": 22.5, "keypointlabels": ["tip"]}
        entry = {"type": "keypointlabels", "original_width": 40, "original_height": 20}
        return {"result": [entry | {"value": value}], **more}

    done = [mark(50, was_cancelled=True), mark(26.25)]
    text = json.dumps([{"data": {"image": "p.png"}, "annotations": done}])
    tips = one(tmp_path, "a.json", text)
    assert tips[["x", "y"]].to_numpy().tolist() == [[10, 4]]


def test_tasks_without_any_mark_are_no_finds(tmp_path):
    (tmp_path / "a.json").write_text('[{"data": {"image": "p.png"}}]')
    marks = FORMATS["labelstudio"].read(tmp_path / "a.json", Gallery(["p.png"]), None)
    assert not marks.untouched


def test_rois_of_other_kinds_beside_points_and_names_in_capitals(tmp_path):
    roifile = pytest.importorskip("roifile")

    def roi(kind, name):
        made = roifile.ImagejRoi.frompoints(np.array([[10.0, 4], [20, 4], [20, 9]]), name=name)
        made.roitype = kind
        return made.tobytes()

    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.roi", roi(roifile.ROI_TYPE.POLYGON, "outline"))
        archive.writestr("b.roi", roi(roifile.ROI_TYPE.POINT, "Ignore 1"))
    tips = FORMATS["imagej"].read(tmp_path / "p.zip", Gallery(["p.png"]), None).points
    assert tips["ignore"].tolist() == [1, 1, 1]
    low = pd.DataFrame({"image": ["p.png"], "x": [1.0], "y": [32001.0], "ignore": [0]})
    with pytest.raises(InputError, match="beyond 32000 px"):
        FORMATS["imagej"].write(low, SMALL)


def test_napari_says_false_in_words(tmp_path):
    text = "index,axis-0,axis-1,ignore\n0,4,10,False\n1,5,11,True\n"
    assert one(tmp_path, "p.csv", text)["ignore"].tolist() == [0, 1]


def test_finds_go_to_label_studio_as_predictions_and_truth_as_annotations():
    images = pd.DataFrame({"image": ["p.png"], "width": [40], "height": [20]})
    truth = pd.DataFrame({"image": ["p.png"], "x": [10.0], "y": [4.0], "ignore": [0]})
    for points, kind in ((truth, "annotations"), (truth.assign(score=0.5), "predictions")):
        (task,) = json.loads(FORMATS["labelstudio"].write(points, images)[""])
        assert {"annotations", "predictions"} & task.keys() == {kind}
        (mark,) = task[kind][0]["result"]
        assert (mark["value"]["x"], mark["value"]["y"]) == (26.25, 22.5)


def test_other_programs_predictions_are_no_marks(tmp_path):
    (task,) = json.loads(LABEL_STUDIO)
    (made,) = task.pop("annotations")
    task["predictions"] = [made | {"model_version": "another"}]
    (tmp_path / "a.json").write_text(json.dumps([task]))
    gallery = Gallery(["p.png"])
    assert len(FORMATS["labelstudio"].read(tmp_path / "a.json", gallery, None).points) == 0
    task["predictions"] += [made | {"model_version": "roottip"}]
    (tmp_path / "a.json").write_text(json.dumps([task]))
    assert len(FORMATS["labelstudio"].read(tmp_path / "a.json", gallery, None).points) == 2


def test_labels_say_which_points_of_cvat_are_tips(tmp_path):
    seed = '<points label="seed" occluded="0" points="3.50,2.50"></points></image>'
    (tmp_path / "a.xml").write_text(CVAT.replace("</image>", seed))
    read = FORMATS["cvat"].read
    points = read(tmp_path / "a.xml", Gallery(["p.png"]), "seed").points
    assert points[["x", "y"]].to_numpy().tolist() == [[3, 2]]
    with pytest.raises(InputError, match=r"labelled seed \(1\), tip \(2\); say which are tips"):
        read(tmp_path / "a.xml", Gallery(["p.png"]), None)


def test_napari_s_zeros_beside_a_blank_are_no_ignored_tips(tmp_path):
    text = "index,axis-0,axis-1,ignore\n0,4,10,0\n1,5,11,\n2,6,12,1\n"  # floats, to pandas
    assert one(tmp_path, "p.csv", text)["ignore"].tolist() == [0, 0, 1]


def test_of_photos_of_one_name_folders_say_which():
    longer = Gallery(["x/day1/p.jpg", "x/day2/p.jpg"])
    assert longer.find("day2/p.jpg", "a row") == "x/day2/p.jpg"
    shorter = Gallery(["day1/p.jpg", "day2/p.jpg"])
    assert shorter.find("photos/day2/p.jpg", "a row") == "day2/p.jpg"
    with pytest.raises(InputError, match="2 images are called so"):
        shorter.find("y2/p.jpg", "a row")


def test_imagej_holds_points_as_far_as_32000_px():
    far = pd.DataFrame({"image": ["p.png"], "x": [31999.0], "y": [3.0], "ignore": [0]})
    assert FORMATS["imagej"].write(far, SMALL).keys() == {"p.zip"}


def test_sizes_that_cannot_be_are_not_known():
    names = ["a.png", "b.png", "c.png", "d.png"]
    sides = {"width": [40, float("inf"), -4, "wide"], "height": [20, 20, 20, 20]}
    gallery = Gallery(names, frame=pd.DataFrame({"image": names, **sides}))
    assert [gallery.size(name) for name in names] == [(40, 20), None, None, None]
