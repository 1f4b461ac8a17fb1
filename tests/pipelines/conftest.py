"""Laboratories in which nothing, one batch or two have arrived."""

from __future__ import annotations

from pathlib import Path

import pytest
from laboratory import Laboratory
from samples import CELLS, POSITIVE, draw_blank, name_cell


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """One batch of 40 images of 40 patients is taken in. Do not change it."""
    laboratory = Laboratory(tmp_path_factory.mktemp("first"))
    laboratory.deliver("first", CELLS)
    laboratory.take_in()
    return laboratory


@pytest.fixture(scope="session")
def second(first: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A second batch, of ten images, is held: they are blank. Do not change it."""
    laboratory = first.copy(tmp_path_factory.mktemp("second"))
    blank = {f"{POSITIVE}/{name_cell(500 + n)}": draw_blank(100 + n) for n in range(10)}
    laboratory.deliver("blank", blank)
    laboratory.take_in()
    return laboratory


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    """A laboratory that nothing has arrived at; limits that small batches keep."""
    return Laboratory(tmp_path)


@pytest.fixture
def filled(first: Laboratory, tmp_path: Path) -> Laboratory:
    """One batch of 40 images of 40 patients is taken in."""
    return first.copy(tmp_path)


@pytest.fixture
def held(second: Laboratory, tmp_path: Path) -> Laboratory:
    """A second batch, of ten images, is held: they are blank."""
    return second.copy(tmp_path)
