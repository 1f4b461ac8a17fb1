"""Fixtures shared by all tests: a project of its own per test, with small synthetic images."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arrivals import deliver_cells
from shortcuts import quick_stores
from sqlalchemy import Engine, event
from storage_root import copy_database, forget_mlflow_state, put_in_force

from image_classification import words

# Before Airflow, Kedro or TensorFlow is imported.
os.environ.update(
    DO_NOT_TRACK="1",
    KEDRO_DISABLE_TELEMETRY="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    TF_CPP_MIN_LOG_LEVEL="3",
    # Levels only: Kedro's own handler draws tables, which takes longer than what they tell of.
    KEDRO_LOGGING_CONFIG=str(Path(__file__).parents[1] / "airflow" / "kedro_logging.yml"),
)
for name in list(os.environ):
    if name.startswith(("AIRFLOW__", "IMAGE_CLASSIFICATION_")) or name == "MLFLOW_TRACKING_URI":
        del os.environ[name]


LONGEST = (
    "tests/champion/test_move.py",
    "tests/champion/test_audit.py",
    "tests/vision/test_training.py",
    "tests/dags/test_notices.py",
    "tests/orchestration/test_kedro_run.py",
    "tests/commands/test_batch.py",
    "tests/commands/test_decisions.py",
)
"""Files of which each takes longer than ten seconds, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no process is left alone with one at the end."""
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(LONGEST)))


@event.listens_for(Engine, "connect")
def _write_without_waiting(connection: Any, _: Any) -> None:
    """Let no commit wait for the disk: these databases need not outlive a power cut."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 240 synthetic cells of 30 patients, two classes. Do not change it."""
    from image_classification.local.synthetic import make_cells

    folder = tmp_path_factory.mktemp("cells")
    make_cells(folder, range(1, 31), 8)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _tables_made_once() -> Iterator[None]:
    """Let MLflow make the tables of a store once: its many migrations take seconds."""
    if "mlflow" in sys.modules:
        with quick_stores():
            yield
    else:
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file in which MLflow has made its tables, which takes seconds. Copy it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def _used_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("used") / "mlflow.db"


@pytest.fixture
def mlflow_store(empty_store: Path, _used_store: Path) -> str:
    """The address of an empty MLflow store, connected to.

    It is one file for all tests, since MLflow checks each file that it has not met before.
    """
    from image_classification import tracking

    copy_database(empty_store, _used_store)
    uri = f"sqlite:///{_used_store}"
    tracking.connect(uri)
    return uri


@pytest.fixture
def storage(tmp_path: Path, cells: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage root in force, where `cells` have arrived, with the `test` environment."""
    put_in_force(monkeypatch, tmp_path / "storage")
    deliver_cells(cells, tmp_path / "storage")
    return tmp_path / "storage"


@pytest.fixture(autouse=True)
def _shipped_words() -> None:
    """Speak of cells and patients, as the project that is shipped does."""
    words.use(words.Words("Malaria in blood cells", "patient", "patients", "cell", "cells"))


@pytest.fixture(autouse=True)
def _forget_mlflow_state() -> Iterator[None]:
    """Leave no active run, tracking address or experiment to the next test."""
    yield
    forget_mlflow_state()
