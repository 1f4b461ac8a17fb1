"""Runs and models are removed with their files, once and for all, and nothing beside them is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from registered import log_model
from registry_store import EXPERIMENT, open_run

from image_classification import tracking
from image_classification.errors import TrackingError
from image_classification.tracking import cleanup

pytestmark = pytest.mark.usefixtures("store")


def find_experiment() -> str:
    return tracking.open_experiment(EXPERIMENT)


def test_a_run_tells_when_it_ended_and_whether_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "PAGE", 2)
    ended, failed, goes_on, deleted = (open_run(name) for name in "abcd")
    tracking.log_parameters(ended, {"image_size_px": 64})
    tracking.close_run(ended, True, "kedro run")
    tracking.fail_run(failed, "it failed")
    tracking.close_run(deleted, True, "kedro run")
    MlflowClient().delete_run(deleted)
    found = {run["run_id"]: run for run in tracking.list_run_facts(find_experiment())}
    assert found.keys() == {ended, failed, goes_on}
    end = MlflowClient().get_run(ended).info.end_time
    assert found[ended] == {
        "run_id": ended,
        "key": "retraining/a",
        "ended_at": tracking.tell_time(end),
        "params": {"image_size_px": "64"},
    }
    assert found[failed]["ended_at"]
    assert found[goes_on]["ended_at"] == ""


def test_the_logged_models_of_an_experiment_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "MODELS", 1)
    run_id = open_run("a")
    models = {log_model(run_id), log_model(run_id)}
    found = tracking.list_model_facts(find_experiment())
    assert {model["model_id"] for model in found} == models
    assert {model["run_id"] for model in found} == {run_id}
    assert all(model["created_at"].startswith("20") for model in found)


def test_a_run_goes_with_its_files_and_no_other(tmp_path: Path) -> None:
    run_id, other = open_run("a"), open_run("b")
    for run in (run_id, other):
        tracking.replace_artifact(run, "data/images.parquet", b"rows")
    tracking.remove_run(run_id)
    assert not tracking.is_active_run(run_id)
    assert tracking.list_artifact_paths(run_id) == []
    assert tracking.list_artifact_paths(other) == ["data/images.parquet"]
    assert tracking.is_active_run(other)
    tracking.remove_run(run_id)
    tracking.remove_run("0" * 32)


def test_a_model_goes_with_its_files_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}")
    run_id = open_run("a")
    model_id, other = log_model(run_id, tmp_path), log_model(run_id, tmp_path)
    place = Path(MlflowClient().get_logged_model(model_id).artifact_location)
    assert (place / "MLmodel").exists()
    tracking.remove_model(model_id)
    assert not (place / "MLmodel").exists()
    assert not tracking.is_model_ready(model_id)
    with tracking.fetch_model(other) as folder:
        assert folder is not None
    tracking.remove_model(model_id)


@pytest.mark.parametrize("place", ["s3://cells/1", "mlflow-artifacts:/1/r1x/artifacts", "/data"])
def test_files_are_removed_only_where_the_address_names_their_run(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(cleanup, "delete_files", removed.append)

    class Client:
        def get_run(self, _: str) -> Any:
            info = SimpleNamespace(artifact_uri=place, lifecycle_stage="active")
            return SimpleNamespace(info=info)

    monkeypatch.setattr(cleanup, "MlflowClient", Client)
    with pytest.raises(TrackingError, match="nothing was removed"):
        tracking.remove_run("r1")
    assert removed == []
