"""MLflow's tables are seen whole or not at all."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

from image_classification.tracking import prepare_store
from image_classification.vendor import mlflow_tables
from image_classification.vendor.mlflow_tables import (
    LOCATIONS,
    is_whole,
    make_store,
    relocate_artifacts,
)


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


def make_old_store(folder: Path, empty_store: Path, location: str) -> tuple[Path, str]:
    """Make a store as an earlier release did, with a run that has an artifact."""
    store = folder / "mlflow" / "mlflow.db"
    store.parent.mkdir(parents=True)
    shutil.copy(empty_store, store)
    client = MlflowClient(f"sqlite:///{store}")
    run = client.create_run(client.create_experiment("old", artifact_location=location))
    client.log_text(run.info.run_id, "kept", "folder/note.txt")
    model = client.create_logged_model(run.info.experiment_id, source_run_id=run.info.run_id)
    client.create_registered_model("cells")
    client.create_model_version("cells", f"{run.info.artifact_uri}/model", run.info.run_id)
    assert model.artifact_location.startswith(location)
    return store, str(run.info.run_id)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_store_that_was_moved_finds_its_artifacts(
    tmp_path: Path, empty_store: Path, scheme: str
) -> None:
    old = tmp_path / "old place"
    location = f"{scheme}{quote(str(old)) if scheme else old}/mlflow/artifacts"
    store, run_id = make_old_store(old, empty_store, location)
    assert relocate_artifacts(store) == []
    old.rename(tmp_path / "new")
    moved = tmp_path / "new" / "mlflow" / "mlflow.db"
    prepare_store(f"sqlite:///{moved}")
    client = MlflowClient(f"sqlite:///{moved}")
    utils._artifact_repos_cache.clear()
    assert [file.path for file in client.list_artifacts(run_id, "folder")] == ["folder/note.txt"]
    told = moved.read_bytes()
    assert b"mlflow-artifacts:/" in told
    with closing(sqlite3.connect(moved)) as opened:
        for table, column in LOCATIONS:
            for (place,) in opened.execute(f"SELECT {column} FROM {table}"):  # noqa: S608
                assert "old" not in place, (table, column)
    another = client.create_run("1")
    client.log_text(another.info.run_id, "new", "note.txt")
    assert list((tmp_path / "new").rglob(f"{another.info.run_id}/artifacts/note.txt"))
    assert not old.exists()
    assert relocate_artifacts(moved) == []


def test_artifacts_that_somebody_has_put_elsewhere_stay_there(
    tmp_path: Path, empty_store: Path
) -> None:
    store, _ = make_old_store(tmp_path / "one", empty_store, f"{tmp_path}/elsewhere")
    (store.parent / "artifacts").mkdir()
    assert relocate_artifacts(store) == []
