from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roottip.errors import InputError
from roottip.images import read_ahead
from roottip.listing import find_images

PIXELS = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    names = [
        "p10.jpg",
        "p2.JPG",
        "p1.png",
        "day 2/ä [1],=.tif",
        "day 10/x.webp",
        "._p1.png",
        "n.txt",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_is_searched_in_natural_order(folder):
    root, names = find_images(folder)
    assert root == folder
    assert names == ["day 2/ä [1],=.tif", "day 10/x.webp", "p1.png", "p2.JPG", "p10.jpg"]


def test_a_pattern_a_file_and_lists(folder):
    assert find_images(folder / "day*" / "*.*") == (
        folder,
        ["day 2/ä [1],=.tif", "day 10/x.webp"],
    )
    assert find_images(folder / "p*")[1] == ["p1.png", "p2.JPG", "p10.jpg"]
    odd = folder / "day 2" / "ä [1],=.tif"
    assert find_images(odd) == (odd.parent, [odd.name])
    (folder / "run.txt").write_text("p2.JPG\n\nday 10/x.webp\n", encoding="utf-8")
    assert find_images(folder / "run.txt") == (folder, ["day 10/x.webp", "p2.JPG"])
    (folder / "run.csv").write_text("plate,image\n1,day 10\\x.webp\n", encoding="utf-8")
    assert find_images(folder / "run.csv") == (folder, ["day 10/x.webp"])


def test_a_list_that_names_a_file_twice_means_it_once(folder):
    twice = "image\nday 2/../p1.png\np1.png\np2.JPG\ngone.jpg\n./gone.jpg\ns3://b/a.jpg\n"
    (folder / "run.csv").write_text(twice + f"{folder / 'p2.JPG'}\n")
    names = find_images(folder / "run.csv")[1]
    assert names == ["day 2/../p1.png", "gone.jpg", "p2.JPG", "s3:/b/a.jpg"]


def test_lines_of_a_list_that_are_no_paths(folder):
    (folder / "#1.png").touch()
    (folder / "run.txt").write_text(
        f"# of May{' and June' * 50}\n#1.png\n#2.png\np2.JPG\nhttp://h/a.jpg\ns3://b/a.jpg"
    )
    said = []
    names = find_images(folder / "run.txt", said.append)[1]
    assert names == ["#1.png", "http:/h/a.jpg", "p2.JPG", "s3:/b/a.jpg"]
    assert said == [
        f"{folder / 'run.txt'} has 2 lines with an address, such as http://h/a.jpg, which cannot "
        "be read: lists hold paths; give an address as the input"
    ]


def test_an_empty_source_is_not_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="the source is empty; give a folder"):
        find_images("")
    assert len(find_images(".")[1]) == 5


def test_two_links_to_one_file_are_two_images_of_a_list(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "kept.png")
    for name in ("a.png", "b.png"):
        linked(tmp_path / name, tmp_path / "kept.png")
    (tmp_path / "run.csv").write_text("image\na.png\n./b.png\n")
    assert find_images(tmp_path / "run.csv")[1] == ["a.png", "b.png"]


