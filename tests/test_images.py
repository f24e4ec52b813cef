from __future__ import annotations

import hashlib
import struct
import time
import zlib
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from roottip.errors import InputError
from roottip.images import decode, in_order, read_ahead, read_image, read_size
from roottip.scans import Scan

SCANS = find_spec("pyvips") is not None
"""Whether the extra is installed, which `scripts/lowest.py` does without."""

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
COLOUR = np.stack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 90)], axis=2)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_colour_comes_back_in_rgb_order(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(COLOUR).save(path, **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(read_image(path), COLOUR)


def test_jpeg_is_what_opencv_decodes(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(COLOUR).save(path, quality=90)
    difference = read_image(path).astype(int) - cv2.imread(str(path))[..., ::-1]
    assert np.abs(difference).max() <= 2  # decoders may round differently


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp"])
def test_grey_stays_two_dimensional(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(RAMP).save(path)
    image = read_image(path)
    assert image.shape == RAMP.shape
    assert np.abs(image.astype(int) - RAMP).max() <= 3


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_deep_images_are_stretched_to_8_bits(tmp_path, ending, colour, bits):
    path = tmp_path / f"a.{ending}"
    eight = COLOUR if colour else RAMP
    deep = eight.astype(np.uint16) * ((2**bits - 1) // 255)
    if ending == "tif":
        tifffile.imwrite(path, deep, photometric="rgb" if colour else "minisblack")
    else:
        cv2.imwrite(str(path), deep[..., ::-1] if colour else deep)
    assert np.abs(read_image(path).astype(int) - eight).max() <= 1


def test_float_tiff_with_nan(tmp_path):
    values = (RAMP / 255).astype(np.float32)
    values[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values)
    image = read_image(tmp_path / "a.tif")
    assert image[0, 0] == 0
    assert np.abs(image.astype(int) - RAMP).max() <= 1


def test_pixels_without_a_finite_value_do_not_blacken_the_others(tmp_path):
    values = (RAMP / 255).astype(np.float32)
    values[0, :12] = np.inf
    values[1, :12] = -np.inf
    tifffile.imwrite(tmp_path / "a.tif", values)
    image = read_image(tmp_path / "a.tif")
    assert (image[:2, :12] == 0).all()
    assert np.abs(image[2:].astype(int) - RAMP[2:]).max() <= 1
    tifffile.imwrite(tmp_path / "b.tif", np.full_like(values, np.inf))
    with pytest.raises(InputError, match="none of its pixels has a finite value"):
        read_image(tmp_path / "b.tif")


def test_a_deep_image_of_one_value_is_black(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((5, 6), 3000, np.uint16))
    assert (read_image(tmp_path / "a.png") == 0).all()


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.dstack([COLOUR, np.zeros_like(RAMP)])
    rgba[:, :10, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image[:, :10], COLOUR[:, :10])
    assert (image[:, 10:] == 255).all()
    Image.fromarray(rgba[..., [0, 3]]).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), image[..., 0])
    deep = rgba.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "b.png"), deep[..., [2, 1, 0, 3]])
    assert np.abs(read_image(tmp_path / "b.png").astype(int) - image).max() <= 1


def test_cmyk_and_palette_become_rgb(tmp_path):
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.tif")
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - COLOUR).max() <= 1
    red = Image.new("RGB", (4, 3), (200, 10, 10)).convert("P", palette=Image.Palette.ADAPTIVE)
    red.save(tmp_path / "b.png")
    assert read_image(tmp_path / "b.png").tolist() == [[[200, 10, 10]] * 4] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255  # a white corner at the top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored))
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert np.abs(image.astype(int) - upright).max() < 40


