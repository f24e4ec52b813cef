from __future__ import annotations

import io
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roottip import table
from roottip.errors import InputError
from roottip.places import write_whole

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\\"), min_size=1, max_size=20
)
numbers = st.floats(-1e5, 1e5, allow_nan=False)


@given(st.lists(st.tuples(names, numbers, numbers, st.floats(0, 1, width=32)), max_size=8))
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_written_is_read_again(tmp_path_factory, ending, rows):
    path = tmp_path_factory.mktemp("t") / f"tips.{ending}"
    frame = table.concat([table.points(n, [[x, y]], np.array([s])) for n, x, y, s in rows])
    table.write(frame, path)
    again = table.check_points(table.read(path), "tips").drop(columns="ignore")
    pd.testing.assert_frame_equal(again, frame, check_exact=True)
    assert not list(path.parent.glob("*.part"))


def test_an_empty_table_has_the_columns_and_types_of_a_full_one():
    full = table.points("a", [[1, 2]], np.array([0.5]))
    empty = table.concat([])
    assert list(empty) == ["image", "x", "y", "score"]
    assert (empty.dtypes == full.dtypes).all()
    assert (table.images([]).dtypes == table.images([{"image": "a", "tips": 3}]).dtypes).all()


def test_names_that_look_like_numbers_or_blanks_stay_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,x,y,group,root_order,day\n007,1,2,01,0,3\nNA,3,4,02,,4\n")
    frame = table.check_points(table.read(path), "t.csv")
    assert frame["image"].tolist() == ["007", "NA"]
    assert frame["group"].tolist() == ["01", "02"]
    assert frame["day"].tolist() == [3, 4]
    assert frame["root_order"].isna().tolist() == [False, True]


def test_bytes_that_are_no_utf8_survive(tmp_path):
    path = tmp_path / "t.csv"
    name = b"wei\xdf.jpg".decode("utf-8", "surrogateescape")
    table.write(table.points(name, [[1, 2]]), path)
    assert table.read(path)["image"].tolist() == [name]


def test_an_empty_table_has_the_types_of_a_full_one_in_parquet_too():
    row = {"image": "a", "status": "ok", "error": "", "width": 1, "height": 1, "tips": 0}
    for full, empty in (
        (table.points("a", np.array([[1.0, 2.0]]), np.array([0.5])), table.concat([])),
        (table.images([row | {"seconds": 0.1}]), table.images([])),
    ):
        ours, theirs = (
            pq.read_schema(io.BytesIO(table.encode(frame, ".parquet"))) for frame in (empty, full)
        )
        assert list(zip(ours.names, ours.types, strict=True)) == list(
            zip(theirs.names, theirs.types, strict=True)
        )


def test_rows_with_more_fields_than_the_header_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("image,x,y\na.png,1,2,0.9\nb.png,3,4,0.8\n")
    with pytest.raises(InputError, match=r"a.csv has rows with more fields"):
        table.read(tmp_path / "a.csv")
    # as some programs end their rows
    (tmp_path / "b.csv").write_text("image,x,y\na.png,1,2,\nb.png,3,4,\n")
    assert table.read(tmp_path / "b.csv")["x"].tolist() == [1, 3]


def test_groups_and_the_like_are_text_in_parquet_too(tmp_path):
    frame = pd.DataFrame({"image": ["a", "b"], "split": [1, 2], "group": ["g", None], "x": [1, 2]})
    frame.to_parquet(tmp_path / "a.parquet")
    read = table.read(tmp_path / "a.parquet")
    assert read["split"].tolist() == ["1", "2"]
    assert read["group"].tolist() == ["g", ""]
    assert read["x"].tolist() == [1, 2]


def test_windows_separators_become_slashes():
    frame = pd.DataFrame({"image": ["day1\\a.jpg"], "x": [1], "y": [2]})
    assert table.check_points(frame, "t")["image"].tolist() == ["day1/a.jpg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,x\na,1\n", "has no column y; it has image, x$"),
        ("Image,X,y\na,1,2\n", "no column image, x; it has Image, X, y: write them in lower case"),
        ("image,x,y\na,1,2\nb,nan,2\n", r"row 2, column x: 'nan' is not a finite number"),
        ("image,x,y\na,1,\n", r"row 1, column y: .* is not a finite number"),
        ("image,x,y\na,1,inf\n", "row 1, column y: .*inf.* is not a finite number"),
        ("image,x,y\n,1,2\n", "row 1, column image: '' names no image"),
        ("image,x,y,ignore\na,1,2,yes\n", "row 1, column ignore: 'yes' is neither 0 nor 1"),
        ("image,x,y,score\na,1,2,high\n", "row 1, column score: 'high' is not a finite number"),
        ("", "cannot be read as a table"),
        ('image,x,y\n"a,1,2\n', "cannot be read as a table"),
    ],
)
def test_a_bad_table_is_named_with_row_and_reason(tmp_path, text, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        table.check_points(table.read(path), "t.csv")


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no table"):
        table.read(tmp_path / "none.csv")
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match="no table roottip reads"):
        table.read(tmp_path / "t.xlsx")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="cannot be read as a table"):
        table.read(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="are written as"):
        table.write(table.concat([]), tmp_path / "t.txt")


