from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from roottip.errors import InputError
from roottip.learning.plates import (
    BEHIND,
    Plate,
    _targets,
    distance,
    hold_out,
    read_plates,
    summary,
)


def plate(dataset: str, group: str) -> Plate:
    none = np.empty((0, 2))
    return Plate(dataset, "x", group, np.zeros((1, 1, 3), np.uint8), none, none)


def test_reads_the_train_split_only(drawn: Path) -> None:
    plates = read_plates([drawn])
    assert [found.name for found in plates] == ["0.png", "1.png", "2.png", "3.png"]
    assert {len(found.tips) for found in plates} == {2}
    assert {len(found.ignored) for found in plates} == {1}


def test_points_follow_the_resizing(drawn: Path, tmp_path: Path) -> None:
    plates = read_plates([drawn])
    folder = tmp_path / "large"
    (folder / "images").mkdir(parents=True)
    for number in range(4):
        image = cv2.imread(str(drawn / "images" / f"{number}.png"))
        large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), large)
    images = pd.read_csv(drawn / "images.csv")
    images[images["split"] == "train"].to_csv(folder / "images.csv", index=False)
    tips = pd.read_csv(drawn / "tips.csv")
    tips = tips[tips["image"] < "4"]
    # a pixel's centre is at + 0.5
    tips[["x", "y"]] = (tips[["x", "y"]] + 0.5) * 2 - 0.5
    tips.to_csv(folder / "tips.csv", index=False)
    for small, large in zip(plates, read_plates([folder]), strict=True):
        ratio = np.array(large.image.shape[1::-1]) / np.array(small.image.shape[1::-1])
        np.testing.assert_allclose((large.tips + 0.5) / ratio - 0.5, small.tips, atol=1e-9)


def test_target_is_behind_the_very_end(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ends"
    folder.mkdir()
    (folder / "images").symlink_to(drawn / "images")
    images = pd.read_csv(drawn / "images.csv")
    images.to_csv(folder / "images.csv", index=False)
    tips = pd.read_csv(drawn / "tips.csv")
    tips["x_end"], tips["y_end"] = tips["x"] + 20.0, tips["y"]
    tips.loc[tips["ignore"] == 1, ["x_end", "y_end"]] = np.nan
    tips.to_csv(folder / "tips.csv", index=False)
    for traced, target in zip(read_plates([drawn]), read_plates([folder]), strict=True):
        ratio = target.image.shape[1] / 180
        expected = traced.tips + np.array([20 * ratio - BEHIND, 0])
        np.testing.assert_allclose(target.tips, expected, atol=1e-9)
        np.testing.assert_allclose(target.ignored, traced.ignored)


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({"x_end": ""}, "has x_end alone; x_end and y_end go together"),
        ({"x_end": 1.0, "y_end": "?"}, "has in y_end what is no number; leave it blank"),
        ({"x_end": float("inf"), "y_end": 1.0}, "has in x_end what is no number"),
        ({"x_end": "", "y_end": 1.0}, "has x_end without y_end, or the other way round"),
        ({"x_end": "", "y_end": ""}, None),
    ],
)
def test_ends_that_nobody_knows_are_the_marks(drawn: Path, tmp_path: Path, ends, said) -> None:
    (tmp_path / "images").symlink_to(drawn / "images")
    shutil.copy(drawn / "images.csv", tmp_path)
    tips = pd.read_csv(drawn / "tips.csv")
    tips.assign(**ends).to_csv(tmp_path / "tips.csv", index=False)
    if said is not None:
        with pytest.raises(InputError, match=said):
            read_plates([tmp_path])
        return
    for marked, blank in zip(read_plates([drawn]), read_plates([tmp_path]), strict=True):
        np.testing.assert_array_equal(marked.tips, blank.tips)


def test_groups_are_never_split() -> None:
    plates = [plate(d, f"g{i % 7}") for d in ("a", "b") for i in range(20)]
    training, held_out = hold_out(plates, 0.3, seed=1)
    assert len(training) + len(held_out) == len(plates)
    sides = [{(p.dataset, p.group) for p in part} for part in (training, held_out)]
    assert not sides[0] & sides[1]
    assert {dataset for dataset, _ in sides[1]} == {"a", "b"}
    assert len(sides[1]) == 4


