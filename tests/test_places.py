from __future__ import annotations

import pytest

from roottip import ledger, places
from roottip.places import Folder
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