def behind_the_pixels(path, orientation):
    """A PNG whose EXIF stands behind its pixels, as some programs leave it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = exif.tobytes()[6:]
    Image.fromarray(COLOUR).save(path)
    data, chunk = path.read_bytes(), b"eXIf" + content
    end = data.rindex(b"IEND") - 4
    told = struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:end] + told + data[end:])
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turn_told_behind_the_pixels_is_one(tmp_path, orientation):
    path = behind_the_pixels(tmp_path / "a.png", orientation)
    height, width = read_image(path).shape[:2]
    assert read_size(path) == (width, height)
    assert (width, height) == (COLOUR.shape[1::-1] if orientation < 5 else COLOUR.shape[:2])


@pytest.mark.skipif(find_spec("pyvips") is None, reason="reads scans without pyvips")
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_scan_turned_behind_the_pixels_is_refused(tmp_path, orientation):
    assert Scan(behind_the_pixels(tmp_path / "a.png", 1)).shape == COLOUR.shape
    with pytest.raises(InputError, match=rf"EXIF orientation {orientation}\); save it upright"):
        Scan(behind_the_pixels(tmp_path / "a.png", orientation))


def test_a_turn_in_a_raw_profile_is_one(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    profile, text = b"Exif\0\0" + exif.tobytes()[6:], PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(profile):8d}\n{profile.hex()}\n")
    Image.fromarray(COLOUR).save(tmp_path / "a.png", pnginfo=text)
    assert read_image(tmp_path / "a.png").shape[:2] == COLOUR.shape[1::-1]
    assert read_size(tmp_path / "a.png") == COLOUR.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_deep_colour_is_turned_as_pillow_turns_other_images(tmp_path, orientation, ending):
    plain = np.random.default_rng(0).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    plain[0, 0], plain[0, 1] = 0, 255  # stretching changes nothing
    plain[1:3], plain[3:5] = 0, 255
    picture = Image.fromarray(plain)
    picture.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(picture))
    path, deep = tmp_path / f"a.{ending}", plain.astype(np.uint16) * 257
    if ending == "tif":
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(path, deep, photometric="rgb", extratags=[tag])
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = b"eXIf" + content
        chunk = struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        whole = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
        place = whole.index(b"IDAT") - 4
        path.write_bytes(whole[:place] + chunk + whole[place:])
    np.testing.assert_array_equal(read_image(path), upright)
    assert read_size(path) == upright.shape[1::-1]


def spoil(path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "bmp", "webp"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.95])
def test_a_file_cut_short_is_refused(tmp_path, ending, keep):
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    spoil(path, keep)
    with pytest.raises(InputError, match=r"cut short|not an image"):
        read_image(path)


def test_what_is_no_image_says_so(tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(InputError, match=r"text.jpg is not an image"):
        read_image(tmp_path / "text.jpg")
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty.png is an empty file$"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(InputError, match="there is no file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path)
    tifffile.imwrite(tmp_path / "f64.tif", np.ones((8, 8)))
    with pytest.raises(InputError, match=r"f64.tif is a TIFF of a kind that roottip does not read"):
        read_image(tmp_path / "f64.tif")


def test_the_content_counts_not_the_ending(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(read_image(tmp_path / "a.jpg"), COLOUR)


def test_images_come_in_order_with_errors_in_their_place(tmp_path):
    for n in range(7):
        Image.new("L", (4, 4), n).save(tmp_path / f"{n}.png")
    (tmp_path / "3.png").write_text("no")
    results = list(read_ahead(tmp_path, [f"{n}.png" for n in range(7)]))
    assert [name for name, _ in results] == [f"{n}.png" for n in range(7)]
    for n, (name, got) in enumerate(results):
        if n == 3:
            assert isinstance(got, InputError)
        else:
            assert got[0].tolist() == [[n] * 4] * 4
            assert got[1] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def picture_of(path):
    return decode(path.read_bytes(), path)


def test_what_makes_a_result_doubtful_is_noted(tmp_path):
    plain = Image.fromarray(COLOUR)
    plain.save(tmp_path / "a.png", dpi=(508, 508))
    assert picture_of(tmp_path / "a.png").notes == ()
    assert picture_of(tmp_path / "a.png").px_per_mm == pytest.approx(20, rel=1e-3)
    (tmp_path / "a.png").rename(tmp_path / "b.jpeg")
    assert picture_of(tmp_path / "b.jpeg").notes == ("a PNG named .jpeg",)
    others = [Image.new("RGB", plain.size, colour) for colour in ("black", "white")]
    for ending in ("tif", "webp"):
        path = tmp_path / f"frames.{ending}"
        options = {"lossless": True} if ending == "webp" else {}
        plain.save(path, save_all=True, append_images=others, **options)
        assert picture_of(path).notes == ("first of 3 frames",)
        assert np.array_equal(picture_of(path).image, COLOUR)
    plain.save(tmp_path / "c.jpg")
    assert picture_of(tmp_path / "c.jpg").notes == ()
    plain.save(tmp_path / "d.jpg", "MPO", save_all=True, append_images=others[:1])  # a preview
    assert picture_of(tmp_path / "d.jpg").notes == ()


def test_a_jpeg_without_its_end_mark_is_refused(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-2])
    with pytest.raises(InputError, match="cut short"):
        read_image(tmp_path / "a.jpg")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.new("L", (300, 300)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="larger than"):
        read_image(tmp_path / "a.png")


def test_a_file_one_may_not_read_says_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(InputError, match=r"a.png cannot be read: Permission denied"):
        read_image(tmp_path / "a.png")


def test_one_pixel(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[1, 2, 3]]]


def test_channels_that_are_no_alpha_are_no_transparency(tmp_path):
    rgb = np.full((30, 40, 3), 2000, np.uint16)
    rgb[:15] = 60000, 30000, 2000
    for deep in (True, False):
        four = np.dstack([rgb, np.zeros((30, 40), np.uint16)])
        four = four if deep else (four >> 8).astype(np.uint8)
        tifffile.imwrite(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unspecified"])
        image = read_image(tmp_path / "a.tif")
        assert image[2, 2].tolist() == pytest.approx([255 if deep else 234, 123, 3], abs=8)
        if SCANS:
            scan = np.concatenate([*Scan(tmp_path / "a.tif")])
            assert np.abs(scan.astype(int) - image).max() <= 1


def test_deep_planes_that_nothing_here_reads_are_refused(tmp_path):
    planes = np.full((3, 30, 40), 9, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match="16 bits a channel in separate planes; save it") as said:
        read_image(tmp_path / "a.tif")
    assert "damaged" not in str(said.value)  # it is whole


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    def full(*_):
        raise MemoryError("Unable to allocate 9 GiB")

    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    monkeypatch.setattr("roottip.decoding.displayed", full)
    with pytest.raises(InputError, match=r"a\.png does not fit into memory; end other programs"):
        read_image(tmp_path / "a.png")


@settings(deadline=None)
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_16_bits_are_stretched_between_percentiles(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("deep") / "a.png"
    cv2.imwrite(str(path), values)
    low, high = np.percentile(values, [0.1, 99.9])
    if high <= low:
        low, high = float(values.min()), float(values.max())
    span = (values - low) * (255 / (high - low)) if high > low else np.zeros(values.shape)
    assert np.array_equal(read_image(path), np.clip(np.round(span), 0, 255))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_white_may_be_the_least_number(tmp_path, kind):
    ramp = np.tile(np.linspace(0, np.iinfo(kind).max, 200).astype(kind), (20, 1))
    tifffile.imwrite(tmp_path / "a.tif", ramp, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "b.tif", ramp, photometric="minisblack")
    a, b = (read_image(tmp_path / name).astype(int) for name in ("a.tif", "b.tif"))
    assert np.abs(a + b - 255).max() <= 1
    assert a[0, 0] > 250


def test_32_bits_without_a_sign_do_not_wrap(tmp_path):
    ramp = np.tile(np.linspace(0, 2**32 - 1, 200).astype(np.uint32), (20, 1))
    tifffile.imwrite(tmp_path / "a.tif", ramp)
    assert (np.diff(read_image(tmp_path / "a.tif")[0].astype(int)) >= 0).all()


def test_8_bits_with_a_sign_do_not_wrap(tmp_path):
    ramp = np.tile(np.arange(-128, 128, dtype=np.int8), (20, 1))
    tifffile.imwrite(tmp_path / "a.tif", ramp)
    assert read_image(tmp_path / "a.tif")[0].tolist() == list(range(256))
    tifffile.imwrite(tmp_path / "b.tif", np.dstack([ramp] * 3), photometric="rgb")
    with pytest.raises(InputError, match="a TIFF of a kind that roottip does not read"):
        read_image(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("name", "told", "scale"),
    [
        *((f"a.{ending}", {"dpi": (508, 508)}, 20) for ending in ("png", "jpg", "tif")),
        *((f"a.{ending}", {}, None) for ending in ("png", "jpg", "tif")),
        *((f"a.{ending}", {"dpi": (508, 254)}, None) for ending in ("png", "jpg", "tif")),
        *((f"a.{ending}", {"dpi": (508, 510)}, 20) for ending in ("png", "jpg", "tif")),
        ("a.tif", {"resolution_unit": 2, "x_resolution": 508.0}, 20),
        ("a.jpg", {"exif": "camera"}, None),
        ("a.tif", {"resolution_unit": 1, "x_resolution": 72.0, "y_resolution": 72.0}, None),
    ],
)
def test_a_scale_is_only_what_the_file_says(tmp_path, name, told, scale):
    if told.get("exif"):
        told = {"exif": Image.Exif()}
        told["exif"][ExifTags.Base.Make] = "camera"
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / name, **told)
    picture = decode((tmp_path / name).read_bytes(), tmp_path / name)
    oblong = ("not square by its resolution, 508 x 254 dpi",) if 254 in told.get("dpi", ()) else ()
    for found in (picture, *([Scan(tmp_path / name)] if SCANS else [])):
        assert found.px_per_mm == (None if scale is None else pytest.approx(scale, rel=1e-3))
        assert found.notes == oblong


def test_no_more_than_asked_for_is_read_ahead():
    begun = []
    it = in_order(lambda name: begun.append(name), [str(n) for n in range(9)], 2)
    next(it)
    latest = time.monotonic() + 30
    while len(begun) < 3 and time.monotonic() < latest:
        time.sleep(0.01)
    time.sleep(0.2)  # a fourth would begin right after the third
    assert len(begun) == 3
