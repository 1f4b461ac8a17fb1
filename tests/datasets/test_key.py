"""The key of a storage."""

from __future__ import annotations

import stat
from pathlib import Path

import fsspec
import pytest

from image_classification.datasets import key
from image_classification.datasets.key import read_patient_key


@pytest.fixture
def disk() -> fsspec.AbstractFileSystem:
    return fsspec.filesystem("file")


def test_a_key_is_made_once_and_stays(disk: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    made = read_patient_key(disk, str(tmp_path))
    assert len(bytes.fromhex(made.decode())) == key.KEY_BYTES
    assert read_patient_key(disk, str(tmp_path)) == made


def test_each_storage_has_a_key_of_its_own(disk: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    assert read_patient_key(disk, f"{tmp_path}/a") != read_patient_key(disk, f"{tmp_path}/b")


def test_nobody_else_may_read_it(disk: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    read_patient_key(disk, str(tmp_path))
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "keys", tmp_path / "keys" / "patients.key")
    ]
    assert modes == [0o700, 0o600]


def test_of_two_processes_that_make_it_at_once_both_have_the_same(
    disk: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_patient_key(disk, str(tmp_path))
    monkeypatch.setattr(key, "exists", lambda *_: False)  # as it was when the second one looked
    assert read_patient_key(disk, str(tmp_path)) == first
