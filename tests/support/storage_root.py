"""Storage roots that are prepared once, and copied for who changes them."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

STORE = Path("mlflow", "mlflow.db")
"""MLflow's SQLite file below a storage root."""


def put_in_force(patch: pytest.MonkeyPatch, storage: Path | str) -> None:
    """Let commands and sessions work over a storage root, with the `test` environment."""
    patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(storage))
    patch.setenv("KEDRO_ENV", "test")


def copy_storage(source: Path, target: Path) -> Path:
    """Copy a storage root, MLflow's store and artifacts included; return the copy.

    MLflow keeps absolute addresses of artifacts: those of the copy point into the copy.
    """
    shutil.copytree(source, target)
    with closing(sqlite3.connect(target / STORE)) as store, store:
        # As SQL text: every address is written out in it.
        script = "\n".join(store.iterdump())
    (target / STORE).unlink()
    with closing(sqlite3.connect(target / STORE)) as store, store:
        store.executescript(script.replace(str(source), str(target)))
    return target


def copy_database(source: Path, target: Path) -> None:
    """Give an SQLite file the content of another, also while MLflow is connected to it."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        new.execute("PRAGMA synchronous = OFF")
        old.backup(new)


def put_back_storage(kept: Path, storage: Path) -> None:
    """Give a storage root what a copy of its folder holds, also while MLflow is connected to it."""
    store = (storage / STORE).parent
    for path in [*storage.iterdir(), *store.iterdir()]:
        if path.is_dir() and path != store:
            shutil.rmtree(path)
        elif path.is_file() and path.parent == storage:
            path.unlink()
    shutil.copytree(
        kept, storage, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(STORE.name)
    )
    copy_database(kept / STORE, storage / STORE)


def use_store(storage: Path, empty_store: Path) -> str:
    """Give a storage root an empty MLflow store; return its address."""
    (storage / STORE).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_store, storage / STORE)
    return f"sqlite:///{storage / STORE}"


def forget_mlflow_state() -> None:
    """Leave no active run, tracking address or experiment behind.

    MLflow keeps an address that was set also in the environment, in MLFLOW_TRACKING_URI.
    """
    if "mlflow" in sys.modules:
        import mlflow

        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        mlflow.tracking.fluent._active_experiment_id = None
        # By the id of a run or model, which a copy of its storage has, too.
        mlflow.tracking._tracking_service.utils._artifact_repos_cache.clear()
    if "image_classification.champion.signature" in sys.modules:
        from image_classification.champion import signature

        signature._signing = None
