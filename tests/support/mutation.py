"""Image files and zips that were damaged at random, always the same ones for a seed."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable, Sequence

from encodings_table import ENCODINGS
from PIL import Image
from samples import draw_image, zip_files

from image_classification.intake.picture import FORMATS

PNG_START = b"\x89PNG\r\n\x1a\n"
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

KEPT_BYTES = 8
"""Without these no decoder looks any further; mostly they stay."""

Mutate = Callable[[random.Random, bytearray], None]


def draw_seeds() -> list[bytes]:
    """Return sound and refused files of every encoding, small ones and some of real size."""
    larger = [
        draw_image(seed, (40 + seed, 30), mode, kind)
        for seed, (mode, kind) in enumerate(
            [
                *(("RGB", "PNG"), ("RGB", "JPEG"), ("RGB", "BMP"), ("RGB", "TIFF"), ("P", "GIF")),
                *(("L", "PNG"), ("L", "JPEG"), ("P", "PNG"), ("P", "BMP"), ("1", "TIFF")),
            ]
        )
    ]
    known = [file.content for name, file in ENCODINGS.items() if name.startswith(FORMATS)]
    return [*known, *larger, _draw_progressive()]


def mutate_image(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a file that was damaged once to three times."""
    content = bytearray(chance.choice(seeds))
    if chance.random() < 0.05:
        other = chance.choice(seeds)
        content = content[: chance.randrange(len(content) + 1)]
        content += other[chance.randrange(len(other) + 1) :]
    start = content[:KEPT_BYTES]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(MUTATIONS)(chance, content)
    if chance.random() < 0.9:
        content[: len(start)] = start
    if content.startswith(PNG_START) and chance.random() < 0.7:
        return _mend_checksums(bytes(content))
    return bytes(content)


def mutate_zip(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a zip of images, of whose bytes some are damaged."""
    names = [
        f"{label}/{number}.png" for label in ("Parasitized", "Uninfected") for number in (1, 2)
    ]
    content = bytearray(zip_files({name: chance.choice(seeds) for name in names}))
    if chance.random() < 0.5:
        content = bytearray(_pack(chance, names, seeds))
    for _ in range(chance.randint(1, 3)):
        chance.choice(MUTATIONS)(chance, content)
    return bytes(content)


def _flip(chance: random.Random, content: bytearray) -> None:
    for _ in range(min(chance.choice((1, 1, 2, 4)), len(content))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _set_number(chance: random.Random, content: bytearray) -> None:
    width = chance.choice((1, 2, 4))
    at = chance.randrange(len(content) + 1)
    order = chance.choice(("big", "little"))
    number = chance.choice(NUMBERS) & (256**width - 1)
    content[at : at + width] = number.to_bytes(width, order)  # type: ignore[arg-type]


def _set_early_number(chance: random.Random, content: bytearray) -> None:
    """Most of what a header says stands in its first bytes."""
    at = chance.randrange(min(64, len(content)) + 1)
    content[at : at + 1] = bytes([chance.choice(NUMBERS) & 255])


def _truncate(chance: random.Random, content: bytearray) -> None:
    del content[chance.randrange(len(content) + 1) :]


def _delete(chance: random.Random, content: bytearray) -> None:
    at = chance.randrange(len(content) + 1)
    del content[at : at + chance.randint(1, 16)]


def _repeat(chance: random.Random, content: bytearray) -> None:
    at = chance.randrange(len(content) + 1)
    content[at:at] = content[at : at + chance.randint(1, 64)] * chance.randint(1, 20)


def _insert(chance: random.Random, content: bytearray) -> None:
    at = chance.randrange(len(content) + 1)
    content[at:at] = chance.randbytes(chance.randint(1, 16))


MUTATIONS: tuple[Mutate, ...] = (
    *(_flip, _set_number, _set_early_number, _truncate, _delete, _repeat, _insert),
)


def _mend_checksums(content: bytes) -> bytes:
    """Return a PNG whose chunks have right checksums, so that what is in them is looked at."""
    mended, at = bytearray(PNG_START), len(PNG_START)
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        if end + 4 > len(content):
            break
        mended += content[at:end] + zlib.crc32(content[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(mended + content[at:])


def _pack(chance: random.Random, names: Sequence[str], seeds: Sequence[bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", chance.choice((0, 8, 12, 14))) as archive:
        for name in names:
            archive.writestr(name, chance.choice(seeds))
    return content.getvalue()


def _draw_progressive() -> bytes:
    content = io.BytesIO()
    with Image.open(io.BytesIO(draw_image(3, (64, 48)))) as image:
        image.save(content, "JPEG", progressive=True)
    return content.getvalue()
