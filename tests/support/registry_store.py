"""An MLflow store that is put back before each test, and versions in it that nobody trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from registered import log_model
from storage_root import copy_database

from image_classification import tracking
from image_classification.champion import registry

MODEL, EXPERIMENT = "cells", "experiment"

SUMMARY = {
    "data_digest": "d1d1",
    "images": 800,
    "patients": 40,
    "captured_until": "2015-10-03",
    "index_until": "2026-11-22T02:00:00+00:00",
    "batches": ["first", "second"],
    "splits": {"train": {"digest": "t1"}, "validation": {"digest": "v1"}},
    "split_rule": {"split_salt": "salt"},
}
"""Of the images of a run, as `select_images` makes it."""


class Store:
    """An MLflow store on SQLite, and a folder for a ledger, always at the same place.

    MLflow makes the tables of a new store in two seconds and keeps a connection to each: one store
    whose content is put back costs a test milliseconds.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.ledger = folder / "ledger"
        self.connect()
        MlflowClient().create_experiment(EXPERIMENT, artifact_location=str(folder / "artifacts"))

    def connect(self) -> None:
        """Let MLflow use it."""
        tracking.connect(self.uri)

    def keep(self, name: str) -> None:
        """Keep what the store holds now, and the folders beside it."""
        kept = self.folder / "kept" / name
        kept.mkdir(parents=True)
        copy_database(self.folder / "mlflow.db", kept / "mlflow.db")
        for part in self._list_parts(self.folder):
            shutil.copytree(part, kept / part.name)

    def has(self, name: str) -> bool:
        """Tell whether something was kept under a name."""
        return (self.folder / "kept" / name).exists()

    def put_back(self, name: str) -> None:
        """Put back what was kept under a name, and let MLflow use it."""
        kept = self.folder / "kept" / name
        copy_database(kept / "mlflow.db", self.folder / "mlflow.db")
        for part in self._list_parts(self.folder):
            shutil.rmtree(part)
        for part in self._list_parts(kept):
            shutil.copytree(part, self.folder / part.name)
        self.connect()

    @staticmethod
    def _list_parts(folder: Path) -> list[Path]:
        """Return the folders that belong to what the store holds."""
        return [path for path in folder.iterdir() if path.is_dir() and path.name != "kept"]


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store as its last user left it; `empty` is kept in it."""
    made = Store(tmp_path_factory.mktemp("store"))
    made.keep("empty")
    return made


@pytest.fixture
def store(shared_store: Store) -> Store:
    """The store with an experiment, and nothing else in it; MLflow uses it."""
    shared_store.put_back("empty")
    return shared_store


def open_run(name: str) -> str:
    """Open the MLflow run of a DAG run of this name; return its id."""
    return tracking.open_run(tracking.open_experiment(EXPERIMENT), f"retraining/{name}", name, {})


def register(
    name: str,
    images: pd.DataFrame | None = None,
    index_until: str = "",
    files: Path | None = None,
) -> tuple[str, str]:
    """Register a model as challenger; return its MLflow run and its version.

    Args:
        name: of the run.
        images: that the run says it has worked on.
        index_until: when the index was last added to.
        files: a folder whose files become those of the model.
    """
    run_id = open_run(name)
    model_id = log_model(run_id, files)
    if images is not None:
        with tracking.resume_run(run_id):
            tracking.log_images(images)
    tags = {}
    if index_until:
        tags = {registry.DIGEST_TAG: SUMMARY["data_digest"]}
        tracking.log_json(run_id, SUMMARY | {"index_until": index_until}, tracking.SUMMARY_ARTIFACT)
    return run_id, str(registry.register_challenger(MODEL, model_id, tags).version)
