"""Where the project lies. This module imports no library, so that each command may ask at once."""

from __future__ import annotations

from pathlib import Path

MARK = "[tool.kedro]"
"""Stands in the `pyproject.toml` of each Kedro project."""


def find_project_path() -> Path:
    """Return the folder that holds `conf/`: of the project we work in, or else of this one."""
    here = Path.cwd()
    found = (folder for folder in (here, *here.parents) if _is_project(folder))
    return next(found, Path(__file__).resolve().parents[3])


def _is_project(folder: Path) -> bool:
    try:
        return MARK in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
