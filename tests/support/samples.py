"""Small images, folders and tables for the tests of the pipelines."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

POSITIVE, NEGATIVE = "Parasitized", "Uninfected"


def draw_image(
    seed: int = 0, size: tuple[int, int] = (12, 10), mode: str = "RGB", kind: str = "PNG"
) -> bytes:
    """Return an image file of noise: another seed, other pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(content, kind)
    return content.getvalue()


def draw_blank(level: int) -> bytes:
    """Return an image file without structure, of this brightness."""
    content = io.BytesIO()
    Image.new("RGB", (12, 10), (level,) * 3).save(content, "PNG")
    return content.getvalue()


def draw_bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says it is this large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


def name_cell(patient: int, cell: int = 0, date: str = "20150918") -> str:
    return f"C{patient}P{patient}ThinF_IMG_{date}_144104_cell_{cell}.png"


def fill_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files, given by their path below `root`."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def zip_files(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip file of these files, given by their path in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return content.getvalue()


def draw_cells(labels: Iterable[str], images_per_label: int) -> dict[str, bytes]:
    """Return different images by path, each of a patient of its own."""
    paths = [
        f"{label}/{name_cell(100 * number + cell)}"
        for number, label in enumerate(labels)
        for cell in range(images_per_label)
    ]
    return {path: draw_image(seed) for seed, path in enumerate(paths)}


CELLS = draw_cells([POSITIVE, NEGATIVE], 20)
"""Forty images of forty patients, two classes. Do not change it."""


def tabulate_scores(
    labels: Iterable[str], scores: Iterable[float], version: str = "2"
) -> pd.DataFrame:
    """Return predictions of two classes; each score is the probability of the positive one."""
    table = pd.DataFrame({"label": list(labels), f"probability_{POSITIVE}": list(scores)})
    table[f"probability_{NEGATIVE}"] = 1 - table[f"probability_{POSITIVE}"]
    called = table[f"probability_{POSITIVE}"] > 0.5
    table["category"] = np.where(called, POSITIVE, NEGATIVE)
    table["image_id"] = [f"id-{row}" for row in range(len(table))]
    table["image_name"] = [f"{row}.png" for row in range(len(table))]
    table["patient"] = [f"C{row // 2}" for row in range(len(table))]
    return table.assign(model_version=version)