def test_an_image_listed_twice_is_refused():
    with pytest.raises(InputError, match="row 2, column image: 'a' is there twice"):
        table.check_images(pd.DataFrame({"image": ["a", "a"]}), "images.csv")


def test_no_point_is_farther_than_an_image_can_be_large():
    frame = pd.DataFrame({"image": ["a"], "x": [1.0], "y": [-1e300]})
    with pytest.raises(InputError, match=r"t, row 1, column y: '-1e\+300' is farther than any"):
        table.check_points(frame, "t")


def test_blanks_around_columns_names_and_other_separators(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("image, x, y, score\np.png, 1, 2, 0.5\n")
    assert table.check_points(table.read(path), "a")[["x", "y", "score"]].iloc[0].tolist() == [
        1,
        2,
        0.5,
    ]
    path.write_text("image;x;y\np.png;1;2\n")
    with pytest.raises(InputError, match=r"no column image, x, y; .*; fields are separated by com"):
        table.check_points(table.read(path), "a")
    path.write_text("image,x,y\np.png,,2\n")
    with pytest.raises(InputError, match=r"a, row 1, column x: '' is not a finite number"):
        table.check_points(table.read(path), "a")


def test_blank_rows_are_passed_over_and_counted(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,x,y,day\na,1,2,7\n,,, \nb,3,4,8\n,,,\n,,,\n")
    frame = table.check_points(table.read(path), "t")
    assert frame[["image", "x", "day"]].to_numpy().tolist() == [["a", 1, 7], ["b", 3, 8]]
    assert frame["day"].dtype == np.int64
    assert frame.index.tolist() == [0, 1]
    path.write_text("image,x,y\n,,\na,1,2\n,,\na,1,high\n,1,2\n")
    with pytest.raises(InputError, match="t, row 4, column y: 'high' is not a finite number"):
        table.check_points(table.read(path).iloc[:-1], "t")
    with pytest.raises(InputError, match="t, row 5, column image: '' names no image"):
        table.check_points(table.read(path), "t")
    with pytest.raises(InputError, match="t, row 4, column image: 'a' is there twice"):
        table.check_images(table.read(path).iloc[:-1], "t")
    path.write_text("image,x,y\n,,\n")
    assert table.check_points(table.read(path), "t").empty


def test_what_cannot_be_written_leaves_no_part(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  which one depends on the system
        table.write(pd.DataFrame({"image": ["a"]}), tmp_path / "t.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_what_is_missing_in_pandas_own_numbers_is_no_number(tmp_path):
    frame = pd.DataFrame({"image": ["a"] * 3, "x": [0, 1, 2], "y": [0, 1, 2]})
    for column, kind in (("score", "Float64"), ("x", "Int64")):
        path = tmp_path / f"{column}.parquet"
        frame.assign(**{column: pd.array([1, None, 0], dtype=kind)}).to_parquet(path)
        with pytest.raises(InputError, match=f"row 2, column {column}.* is not a finite number"):
            table.check_points(table.read(path), "found")


def test_a_barcode_keeps_its_digits(tmp_path):
    (tmp_path / "t.csv").write_text("image,code,count\na,9007199254740993,12\nb,,7\n")
    read = table.read(tmp_path / "t.csv")
    assert read["code"].tolist() == ["9007199254740993", ""]
    assert read["count"].tolist() == [12, 7]


def test_columns_may_be_called_anything(tmp_path):
    (tmp_path / "t.csv").write_text("image,x,y,self, ,  \na,1,2,3,4,5\n")
    read = table.read(tmp_path / "t.csv")
    assert read[["x", "self"]].to_numpy().tolist() == [[1, 3]]
    assert len(read.columns) == 6


@pytest.mark.parametrize("header", ["image,x, x,y", "image,x,x,y", "\ufeff\n\nx,image,x,y"])
def test_two_columns_of_one_name_are_refused(tmp_path, header):
    (tmp_path / "t.csv").write_text(f"{header}\na,1,1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read as a table: it has two columns called x"):
        table.read(tmp_path / "t.csv")


def test_the_empty_table_has_the_types_of_a_full_one(tmp_path):
    for rows in (0, 2):
        table.write(table.points("a", np.ones((rows, 2)), np.ones(rows)), tmp_path / f"{rows}.csv")
    empty, full = (table.read(tmp_path / f"{rows}.csv") for rows in (0, 2))
    kinds = [str(kind) for kind in empty.dtypes]
    assert kinds == ["object", "float64", "float64", "float64"]
    assert kinds == [str(kind) for kind in full.dtypes]
    (tmp_path / "blank.csv").write_text("image,code,root_order\na,,\n")
    blank = table.read(tmp_path / "blank.csv")
    assert blank["code"].tolist() == [""]
    assert blank["root_order"].isna().all()


def test_a_full_disk_is_said_of_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*t\.csv'"):
        write_whole(tmp_path / "t.csv", b"image", lasting=True)
    assert list(tmp_path.iterdir()) == []
