"""Scans: what is read strip by strip is what the reader of ordinary images shows."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from roottip import bands, batch, engine, images, places, scans
from roottip.errors import InputError
from roottip.scans import Scan, scan_of
from roottip.scorers import load
from roottip.task import Task

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "images"
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (601, 407, 3), np.uint8)
GREY = COLOUR[..., 0]
DEEP = RNG.normal(9000, 1500, COLOUR.shape).astype(np.uint16)


def whole(path):
    return np.concatenate(list(Scan(path)))


@pytest.mark.parametrize("shape", [(601, 407), (601, 407, 3)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "rowsperstrip": 7},
        {"compression": "zlib", "tile": (64, 64)},
        {"compression": "zlib", "rowsperstrip": 601},
    ],
    ids=str,
)
@pytest.mark.parametrize("deep", [False, True])
def test_tiffs_are_what_the_reader_shows(tmp_path, shape, options, deep):
    path = tmp_path / "a.tif"
    values = DEEP if deep else COLOUR
    kind = "rgb" if len(shape) == 3 else "minisblack"
    part = values if len(shape) == 3 else values[..., 0]
    tifffile.imwrite(path, part, photometric=kind, **options)
    scan = Scan(path)
    assert scan.shape == shape
    assert np.array_equal(whole(path), images.read_image(path))
    assert np.array_equal(whole(path), np.concatenate(list(scan)))  # each pass from the top


def test_libvips_keeps_nothing_of_a_pass(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOUR, photometric="rgb")
    pyvips = pytest.importorskip("pyvips")
    most = pyvips.cache_get_max()
    assert most > 0
    strips = iter(Scan(path))
    next(strips)
    assert pyvips.cache_get_size() > 0
    assert sum(len(strip) for strip in strips) == len(COLOUR) - scans._ROWS
    assert pyvips.cache_get_size() == 0
    assert pyvips.cache_get_max() == most


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_files_are_what_the_reader_shows(tmp_path, ending, mode):
    if (ending, mode) in (("jpg", "1"), ("jpg", "P")):
        pytest.skip("there is no such JPEG")
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / f"a.{ending}", dpi=(508, 508))
    scan = Scan(tmp_path / f"a.{ending}")
    assert np.array_equal(np.concatenate(list(scan)), images.read_image(scan.path))
    assert scan.px_per_mm == pytest.approx(20, rel=1e-3)
    assert scan.notes == ()


def test_deep_values_are_stretched_as_the_reader_does(tmp_path):
    """Few values, many ties, a constant: where a percentile by counting could differ."""
    for n, values in enumerate(
        (
            RNG.integers(0, 3, (50, 40)) * 1000,
            np.full((50, 40), 777),
            np.eye(50) * 60000,
            RNG.integers(0, 65536, (50, 41)),
        )
    ):
        path = tmp_path / f"{n}.png"
        Image.fromarray(values.astype(np.uint16)).save(path)
        assert np.array_equal(whole(path), images.read_image(path))


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_turned_files_are_refused(tmp_path, ending):
    exif = Image.Exif()
    path = tmp_path / f"a.{ending}"
    for orientation in range(1, 9):
        exif[274] = orientation
        Image.fromarray(COLOUR).save(path, exif=exif)
        if orientation == 1:
            assert np.array_equal(whole(path), images.read_image(path))
            continue
        with pytest.raises(InputError, match=rf"EXIF orientation {orientation}\); save it upright"):
            Scan(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_transparency_is_laid_on_white(tmp_path, mode, ending):
    path = tmp_path / f"a.{ending}"
    rgba = np.dstack([COLOUR, np.roll(GREY, 9)])
    Image.fromarray(rgba if mode == "RGBA" else rgba[..., [0, 3]], mode=None).save(path)
    expected = images.read_image(path)
    ours = whole(path)
    assert ours.shape == expected.shape == (COLOUR if mode == "RGBA" else GREY).shape
    # Pillow and libvips round one way and the other
    assert np.abs(ours.astype(int) - expected).max() <= 1


def test_the_first_of_several_frames(tmp_path):
    path = tmp_path / "a.tif"
    others = [Image.fromarray(255 - COLOUR)] * 2
    Image.fromarray(COLOUR).save(path, save_all=True, append_images=others)
    assert Scan(path).notes == ("first of 3 frames",)
    path.rename(tmp_path / "a.jpg")
    assert Scan(tmp_path / "a.jpg").notes == ("first of 3 frames", "a TIFF named .jpg")
    (tmp_path / "a.jpg").rename(path)
    assert np.array_equal(whole(path), COLOUR)
    assert Scan(path).px_per_mm is None


def made(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "mode", "options", "said"),
    [
        ("a.webp", "RGB", {}, "from JPEG, PNG and TIFF only"),
        ("a.jpg", "RGB", {"progressive": True}, "stored interlaced"),
        ("a.jpg", "CMYK", {}, "4 channels of uchar .cmyk.*save it as that"),
        ("a.tif", "F", {}, "1 channels of float"),
        ("a.tif", "I", {}, "1 channels of int"),
        ("a.bmp", "RGB", {}, "cannot be read"),
    ],
)
def test_what_cannot_be_read_in_strips_says_so(tmp_path, name, mode, options, said):
    path = made(tmp_path / name, Image.fromarray(COLOUR).convert(mode), **options)
    with pytest.raises(InputError, match=said):
        Scan(path)


def test_deep_transparency_is_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([DEEP, DEEP[..., 0]]), photometric="rgb", extrasamples=[2]
    )
    with pytest.raises(InputError, match="16 bits with transparency"):
        Scan(tmp_path / "a.tif")


def test_bombs_are_refused(tmp_path, monkeypatch):
    path = made(tmp_path / "a.png", Image.new("L", (3000, 3000)))
    with pytest.raises(InputError, match=r"9 megapixels in a file of \d+ bytes; that is no scan"):
        Scan(path)
    Image.fromarray(COLOUR).save(path)
    monkeypatch.setattr(scans, "MOST_SIDE", 600)
    with pytest.raises(InputError, match=r"407 x 601\); roottip reads up to 1500"):
        Scan(path)
    monkeypatch.setattr(scans, "MOST_SIDE", 601)
    monkeypatch.setattr(scans, "MOST_PIXELS", 200_000)
    with pytest.raises(InputError, match="cut it into parts"):
        Scan(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
@pytest.mark.parametrize("keep", [0.2, 0.9])
def test_a_scan_cut_short_is_refused(tmp_path, ending, keep):
    file = io.BytesIO()
    options = {"compression": "tiff_deflate"} if ending == "tif" else {}
    Image.fromarray(COLOUR).save(
        file, {"jpg": "jpeg", "tif": "tiff"}.get(ending, ending), **options
    )
    path = tmp_path / f"a.{ending}"
    path.write_bytes(file.getvalue()[: int(keep * len(file.getvalue()))])
    with pytest.raises(InputError, match="cannot be read"):
        whole(path)


def test_without_libvips_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(InputError, match=r"pip install 'roottip\[scans\]'"):
        Scan(made(tmp_path / "a.png", Image.fromarray(COLOUR)))


def test_the_header_tells_the_pixels(tmp_path, monkeypatch):
    path = made(tmp_path / "a.png", Image.fromarray(COLOUR))
    assert scans.pixels(path) == 601 * 407
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert scans.pixels(path) == 601 * 407
    assert scans.pixels(tmp_path / "none.png") == 0
    (tmp_path / "b.png").write_bytes(b"no image")
    assert scans.pixels(tmp_path / "b.png") == 0


def test_a_larger_image_has_more_time(tmp_path, monkeypatch):
    made(tmp_path / "a.png", Image.fromarray(COLOUR))
    task = Task(load("baseline"), tmp_path)
    assert task.limit("a.png", 300) == 300
    monkeypatch.setattr("roottip.task.LIMIT_PIXELS", 601 * 407 / 8)
    assert task.limit("a.png", 300) == 2400
    assert task.limit("none.png", 300) == 300


def test_a_run_takes_scans_and_images_alike(tmp_path, monkeypatch):
    # a plate without noise: how it is smoothed is measured on crops, which are few px wide here
    plate = images.read_image(SAMPLE / "plate_0005.jpg")
    large = np.concatenate([plate, plate[::-1]])
    (tmp_path / "in").mkdir()
    for name, image in (("large.tif", large), ("small.png", plate)):
        Image.fromarray(image).save(tmp_path / "in" / name)
    found = load("cnn", root_width=5, sizes=[1])  # in eighths, as pieces are resized
    expected, rows = batch.run(tmp_path / "in", tmp_path / "whole", found, {})
    monkeypatch.setattr(bands, "WHOLE", plate.shape[0] * plate.shape[1])
    monkeypatch.setattr("roottip.task.SCAN_PICTURE", 480)  # half of large.tif
    tips, images_ = batch.run(tmp_path / "in", tmp_path / "bands", found, {})
    assert len(tips) > 6
    assert tips["image"].tolist() == expected["image"].tolist()
    columns = ["x", "y", "score"]
    assert np.abs(tips[columns] - expected[columns]).to_numpy().max() < 1e-3
    columns = ["image", "status", "width", "height", "tips", "note"]
    assert images_[columns].equals(rows[columns])
    assert images_["brightness"].to_numpy() == pytest.approx(rows["brightness"], abs=0.5)
    overlay = images.read_image(tmp_path / "bands" / "overlays" / "large.tif.png")
    assert overlay.shape == (480, 280, 3)
    # a ring around a tip is bluer than the plate
    x, y = tips.loc[tips["image"] == "large.tif", ["x", "y"]].to_numpy()[0] / 2
    ring = overlay[int(y) - 9 : int(y) + 10, int(x) - 9 : int(x) + 10].astype(int)
    assert (ring[..., 2] - ring[..., 0] > 60).sum() > 20


def test_what_cannot_be_read_strip_by_strip_is_read_whole_if_it_may(tmp_path, monkeypatch):
    pixels = COLOUR.shape[0] * COLOUR.shape[1]
    plain = made(tmp_path / "a.tif", Image.fromarray(COLOUR))
    interlaced = made(tmp_path / "b.jpg", Image.fromarray(COLOUR), progressive=True)
    assert scan_of(plain, pixels) is None
    assert scan_of(plain, pixels - 1).shape == COLOUR.shape
    assert scan_of(interlaced, pixels - 1) is None
    monkeypatch.setattr(scans, "LARGE", pixels - 1)
    with pytest.raises(InputError, match="interlaced"):
        scan_of(interlaced, pixels - 1)


def test_a_file_is_told_by_one_hash(tmp_path):
    path = made(tmp_path / "a.png", Image.fromarray(COLOUR))
    assert places.file_hash(path) == places.content_hash(path.read_bytes())


def test_a_detector_that_needs_all_of_an_image_costs_the_row(tmp_path, plate, monkeypatch):
    Image.fromarray(plate).save(tmp_path / "a.png")
    monkeypatch.setattr(bands, "LARGE", 100)
    (result,) = engine.here(Task(load("baseline"), tmp_path), ["a.png"])
    assert result.row["status"] == "failed"
    assert "use detector=cnn" in result.row["error"]
