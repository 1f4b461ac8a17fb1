"""Names that some disks take for one."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from image_classification.datasets.spelling import Spellings

PATHS = ["P/a.png", "P/A.png", "p/b.png", "P/c.png", "p/c.png"]


def test_a_disk_that_tells_them_apart_keeps_all(tmp_path: Path) -> None:
    spellings = Spellings(fsspec.filesystem("file"), str(tmp_path))
    for path in PATHS:
        assert spellings.find_other(path) == ""
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("P/a.png", "P/A.png", "P/a.png"),
        ("P/a.png", "p/b.png", "P"),
        ("Zu\u0308rich/a.png", "Z\u00fcrich/b.png", "Zu\u0308rich"),
        ("P/a.png", "P/b.png", ""),
    ],
)
def test_a_disk_that_takes_them_for_one_names_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: str, other: str, found: str
) -> None:
    spellings = Spellings(fsspec.filesystem("file"), str(tmp_path))
    assert spellings.find_other(one) == ""
    monkeypatch.setattr(os.path, "lexists", lambda _: True)
    assert spellings.find_other(other) == found


def test_a_store_tells_all_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "lexists", lambda _: True)
    spellings = Spellings(fsspec.filesystem("memory"), "/b")
    assert [spellings.find_other(path) for path in PATHS] == [""] * 5
