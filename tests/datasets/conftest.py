"""Where datasets are tried: on a disk, and on an object store kept in memory."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from registry_store import shared_store, store

from image_classification.datasets import cache

__all__ = ["shared_store", "store"]


@pytest.fixture(autouse=True, scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what the tests read from object stores in a folder of the tests."""
    cache.use(str(tmp_path_factory.mktemp("cache")), 10)


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path)
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"
