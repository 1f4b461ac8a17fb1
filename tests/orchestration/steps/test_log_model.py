from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro_datasets.pickle import PickleDataset

from image_classification import tracking
from image_classification.champion import registry
from image_classification.errors import RegistryError
from image_classification.orchestration.kedro_run import KedroRun


def log_again(monkeypatch: pytest.MonkeyPatch, folder: Path, logged_digest: str) -> str:
    """Log the model of a run that has logged one, of a network with this digest, before."""
    (folder / "network").write_bytes(b"the network now")
    monkeypatch.setattr(tracking, "find_logged_model", lambda *_: "m-1")
    monkeypatch.setattr(tracking, "read_tag", lambda _run, _key: logged_digest)
    version = SimpleNamespace(version="3")
    monkeypatch.setattr(registry, "register_challenger", lambda *_: version)
    run = KedroRun(folder, "retraining", "retraining", "manual__1", "http://airflow", {}, "run")
    run.__dict__["_context"] = SimpleNamespace(params={"registered_model_name": "cells"})
    run.__dict__["_catalog"] = DataCatalog(
        {
            "golden_cells": MemoryDataset("some cells"),
            "network": PickleDataset(filepath=str(folder / "network")),
            "data_summary": MemoryDataset(
                {
                    "data_digest": "tonight",
                    "images": 800,
                    "patients": 40,
                    "captured_until": "2015-12-07",
                    "index_until": "2026-11-22T02:00:00+00:00",
                    "batches": ["first"],
                    "splits": {"train": {"digest": "rows"}},
                    "split_rule": {"split_salt": "salt"},
                }
            ),
        }
    )
    return run.log_model()


def test_a_retry_registers_the_model_already_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"the network now").hexdigest()
    assert log_again(monkeypatch, tmp_path, digest) == "3"


def test_a_run_that_was_trained_again_after_its_model_was_logged_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match=r"of another network.*Trigger a new run"):
        log_again(monkeypatch, tmp_path, "digest of the network before")
