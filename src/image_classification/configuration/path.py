"""Paths of parameters, such as `promotion.mode`, for values that lie in sections of sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def list_values(nested: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each key that is no section."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from list_values(value, f"{parent}{key}.")
        else:
            yield f"{parent}{key}", value


def nest_value(path: str, value: Any) -> dict[str, Any]:
    """Return the sections in which a value has this path, and nothing else is."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value  # type: ignore[no-any-return]
