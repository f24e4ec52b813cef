from __future__ import annotations

import errno
import os
import re

import pytest

from roottip import ledger, places
from roottip.errors import InputError
from roottip.formats.marks import read_json
from roottip.listing import find_images
from roottip.places import Folder
from roottip.scorers.card import raw
from roottip.task import Result, _row


def test_a_part_of_a_run_would_outlive_a_power_cut(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(places.os, "fsync", synced.append)
    book = ledger.Ledger(Folder(tmp_path))
    book.add(Result(_row("a.png") | {"status": "ok"}))
    book.flush()
    assert len(synced) == 1


def test_a_file_stays_as_it_was_until_what_replaces_it_is_whole(tmp_path):
    path = tmp_path / "tips.csv"
    places.write_whole(path, b"old")
    with pytest.raises(FileNotFoundError):
        places.write_whole(path, tmp_path / "nowhere")
    assert path.read_bytes() == b"old"


def test_a_file_that_cannot_be_read_is_said_once_and_in_one_way(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    readers = {"list.txt": find_images, "marks.json": read_json, "net.json": raw}
    for name in readers:
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    for name, read in readers.items():
        said = re.escape(f"{tmp_path / name} cannot be read: Permission denied")
        with pytest.raises(InputError, match=f"^{said}$"):
            read(tmp_path / name)


def test_a_file_in_a_folder_has_its_name_there(tmp_path):
    there = Folder("memory://run/out")
    assert there.name_of("memory://run/out/overlays/a.png") == "overlays/a.png"
    assert there.name_of("memory://run/outer/a.png") is None
    assert there.name_of(tmp_path / "a.png") is None
    here = Folder(tmp_path / "out")
    assert here.name_of(tmp_path / "in" / ".." / "out" / "day" / "a.png") == "day/a.png"
    assert here.name_of(tmp_path / "a.png") is None


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")

    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    number = errno.ENOLCK
    with pytest.raises(
        InputError, match=r"cannot lock \(as NFS .*; give an output= on another one"
    ):
        Folder(tmp_path).lock("lock")
    number = errno.EIO
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        Folder(tmp_path).lock("lock")
