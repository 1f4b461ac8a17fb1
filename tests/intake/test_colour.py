"""Whether the colours of an image are those of sRGB."""

from __future__ import annotations

import struct

import pytest
from encodings_table import OTHER_RED, SRGB

from image_classification.intake import colour


@pytest.mark.parametrize("profile", [None, b"", SRGB])
def test_no_profile_and_that_of_srgb_forbid_nothing(profile: bytes | None) -> None:
    assert colour.describe_foreign_colours(profile) == ""


def make_grey(gamma: float) -> bytes:
    """Return a profile of one channel, as scanners write them: version 2, a gamma and a white."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    name = b"a scanner\0"
    told = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": told + bytes(-len(told) % 4), b"wtpt": white, b"kTRC": curve}
    at, table, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", at + len(content), len(data))
        content += data
    head = struct.pack(
        ">I4sI4s4s4s", at + len(content), b"\0\0\0\0", 0x02100000, b"scnr", b"GRAY", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + table + content


@pytest.mark.parametrize(("gamma", "moves"), [(2.2, False), (1.0, True)])
def test_a_grey_profile_is_judged_by_what_it_does_to_grey(gamma: float, *, moves: bool) -> None:
    told = colour.describe_foreign_colours(make_grey(gamma))
    assert told == (
        "its colours are those of the profile 'a scanner', not of sRGB: convert it to sRGB"
        if moves
        else ""
    )


def test_a_profile_that_moves_colours_is_named_with_what_to_do() -> None:
    told = colour.describe_foreign_colours(OTHER_RED)
    assert told.startswith("its colours are those of the profile '")
    assert told.endswith("', not of sRGB: convert it to sRGB")


@pytest.mark.parametrize(
    "profile", [b"no profile" * 20, SRGB[:200], SRGB + bytes(colour.MAXIMUM_BYTES), "text"]
)
def test_what_cannot_be_read_as_a_profile_is_refused_and_raises_nothing(profile: object) -> None:
    told = colour.describe_foreign_colours(profile)
    assert told == "its colour profile cannot be read: save it as sRGB"