def test_hold_out_is_seeded_and_may_be_none() -> None:
    plates = [plate("a", f"g{i}") for i in range(20)]

    def groups(seed: int) -> list[str]:
        return [p.group for p in hold_out(plates, 0.5, seed)[1]]

    assert groups(1) == groups(1)
    assert groups(1) != groups(2)
    assert hold_out(plates, 0.0, 0) == (plates, [])
    assert len(hold_out(plates[:2], 0.9, 0)[0]) == 1
    assert [len(hold_out(plates[:7], share, 0)[1]) for share in (0.05, 0.1, 0.25)] == [0, 1, 2]
    with pytest.raises(InputError, match="dev=1"):
        hold_out(plates, 1.0, 0)


def test_which_groups_are_held_out_hangs_on_their_names_and_the_seed_alone() -> None:
    names = [f"g{i}" for i in range(20)]
    held_out = hold_out([plate("a", name) for name in names], 0.2, seed=1)[1]
    drawn = np.random.default_rng(1).permutation(sorted(names))[:4]
    assert {one.group for one in held_out} == {*drawn.tolist()}


def test_distance() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert distance(points, np.array([[0.0, 0.0], [3.0, 0.0]])).tolist() == [0.0, 4.0]
    assert np.isinf(distance(points, np.empty((0, 2)))).all()


def test_no_tip_to_learn_from(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    (folder / "images").symlink_to(drawn / "images")
    (folder / "images.csv").write_text((drawn / "images.csv").read_text())
    (folder / "tips.csv").write_text("image,x,y\n")
    with pytest.raises(InputError, match="no tip to learn from"):
        read_plates([folder])


def plate_of(dataset: str, name: str, tips: list[tuple[float, float]], level: int = 0) -> Plate:
    image = np.full((40, 60, 3), level, np.uint8)
    xy = np.array(tips, np.float64).reshape(-1, 2)
    return Plate(dataset, name, name, image, xy, np.empty((0, 2)))


def test_a_cards_hash_is_of_the_tips_too():
    one, other = (summary([plate_of("d", "a", [(x, 5.0)])])[0] for x in (5.0, 6.0))
    assert (one["images"], one["groups"], one["tips"]) == (1, 1, 1)
    assert one["sha256"] != other["sha256"]
    (lighter,) = summary([plate_of("d", "a", [(5.0, 5.0)], level=1)])
    assert one["sha256"] != lighter["sha256"]
    (twice,) = summary([plate_of("d", "a", [(5.0, 5.0)])] * 2)
    assert (twice["images"], twice["groups"], twice["tips"]) == (2, 1, 2)


def test_a_dataset_that_is_given_twice_is_refused(drawn: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.symlink_to(drawn)
    for again in (drawn, drawn / "images" / "..", other):
        said = re.escape(f"{drawn} and {again} are one dataset; give it once")
        with pytest.raises(InputError, match=said):
            read_plates([drawn, again])


def test_grey_images_are_plates_of_three_channels(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path / "grey")
    for path in (tmp_path / "grey" / "images").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    for grey in read_plates([tmp_path / "grey"]):
        assert grey.image.shape[2] == 3
        assert (grey.image == grey.image[..., :1]).all()


def test_a_mark_close_to_its_end_says_where_the_root_comes_from():
    points = pd.DataFrame(
        {"x": [20.0, 20.0], "y": [30.0, 30.0], "x_end": [26.0, 20.0], "y_end": 30.0}
    )
    assert _targets(points, np.ones(2)).tolist() == [[26 - BEHIND, 30], [20, 30]]


def test_a_mark_half_a_pixel_from_its_end_does_not_say_it() -> None:
    points = pd.DataFrame({"x": [20.0], "y": [30.0], "x_end": [20.3], "y_end": [30.0]})
    assert _targets(points, np.ones(2)).tolist() == [[20, 30]]
