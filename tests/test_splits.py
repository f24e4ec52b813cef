"""Which images `convert` puts apart to judge by."""

from __future__ import annotations

import pandas as pd

from roottip.convert import _splits


def test_the_last_group_is_never_put_apart_and_one_of_many_always_is():
    def split(count: int, val: float) -> list[str]:
        images = pd.DataFrame({"group": [f"g{n}" for n in range(count)]})
        return sorted(_splits(images, val))

    assert split(1, 0.2) == ["train"]
    assert split(2, 0.9) == ["train", "val"]
    assert split(5, 0.01) == ["train"] * 4 + ["val"]
    assert split(5, 0.0) == ["train"] * 5
    said = pd.DataFrame({"group": ["a", "b"], "split": ["val", None]})
    assert _splits(said, 0.5).tolist() == ["val", "train"]


def test_groups_put_apart_are_not_the_first_by_name():
    images = pd.DataFrame({"group": [f"day{n:02d}" for n in range(20)]})
    split = _splits(images, 0.2)
    assert (split == "val").sum() == 4
    assert (split[:4] == "train").any()
