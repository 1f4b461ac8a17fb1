"""Where datasets are tried: on a disk, and on an object store kept in memory."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path)
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"
