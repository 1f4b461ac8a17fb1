"""MLflow's tables are seen whole or not at all."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from image_classification.vendor import mlflow_tables
from image_classification.vendor.mlflow_tables import is_whole, make_store


def test_a_store_with_its_tables_is_whole(empty_store: Path) -> None:
    assert is_whole(empty_store)


@pytest.mark.parametrize("content", [b"", b"no database"])
def test_anything_else_is_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    assert not is_whole(path)
    with closing(sqlite3.connect(tmp_path / "other.db")) as store, store:
        store.execute("CREATE TABLE alembic_version (version_num TEXT)")
    assert not is_whole(tmp_path / "other.db")


def test_a_store_that_is_there_is_left_alone(empty_store: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))
    before = path.read_bytes()
    make_store(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_told_of_making_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.db import utils
    from mlflow.store.tracking import sqlalchemy_store

    told, path = [], tmp_path / "mlflow.db"

    class Store:
        def __init__(self, uri: str, _: str) -> None:
            Path(uri.removeprefix("sqlite:///")).write_bytes(b"tables")
            told.append(utils._logger.isEnabledFor(logging.INFO))
            self.engine = self

        def dispose(self) -> None: ...

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", Store)
    utils._logger.setLevel(logging.NOTSET)
    make_store(path)
    assert path.read_bytes() == b"tables"
    assert told == [False]


def test_of_two_that_make_it_the_first_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    for content in (b"first", b"second"):
        part = tmp_path / "part"
        part.write_bytes(content)
        mlflow_tables._put_in_place(part, path)
        part.unlink()
    assert path.read_bytes() == b"first"


def test_where_there_are_no_links_it_is_renamed_and_an_empty_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(mlflow_tables.os, "link", refuse)
    path, part = tmp_path / "mlflow.db", tmp_path / "part"
    path.touch()
    part.write_bytes(b"whole")
    mlflow_tables._put_in_place(part, path)
    assert path.read_bytes() == b"whole"
