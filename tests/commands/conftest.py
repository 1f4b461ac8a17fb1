"""Two storage roots, each made once and put back for every module that uses it.

`laboratory` holds two batches taken in and a champion; `judged` holds three nights that the gate
has judged.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from judged import EXPERIMENT, MODEL, consume, judge_nights
from kedro.framework.session import KedroSession
from mlflow import MlflowClient
from registered import register_version
from shortcuts import quick_sessions
from storage_root import (
    STORE,
    forget_mlflow_state,
    put_back_storage,
    put_in_force,
    use_store,
)
from terminal import call

from image_classification import tracking, vision
from image_classification.champion import registry, verification
from image_classification.commands.console import run_pipeline
from image_classification.configuration.location import find_project_path
from image_classification.local.synthetic import make_cells


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that was delivered: 60 cells of 15 patients. Do not change it."""
    folder = tmp_path_factory.mktemp("delivered")
    make_cells(folder, range(1, 16), 4)
    return folder


@pytest.fixture(scope="session")
def _laboratories(
    tmp_path_factory: pytest.TempPathFactory, delivered: Path, empty_store: Path
) -> tuple[Path, Path]:
    storage = tmp_path_factory.mktemp("laboratory") / "storage"
    with pytest.MonkeyPatch.context() as patch:
        put_in_force(patch, storage)
        tracking.connect(use_store(storage, empty_store))
        told = call("deliver", str(delivered), "--name", "first", "--labelled-by", "Dr. Osei")
        assert told.exit_code == 0, told.output
        assert "Delivered 60 images as batch 'first'" in told.output
        few = tmp_path_factory.mktemp("few")
        make_cells(few, range(16, 18), 2)
        call("deliver", str(few), "--name", "few", "--labelled-by", "Ada")
        run_pipeline("data_processing")
        _make_champion(storage)
    return _keep(storage)


def _keep(storage: Path) -> tuple[Path, Path]:
    """Return a copy of a storage root, to put it back from, and the root."""
    forget_mlflow_state()
    kept = storage.with_name("kept")
    shutil.copytree(storage, kept, symlinks=True)
    return kept, storage


def _make_champion(storage: Path) -> None:
    """Register a network that was never trained, and make it champion."""
    with KedroSession.create(project_path=find_project_path()) as session:
        session.run(pipeline_names=["promotion"], node_names=["select_images"])
    (experiment,) = MlflowClient().search_experiments(filter_string="name != 'Default'")
    (run,) = MlflowClient().search_runs([experiment.experiment_id], max_results=1)
    vision.set_seed(0)
    network = storage / "network.keras"
    vision.build_network("small", 64, 2, 0.0).save(network)
    tags = {"validation_accuracy": "0.5"}
    version = register_version(MODEL, run.info.run_id, tags, network)
    MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, version)


@pytest.fixture(scope="module")
def laboratory(_laboratories: tuple[Path, Path]) -> Path:
    """The storage root, as it was made: MLflow and the configuration know its place already."""
    put_back_storage(*_laboratories)
    return _laboratories[1]


@pytest.fixture(scope="session")
def _sessions_read_once() -> Iterator[None]:
    with quick_sessions():
        yield


@pytest.fixture
def in_laboratory(
    laboratory: Path, _sessions_read_once: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The laboratory in force, with the environment `test`."""
    put_in_force(monkeypatch, laboratory)
    return laboratory


@pytest.fixture(scope="session")
def _judged_roots(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Path, Path]:
    storage = tmp_path_factory.mktemp("judged") / "storage"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "consume_version", consume)
        tracking.connect(use_store(storage, empty_store))
        tracking.open_experiment(
            EXPERIMENT, artifact_location=str(storage / "mlflow" / "artifacts")
        )
        judge_nights(storage)
    return _keep(storage)


@pytest.fixture(scope="module")
def judged(_judged_roots: tuple[Path, Path]) -> Path:
    """The storage root, as it was made."""
    put_back_storage(*_judged_roots)
    return _judged_roots[1]


@pytest.fixture
def in_judged(judged: Path, _sessions_read_once: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The judged nights in force, with the environment `test`; version 2 is champion."""
    put_in_force(monkeypatch, judged)
    monkeypatch.setattr(verification, "consume_version", consume)
    tracking.connect(f"sqlite:///{judged / STORE}")
    MlflowClient().set_registered_model_alias(MODEL, registry.CHAMPION, "2")
    return judged
