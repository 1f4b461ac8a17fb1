"""What a file's header and its name tell, before it is decoded."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from PIL import Image, UnidentifiedImageError

from image_classification.errors import ConfigurationError, name_near_misses

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")

PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
"""The signature of a PNG, and the length and name of its first chunk, the header."""

PNG_RGB = b"\x08\x02\0\0"
"""Bit depth, colour type, compression and filter of 8 bits of RGB, in the header of a PNG."""

PLAIN_PIXELS = 2**26
"""An image of more pixels is left to Pillow, which may warn about it."""

NAME_GROUPS = ("patient", "captured_on")
"""The groups that `name_pattern` may have."""


def refuse_folder(label: str, classes: Sequence[str] | None) -> str:
    """Return why a file cannot be used for the folder it lies in, "" if it can."""
    if not label:
        return "the file lies in no class folder"
    if classes and label not in classes:
        return "its folder is not a class (data_processing.classes)"
    return ""


def inspect_header(
    content: bytes | None, minimum_side: int, maximum_pixels: int
) -> tuple[int, int, str]:
    """Return width, height and the reason to refuse the file; "" where none is known yet."""
    if content is None:
        return 0, 0, "the file cannot be opened"
    if not content:
        return 0, 0, "the file is empty (0 bytes)"
    try:
        width, height, mode, kind = _read_plain_png(content) or _read_header(content)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return 0, 0, f"the file cannot be read as an image: {_one_line(error)}"
    reason = ""
    if width * height > maximum_pixels:
        reason = f"{width} x {height} pixels: at most {maximum_pixels} pixels are allowed"
    elif min(width, height) < minimum_side:
        reason = f"{width} x {height} pixels: at least {minimum_side} a side are required"
    elif kind not in FORMATS:
        reason = f"the format is {kind}: {', '.join(FORMATS)} are allowed"
    elif mode != "RGB":
        reason = f"the colour mode is {mode}: RGB is allowed"
    return width, height, reason


def _read_header(content: bytes) -> tuple[int, int, str, str | None]:
    """Return width, height, colour mode and format of an image file."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return *image.size, image.mode, image.format
    except UnidentifiedImageError:  # Pillow's words name an object in memory
        raise ValueError(f"it has no known format; {', '.join(FORMATS)} are allowed") from None


def _read_plain_png(content: bytes) -> tuple[int, int, str, str | None] | None:
    """Read the header of the most usual kind of PNG, at a fifth of the cost of `_read_header`.

    This kind has 8 bits of RGB, and nothing but a time between its header and its pixels.

    Returns:
        What `_read_header` returns; None for a file of any other kind.
    """
    if content[:16] != PNG_START or content[24:28] != PNG_RGB or not _is_sound(content, 8):
        return None
    pixels_at = 33
    if content[37:41] == b"tIME" and _is_sound(content, 33):
        pixels_at = 33 + 12 + int.from_bytes(content[33:37])
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if content[pixels_at + 4 : pixels_at + 8] != b"IDAT" or not 0 < width * height <= PLAIN_PIXELS:
        return None
    return width, height, "RGB", "PNG"


def _is_sound(png: bytes, start: int) -> bool:
    """Return whether the checksum of the PNG chunk at `start` is right."""
    end = start + 8 + int.from_bytes(png[start : start + 4])
    return zlib.crc32(png[start + 4 : end]).to_bytes(4) == png[end : end + 4]


def compile_pattern(name_pattern: str) -> re.Pattern[str]:
    """Return the pattern of file names.

    Raises:
        ConfigurationError: it is not a regular expression, or has an unknown group.
    """
    try:
        pattern = re.compile(name_pattern)
    except re.error as error:
        raise ConfigurationError(
            f"data_processing.name_pattern is not a regular expression: {error}. Received: "
            f"{name_pattern!r}."
        ) from None
    for group in pattern.groupindex:
        # Unnoticed, a misspelt `patient` would put images of one patient into several splits.
        if group not in NAME_GROUPS:
            raise ConfigurationError(
                f"data_processing.name_pattern has an unknown group '{group}': allowed are "
                f"{', '.join(NAME_GROUPS)}.{name_near_misses(group, NAME_GROUPS)}"
            )
    return pattern


def read_name(
    name: str, image_id: str, pattern: re.Pattern[str], date_format: str
) -> tuple[str, str]:
    """Read patient and capture date (ISO 8601, or "") from the name of a file."""
    match = pattern.match(name)
    found: Mapping[str, str | None] = match.groupdict() if match else {}
    date = found.get("captured_on")
    # An image whose name tells no patient is a group of its own.
    return found.get("patient") or image_id, _read_date(date, date_format) if date else ""


@lru_cache(maxsize=1024)
def _read_date(date: str, date_format: str) -> str:
    """Return a date as ISO 8601; "" where it is not a date."""
    try:
        return datetime.strptime(date, date_format).replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        return ""


def _one_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
