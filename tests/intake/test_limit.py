"""How much may arrive at once."""

from __future__ import annotations

from typing import Any

import pytest
from laboratory import read_parameters

from image_classification.intake.limit import DEFAULT_LIMITS, find_excess, find_large_file

SIZES = {"P/1.png": 10, "P/x/2.png": 20}


def limit(**changes: Any) -> Any:
    return DEFAULT_LIMITS | changes


def test_they_are_those_of_the_shipped_parameters() -> None:
    assert read_parameters()["arrival"] == DEFAULT_LIMITS


@pytest.mark.parametrize(
    ("changes", "path", "reason"),
    [
        ({"maximum_files": 2}, "", ""),
        (
            {"maximum_files": 1},
            "",
            "it holds 2 files: at most 1 are allowed (arrival.maximum_files)",
        ),
        ({"maximum_total_gib": 30 / 2**30}, "", ""),
        (
            {"maximum_total_gib": 2.0**-26},
            "",
            "it holds 0.0 GiB: at most 1.49012e-08 are allowed (arrival.maximum_total_gib)",
        ),
        ({"maximum_depth": 2}, "", ""),
        (
            {"maximum_depth": 1},
            "P/x/2.png",
            "it lies 2 folders deep: at most 1 are allowed (arrival.maximum_depth)",
        ),
        ({"maximum_name_bytes": 5}, "", ""),
        (
            {"maximum_name_bytes": 4},
            "P/1.png",
            "a name is 5 bytes long: at most 4 are allowed (arrival.maximum_name_bytes)",
        ),
    ],
)
def test_what_is_more_than_allowed_is_named(
    changes: dict[str, Any], path: str, reason: str
) -> None:
    assert find_excess(SIZES, limit(**changes)) == (path, reason)


def test_a_name_is_measured_in_bytes() -> None:
    assert find_excess({"ü" * 127: 0}, DEFAULT_LIMITS) == ("", "")
    assert find_excess({"ü" * 128: 0}, DEFAULT_LIMITS)[1].startswith("a name is 256 bytes long")
    assert find_excess({"\udce9" * 255: 0}, DEFAULT_LIMITS) == ("", "")


def test_a_large_file_is_named() -> None:
    assert find_large_file(SIZES, limit(maximum_file_mib=20 / 2**20)) == ("", "")
    assert find_large_file(SIZES, limit(maximum_file_mib=16 / 2**20)) == (
        "P/x/2.png",
        "it says it is 20 bytes: at most 1.52588e-05 MiB are allowed (arrival.maximum_file_mib)",
    )
