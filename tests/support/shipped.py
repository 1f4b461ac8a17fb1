"""The parameters that are shipped, read as plain YAML, filled from the project file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from image_classification.configuration.project import fill_in, read_project

CONF = Path(__file__).resolve().parents[2] / "conf"


@cache
def read_shipped(section: str, env: str = "base") -> Any:
    """Return a section of `conf/base/parameters*.yml`, without Kedro. Do not change it.

    Args:
        section: a key at the top.
        env: whose values are laid over those of `base`.

    Raises:
        KeyError: no file of `base` has it.
    """
    merged = overlay(read_files("base", "parameters*.yml"), read_files(env, "parameters*.yml"))
    return merged[section]


def read_files(env: str, pattern: str) -> dict[str, Any]:
    """Return the keys of the YAML files of an environment, together, as they are written."""
    content: dict[str, Any] = {}
    for file in sorted((CONF / env).glob(pattern)):
        content |= yaml.safe_load(file.read_text()) or {}
    filled: dict[str, Any] = fill_in(content, read_project(CONF))
    return filled


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with the values of `above`, section by section."""
    merged = copy.deepcopy(dict(below))
    for key, value in above.items():
        known = merged.get(key)
        is_section = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(known, value) if is_section else value  # type: ignore[arg-type]
    return merged