def linked(place, target):
    try:
        place.symlink_to(target, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links here")


def test_linked_folders_are_searched_and_links_to_nothing_are_missing_images(tmp_path):
    for name in ("run/real/a.png", "far/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(PIXELS).save(tmp_path / name)
    run = tmp_path / "run"
    linked(run / "day1", tmp_path / "far")
    linked(run / "gone.jpg", tmp_path / "nowhere.jpg")
    linked(run / "again", run / "real")  # which is searched where it is
    linked(run / "real" / "loop", run)
    linked(tmp_path / "far" / "loop", tmp_path / "far")
    linked(run / "day2", tmp_path / "far")  # the same once more
    root, names = find_images(run)
    assert names == ["day1/b.png", "gone.jpg", "real/a.png"]
    read = dict(read_ahead(root, names))
    assert "there is no file" in str(read["gone.jpg"])
    assert read["day1/b.png"][0].shape == PIXELS.shape


def test_what_a_folder_holds_besides_is_said(tmp_path):
    for name in ("a.png", "b.jfif", "b.HEIC", "c.heic", "d.cr2", "notes.txt", "._d.cr2"):
        (tmp_path / name).touch()
    said = []
    assert find_images(tmp_path, said.append)[1] == ["a.png", "b.jfif"]
    assert said == [
        "left out: 1 .cr2, 2 .heic, which roottip does not read; it reads JPEG, PNG, TIFF, BMP "
        "and WebP"
    ]


HIDDEN = (
    "left out: 1 $Recycle.Bin, 1 .Trash-1000, 2 @eaDir, which hold images but are hidden or a "
    "system's folders"
)


@pytest.fixture
def share(tmp_path):
    below = ("", ".Trash-1000/files/", "@eaDir/", "day/@eaDir/@eaDir/", "$Recycle.Bin/", "day/")
    for name in [".cache/n.txt", *(f"{folder}a.png" for folder in below)]:
        (tmp_path / ".run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ".run" / name).touch()
    return tmp_path / ".run"


def test_hidden_folders_below_the_given_one_are_left_out(share):
    said = []
    assert find_images(share, said.append) == (share, ["a.png", "day/a.png"])
    assert said == [HIDDEN]
    assert find_images(share / "**" / "*.png", said.append)[1] == ["a.png", "day/a.png"]
    assert said == [HIDDEN] * 2
    assert find_images(share / "@eaDir", said.append)[1] == ["a.png"]
    hidden = find_images(share / "*" / "@eaDir" / "**" / "*.png", said.append)
    assert hidden == (share, ["day/@eaDir/@eaDir/a.png"])
    (share / "run.txt").write_text("@eaDir/a.png")
    assert find_images(share / "run.txt", said.append)[1] == ["@eaDir/a.png"]
    assert len(said) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_what_a_link_shows_of_a_hidden_folder_is_seen(tmp_path):
    (tmp_path / ".store" / "may").mkdir(parents=True)
    Image.fromarray(PIXELS).save(tmp_path / ".store" / "may" / "a.png")
    (tmp_path / "day1").symlink_to(tmp_path / ".store" / "may")
    assert find_images(tmp_path)[1] == ["day1/a.png"]


def test_hidden_folders_at_an_address_are_left_out(share):
    import fsspec

    system, said = fsspec.filesystem("memory"), []
    for path in share.rglob("*.png"):
        system.pipe_file(f"/.share/{path.relative_to(share).as_posix()}", b"")
    assert find_images("memory://.share", said.append)[1] == ["a.png", "day/a.png"]
    assert said == [HIDDEN]


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").touch()

    def refuse(folder):
        if Path(folder) in refused:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    scandir, refused, said = os.scandir, [tmp_path / "in"], []
    monkeypatch.setattr(os, "scandir", refuse)
    assert find_images(tmp_path, said.append)[1] == ["a.png"]
    assert said == [f"left out: {tmp_path / 'in'}, which cannot be listed (Permission denied)"]
    refused.append(tmp_path)
    with pytest.raises(InputError, match="cannot be listed: Permission denied"):
        find_images(tmp_path)


def test_lists_of_a_windows_shell(folder):
    for coding in ("utf-16", "utf-8-sig"):
        (folder / "run.txt").write_bytes('"p2.JPG"\r\nday 10\\x.webp\r\n'.encode(coding))
        assert find_images(folder / "run.txt") == (folder, ["day 10/x.webp", "p2.JPG"])
    (folder / "run.csv").write_text("plate, image \n1,p2.JPG\n")
    assert find_images(folder / "run.csv")[1] == ["p2.JPG"]
    (folder / "run.csv").write_text("image;group\np2.JPG;a\n")
    said = "it has no column image; it has image;group; fields are separated by commas$"
    with pytest.raises(InputError, match=said):
        find_images(folder / "run.csv")


def test_a_folder_with_brackets_in_its_name_may_hold_what_a_pattern_finds(tmp_path):
    folder = tmp_path / "run [3]" / "day 1"
    folder.mkdir(parents=True)
    Image.fromarray(PIXELS).save(folder / "p1.png")
    assert find_images(tmp_path / "run [3]" / "day*" / "*.png") == (
        folder.parent,
        ["day 1/p1.png"],
    )
    assert find_images(folder / "*.png") == (folder, ["p1.png"])


def test_a_listed_image_that_is_missing_is_kept_to_fail_later(folder):
    (folder / "run.txt").write_text("gone.jpg\n")
    root, names = find_images(folder / "run.txt")
    assert names == ["gone.jpg"]
    [(name, result)] = read_ahead(root, names)
    assert name == "gone.jpg"
    assert isinstance(result, InputError)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("none", "there is no file or folder"),
        ("n.txt", "lists no images"),
        ("bad.csv", "no column image"),
        ("*.gif", "no image matches"),
        ("only text", "there is no image in"),
        ("notes.doc", "is no image by its ending"),
        ("day*", r"day\* matches no image but folders; give .*day\*/\* for what is in them$"),
    ],
)
def test_nothing_to_read_says_what_and_where(folder, what, said):
    (folder / "bad.csv").write_text("name\na.jpg\n")
    (folder / "only text").mkdir()
    (folder / "notes.doc").touch()
    with pytest.raises(InputError, match=said):
        find_images(folder / what)


def test_a_pattern_or_a_list_that_cannot_be_says_so(tmp_path):
    (tmp_path / "a.csv").write_text('image\n"' + "x" * 200_000)
    with pytest.raises(InputError, match=r"a.csv cannot be read as a table"):
        find_images(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"is no pattern|no image matches"):
        find_images(tmp_path / "**.jpg")


def test_names_that_differ_in_zeros_only_have_one_order(tmp_path):
    for name in ("p1.png", "p01.png", "p001.png", "p0001.png", "p00001.png", "P2.png"):
        (tmp_path / name).touch()
    assert find_images(tmp_path)[1] == [
        "p00001.png",
        "p0001.png",
        "p001.png",
        "p01.png",
        "p1.png",
        "P2.png",
    ]
