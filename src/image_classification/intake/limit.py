"""How much may arrive at once: limits that hold before anything of a batch is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from annotated_types import Ge, Gt
from typing_extensions import TypedDict

MIB, GIB = 2**20, 2**30

RATIO_COUNTS_FROM_BYTES = 64 * MIB
"""A zip that holds less than this may be packed as tightly as it likes."""


class ArrivalLimits(TypedDict):
    """What a batch may hold, and what it may cost to copy or unpack it."""

    maximum_files: Annotated[int, Ge(1)]
    maximum_total_gib: Annotated[float, Gt(0)]
    maximum_file_mib: Annotated[float, Gt(0)]
    maximum_ratio: Annotated[float, Ge(1)]
    maximum_depth: Annotated[int, Ge(1)]
    maximum_name_bytes: Annotated[int, Ge(1)]
    maximum_minutes: Annotated[float, Gt(0)]
    minimum_free_gib: Annotated[float, Ge(0)]


DEFAULT_LIMITS: ArrivalLimits = {
    "maximum_files": 200_000,
    "maximum_total_gib": 50.0,
    "maximum_file_mib": 256.0,
    "maximum_ratio": 100.0,
    "maximum_depth": 16,
    "maximum_name_bytes": 255,
    "maximum_minutes": 60.0,
    "minimum_free_gib": 1.0,
}
"""Those of `conf/base`, where nobody hands in others."""


def find_excess(sizes: Mapping[str, int], limits: ArrivalLimits) -> tuple[str, str]:
    """Return what of a batch is more than allowed, and why; two empty texts if nothing is.

    Args:
        sizes: bytes of each file, by its path below the batch.
        limits: the parameters `data_processing.arrival`.

    Returns:
        The path of the file that is at fault, "" for the batch as a whole, and the reason.
    """
    if len(sizes) > limits["maximum_files"]:
        return "", (
            f"it holds {len(sizes)} files: at most {limits['maximum_files']} are allowed "
            "(arrival.maximum_files)"
        )
    if (total := sum(sizes.values())) > limits["maximum_total_gib"] * GIB:
        return "", (
            f"it holds {total / GIB:.1f} GiB: at most {limits['maximum_total_gib']:g} are allowed "
            "(arrival.maximum_total_gib)"
        )
    return next(filter(any, (_judge_path(path, limits) for path in sizes)), ("", ""))


def find_large_file(sizes: Mapping[str, int], limits: ArrivalLimits) -> tuple[str, str]:
    """Return the first file that is larger than allowed, and why, as `find_excess` does."""
    most = limits["maximum_file_mib"] * MIB
    path = next((path for path, size in sizes.items() if size > most), None)
    return ("", "") if path is None else (path, describe_size(sizes[path], limits))


def describe_size(size: int, limits: ArrivalLimits) -> str:
    """Say that a file is too large."""
    return (
        f"it says it is {size} bytes: at most {limits['maximum_file_mib']:g} MiB are allowed "
        "(arrival.maximum_file_mib)"
    )


def _judge_path(path: str, limits: ArrivalLimits) -> tuple[str, str]:
    parts = path.split("/")
    if len(parts) - 1 > limits["maximum_depth"]:
        return path, (
            f"it lies {len(parts) - 1} folders deep: at most {limits['maximum_depth']} are allowed "
            "(arrival.maximum_depth)"
        )
    if 4 * len(path) > limits["maximum_name_bytes"]:  # else no part can be longer
        longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
        if longest > limits["maximum_name_bytes"]:
            return path, (
                f"a name is {longest} bytes long: at most {limits['maximum_name_bytes']} are "
                "allowed (arrival.maximum_name_bytes)"
            )
    return "", ""
