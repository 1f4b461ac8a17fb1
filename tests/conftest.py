"""Fixtures shared by all tests: a project of its own per test, with small synthetic images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from arrivals import deliver_cells
from storage_root import forget_mlflow_state

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


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 240 synthetic cells of 30 patients, two classes. Do not change it."""
    from image_classification.local.synthetic import make_cells

    folder = tmp_path_factory.mktemp("cells")
    make_cells(folder, range(1, 31), 8)
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file in which MLflow has made its tables, which takes seconds. Copy it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def mlflow_store(empty_store: Path, tmp_path: Path) -> str:
    """The address of an empty MLflow store, connected to."""
    from image_classification import tracking

    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    tracking.connect(uri)
    return uri


@pytest.fixture
def storage(tmp_path: Path, cells: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage root in force, where `cells` have arrived, with the `test` environment."""
    monkeypatch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("KEDRO_ENV", "test")
    deliver_cells(cells, tmp_path / "storage")
    return tmp_path / "storage"


@pytest.fixture(autouse=True)
def _forget_mlflow_state() -> Iterator[None]:
    """Leave no active run, tracking address or experiment to the next test."""
    yield
    forget_mlflow_state()
