"""Thousands of damaged image files through a run: no crash, no hang, no lost row.

python scripts/fuzz_images.py [COUNT [SEED]]

Draws small images in every format, mutates their bytes (bits flipped, pieces cut out, doubled,
swapped or overwritten, the end cut off, lengths in headers changed), detects in all of them with
two processes and a time limit, and checks that every file has its row: `ok`, or `failed` with a
reason. Prints what came out, the slowest image and the peak memory of a process.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
from pathlib import Path

import command_line
import numpy as np
from PIL import Image

from roottip import batch, engine
from roottip.scorers import load

TIME_LIMIT = 60.0


def originals(rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """Small files in all formats and in the variants that take their own path when read."""
    x = np.linspace(30, 220, 96)
    grey = np.clip(x[None, :] + rng.normal(0, 6, (80, 96)), 0, 255).astype(np.uint8)
    colour = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2)
    rgb, deep = Image.fromarray(colour), Image.fromarray(grey.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [rgb.rotate(90), rgb]}
    made: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("a.jpg", rgb, {"exif": exif, "dpi": (300, 300)}),
        ("progressive.jpg", rgb, {"progressive": True}),
        ("grey.jpg", Image.fromarray(grey), {}),
        ("cmyk.jpg", rgb.convert("CMYK"), {}),
        ("a.png", rgb, {"dpi": (300, 300)}),
        ("deep.png", deep, {}),
        ("alpha.png", rgb.convert("RGBA"), {}),
        ("palette.png", rgb.quantize(16), {}),
        ("a.tif", rgb, {}),
        ("lzw.tif", rgb, {"compression": "tiff_lzw"}),
        ("deflate.tif", deep, {"compression": "tiff_adobe_deflate"}),
        ("frames.tif", rgb, frames),
        ("a.bmp", rgb, {}),
        ("a.webp", rgb, {}),
        ("frames.webp", rgb, frames),
    ]
    files = []
    for name, picture, options in made:
        data = io.BytesIO()
        picture.save(
            data, {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.split(".")[1]), **options
        )
        files.append((name, data.getvalue()))
    return files


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to six random changes; half of them near the start, where the headers are."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        if len(content) < 8:
            break
        at = rng.randrange(min(len(content), 200) if rng.random() < 0.5 else len(content))
        length = rng.randint(1, max(1, min(64, len(content) - at)))
        match rng.randrange(7):
            case 0:
                content[at] ^= 1 << rng.randrange(8)
            case 1:
                content[at : at + length] = rng.randbytes(length)
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = content[at : at + length]
            case 4:
                content[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
            case 5:
                del content[rng.randrange(len(content)) :]
            case 6:
                other = rng.randrange(len(content))
                content[at : at + length] = content[other : other + length]
    return bytes(content)


def write(folder: Path, count: int, seed: int) -> list[str]:
    """`count` damaged files; returns their names."""
    files = originals(np.random.default_rng(seed))
    rng = random.Random(seed)
    names = []
    for n in range(count):
        name, data = files[n % len(files)]
        names.append(f"{n:05d} {name}")
        (folder / names[-1]).write_bytes(mutated(data, rng))
    return names


def fuzz(count: int, seed: int, detector: str = "baseline") -> dict[str, float]:
    """Search so many damaged files; what came of them."""
    with tempfile.TemporaryDirectory() as temporary:
        source, output = Path(temporary, "in"), Path(temporary, "out")
        source.mkdir()
        names = write(source, count, seed)
        begun = time.monotonic()
        _, images = batch.run(
            source,
            output,
            load(detector),
            {"name": detector},
            overlays=False,
            work=engine.local(2, TIME_LIMIT),
        )
        took = time.monotonic() - begun
    assert images["image"].tolist() == sorted(names), "rows were lost, or are there twice"
    failed = images["status"] == "failed"
    assert (failed | (images["status"] == "ok")).all()
    assert (images.loc[failed, "error"] != "").all(), "a failed image without a reason"
    ended = images["error"].str.contains("ended the process")
    given_up = images["error"].str.contains("was given up")
    figures = {
        "files": count,
        "ok": int((~failed).sum()),
        "failed with a reason": int(failed.sum()),
        "that ended a worker process": int(ended.sum()),
        "given up after the time limit": int(given_up.sum()),
        "seconds in all": round(took, 1),
        "slowest image, s": float(images["seconds"].max()),
    }
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        figures["peak memory of a worker, MB"] = round(peak)
    return figures


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "count", nargs="?", type=command_line.positive, default=5000, help="of files"
    )
    parser.add_argument("seed", nargs="?", type=int, default=0, help="the same damages the same")
    for what, value in fuzz(**vars(parser.parse_args())).items():
        print(f"{what}: {value}")


if __name__ == "__main__":
    command_line.run(main)
