"""What a file's header and its name tell, before it is decoded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.intake.picture import read_header
from image_classification.text import unify_text

NAME_GROUPS = ("patient", "group", "captured_on")
"""The groups that `name_pattern` may have; `group` is another name for `patient`."""


def refuse_folder(label: str, classes: Sequence[str] | None) -> str:
    """Return why a file cannot be used for the folder it lies in, "" if it can."""
    if not label:
        return "the file lies in no class folder"
    if classes and label not in map(unify_text, classes):
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
        header = read_header(content)
    except ValueError as error:
        return 0, 0, f"the file cannot be read as an image: {error}"
    width, height = header.width, header.height
    reason = header.refusal
    if width * height > maximum_pixels:
        reason = f"{width} x {height} pixels: at most {maximum_pixels} pixels are allowed"
    elif min(width, height) < minimum_side:
        reason = f"{width} x {height} pixels: at least {minimum_side} a side are required"
    return width, height, reason


def compile_pattern(name_pattern: str | None) -> re.Pattern[str]:
    """Return the pattern of file names; None for one that matches no name.

    Raises:
        ConfigurationError: it is not a regular expression, or has an unknown group.
    """
    try:
        pattern = re.compile("(?!)" if name_pattern is None else unify_text(name_pattern))
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


def read_patient(name: str, pattern: re.Pattern[str]) -> str:
    """Return the patient that the name of a file tells; "" where it tells none."""
    match = pattern.match(unify_text(name))
    found: Mapping[str, str | None] = match.groupdict() if match else {}
    return found.get("patient") or found.get("group") or ""


def read_name(
    name: str, image_id: str, pattern: re.Pattern[str], date_format: str
) -> tuple[str, str]:
    """Read patient and capture date (ISO 8601, or "") from the name of a file."""
    match = pattern.match(name)
    found: Mapping[str, str | None] = match.groupdict() if match else {}
    date = found.get("captured_on")
    # An image whose name tells no patient is a group of its own.
    group = found.get("patient") or found.get("group")
    return group or image_id, _read_date(date, date_format) if date else ""


@lru_cache(maxsize=1024)
def _read_date(date: str, date_format: str) -> str:
    """Return a date as ISO 8601; "" where it is not a date."""
    try:
        return datetime.strptime(date, date_format).replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        return ""
