"""A request: images and their names, and nothing else."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

COLUMNS = ("image", "image_name")
FORMS = ("dataframe_split", "dataframe_records")

EXPECTED = (
    'Expected {"dataframe_split": {"columns": ["image_name", "image"], "data": [["image.png", '
    '"<base64>"]]}} or {"dataframe_records": [{"image_name": "image.png", "image": "<base64>"}]}.'
)

SHOWN = 60
"""Letters of what was received that an answer repeats."""


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        request_bytes: of the body.
        images: in a request.
        image_pixels: of an image.
        seconds: to send a request; to have its images scored; and to wait for others before that.
        held_bytes: of all bodies that are in memory at the same time.
    """

    request_bytes: int = 16 * 2**20
    images: int = 256
    image_pixels: int = 4_000_000
    seconds: float = 30.0
    held_bytes: int = 512 * 2**20


class RefusedError(Exception):
    """A request that is not answered: the status of HTTP, and the reason in a sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def read_images(body: bytes, limits: Limits) -> tuple[list[str], list[bytes]]:
    """Return names and contents of the images of a request.

    Raises:
        RefusedError: it is no JSON, holds anything but images and names, or more than is allowed.
    """
    try:
        message = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise RefusedError(400, f"The body is no JSON. {EXPECTED}") from None
    if not isinstance(message, dict):
        raise RefusedError(400, f"The body is no JSON object. {EXPECTED}")
    message = {key: value for key, value in message.items() if key != "params" or value}
    if len(message) != 1 or not set(message) <= set(FORMS):
        raise RefusedError(400, f"Received: {_show(list(message))}. {EXPECTED}")
    ((form, table),) = message.items()
    rows = _read_split(table) if form == "dataframe_split" else _read_records(table)
    if not 0 < len(rows) <= limits.images:
        raise RefusedError(
            413 if rows else 400, f"{len(rows)} images: 1 to {limits.images} in a request."
        )
    names = [_read_name(row.get("image_name"), number) for number, row in enumerate(rows)]
    contents = [
        _read_content(row.get("image"), number, name)
        for number, (row, name) in enumerate(zip(rows, names, strict=True))
    ]
    return names, contents


def _read_split(table: Any) -> list[dict[str, Any]]:
    table = table if isinstance(table, dict) else {}
    columns, data = table.get("columns"), table.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RefusedError(400, f"dataframe_split lacks 'columns' or 'data'. {EXPECTED}")
    if len(columns) > len(COLUMNS) or any(column not in COLUMNS for column in columns):
        raise RefusedError(400, f"Columns may be {', '.join(COLUMNS)}. Received: {_show(columns)}.")
    if any(not isinstance(row, list) or len(row) != len(columns) for row in data):
        raise RefusedError(400, f"Each row of 'data' must have {len(columns)} values. {EXPECTED}")
    return [dict(zip(columns, row, strict=True)) for row in data]


def _read_records(table: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(table, list) or any(not isinstance(row, dict) for row in table):
        raise RefusedError(400, f"dataframe_records is no list of objects. {EXPECTED}")
    for row in table:
        if any(key not in COLUMNS for key in row):
            raise RefusedError(
                400, f"A row may have {', '.join(COLUMNS)}. Received: {_show(list(row))}."
            )
    return table


def _read_name(value: Any, number: int) -> str:
    if value is None or value == "":
        return str(number)
    if not isinstance(value, str | int | float) or len(str(value)) > 1000:
        raise RefusedError(400, f"Row {number}: 'image_name' is no name: {_show(value)}.")
    return str(value)


def _read_content(value: Any, number: int, name: str) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            pass
    raise RefusedError(
        400,
        f"Row {number} ({_show(name)}): 'image' is not base64. It takes the bytes of an image "
        "file; no path and no address is read.",
    )


def _show(value: Any) -> str:
    shown = str(value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
