"""Folders that are made once, and with one recipe: shared, no script of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from roottip.errors import InputError
from roottip.places import write_whole


def same(output: Path, recipe: dict[str, Any]) -> None:
    """Write down how what lies in a folder is made; refuse to go on with what was made otherwise.

    Raises
    ------
    InputError
        Says what differs.
    """
    told = json.loads(json.dumps(recipe))
    path = output / "recipe.json"
    if not path.is_file() and output.is_dir() and any(output.iterdir()):
        raise InputError(f"{output} does not say how it was made; give another --output")
    before = json.loads(path.read_text()) if path.is_file() else told
    for key in sorted({*told, *before}):
        if told.get(key) != before.get(key):
            raise InputError(
                f"{output} was begun with {key}={before.get(key)}, not {told.get(key)}; give "
                "another --output"
            )
    write_whole(path, (json.dumps(told, indent=2) + "\n").encode())


def whole(folder: Path, make: Callable[..., object], *given: Any) -> Path:
    """The folder, made by ``make(folder, *given)`` if it is not there: all of it, or nothing."""
    if not folder.exists():
        part = folder.parent / ".part" / folder.name
        shutil.rmtree(part, ignore_errors=True)
        make(part, *given)
        part.rename(folder)
        with suppress(OSError):  # not empty: another one is being made
            part.parent.rmdir()
    return folder
