"""Which database the local Airflow gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_classification.local import database
from image_classification.local.database import Database
from image_classification.local.ports import ServiceError
from image_classification.local.sqlite import OPTIONS


@pytest.fixture(autouse=True)
def _debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "find_program", lambda name: f"/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_postgresql_is_taken_where_it_is_there(tmp_path: Path) -> None:
    assert Database(tmp_path).is_server


def test_root_gets_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not Database(tmp_path).is_server


@pytest.mark.parametrize("missing", ["find_program", "find_spec"])
def test_without_postgresql_or_its_drivers_it_is_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(database, missing, lambda _: None)
    assert not Database(tmp_path).is_server


def test_a_stack_stays_with_what_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "airflow.db").touch()
    assert not Database(tmp_path).is_server
    (tmp_path / "postgres").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Database(tmp_path).is_server


def test_a_writer_of_sqlite_waits_longer_than_a_backfill_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    settings = Database(tmp_path).configure(0)
    assert set(settings.values()) == {"image_classification.local.sqlite.OPTIONS"}
    assert OPTIONS["timeout"] >= 60


def test_a_database_that_cannot_be_made_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "find_program", lambda _: "false")
    with pytest.raises(ServiceError, match="PostgreSQL cannot be set up"):
        Database(tmp_path).make()
    assert not (tmp_path / "postgres").exists()


def test_the_newest_of_debians_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [Path(f"/usr/lib/postgresql/{version}/bin") for version in ("9", "15", "x")]
    assert max(folders, key=database._read_version).parent.name == "15"
