"""A request holds images and their names, and nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from samples import draw_image

from image_classification.commands.endpoint.message import Limits, RefusedError, read_images

IMAGE = draw_image(1)
ENCODED = base64.b64encode(IMAGE).decode()
FEW = Limits(images=3)


def split(*rows: list[Any], columns: tuple[Any, ...] = ("image_name", "image")) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(columns), "data": list(rows)}}


def records(*rows: Any) -> dict[str, Any]:
    return {"dataframe_records": list(rows)}


def read(message: Any) -> tuple[list[str], list[bytes]]:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return read_images(body, FEW)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (split(["a.png", ENCODED]), ["a.png"]),
        (split([ENCODED, "a.png"], columns=("image", "image_name")), ["a.png"]),
        (split([ENCODED], [ENCODED], columns=("image",)), ["0", "1"]),
        (records({"image_name": "a.png", "image": ENCODED}), ["a.png"]),
        (records({"image": ENCODED}, {"image": ENCODED, "image_name": None}), ["0", "1"]),
        (records({"image": ENCODED, "image_name": 7}), ["7"]),
        (records({"image": ENCODED, "image_name": "../é\x00<b>"}), ["../é\x00<b>"]),
        (split(["a", f"{ENCODED[:76]}\n{ENCODED[76:]}\n"]), ["a"]),
        ({**split(["a", ENCODED]), "params": {}}, ["a"]),
        ({**split(["a", ENCODED]), "params": None}, ["a"]),
        ({"dataframe_split": {**split(["a", ENCODED])["dataframe_split"], "index": [0]}}, ["a"]),
    ],
)
def test_images_are_read_from_either_form(message: Any, names: list[str]) -> None:
    assert read(message) == (names, [IMAGE] * len(names))


@pytest.mark.parametrize(
    ("message", "status", "reason"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff\xfe", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b'{"dataframe_records":' + b'{"a":' * 50_000, 400, "no JSON"),
        (b"NaN", 400, "no JSON"),
        (b"9" * 10_000, 400, "no JSON"),
        ([], 400, "no JSON object"),
        ({}, 400, r"Received: \[\]"),
        ({"inputs": [1]}, 400, r"Received: \['inputs'\]"),
        ({**split(["a", ENCODED]), **records({"image": ENCODED})}, 400, "Received: "),
        ({**split(["a", ENCODED]), "params": {"runner": "os.abort"}}, 400, "'params'"),
        ({"x" * 10**6: 1}, 400, r"^Received: .{60}…\. Expected"),
        ({"dataframe_split": None}, 400, "lacks 'columns' or 'data'"),
        ({"dataframe_split": {"columns": "image", "data": []}}, 400, "lacks 'columns' or"),
        (split(["a", ENCODED, 1], columns=("image", "image_name", "path")), 400, "Columns may be"),
        (split(["a", 1], columns=("image", ["image"])), 400, "Columns may be"),
        (split(["a"]), 400, "must have 2 values"),
        (split({"image": ENCODED}), 400, "must have 2 values"),
        (split(), 400, "0 images: 1 to 3"),
        (split(*[["a", ENCODED]] * 4), 413, "4 images: 1 to 3"),
        (records("x"), 400, "no list of objects"),
        ({"dataframe_records": {"image": ENCODED}}, 400, "no list of objects"),
        (records({"image": ENCODED, "path": "/etc/passwd"}), 400, "A row may have"),
        (records({"image_name": "a"}), 400, r"Row 0 \(a\): 'image' is not base64"),
        (records({"image": 1}), 400, "is not base64"),
        (records({"image": {"b64": ENCODED}}), 400, "is not base64"),
        (records({"image": "/etc/passwd"}), 400, "no path and no address is read"),
        (records({"image": "file:///etc/passwd"}), 400, "no path and no address is read"),
        (records({"image": "https://example.org/1.png"}), 400, "no path and no address"),
        (records({"image": "é"}), 400, "is not base64"),
        (records({"image": ENCODED, "image_name": ["a"]}), 400, "is no name"),
        (records({"image": ENCODED, "image_name": "x" * 1001}), 400, "is no name"),
    ],
)
def test_anything_else_is_refused_with_a_short_reason(
    message: Any, status: int, reason: str
) -> None:
    with pytest.raises(RefusedError, match=reason) as raised:
        read(message)
    assert raised.value.status == status
    assert len(raised.value.reason) < 600
