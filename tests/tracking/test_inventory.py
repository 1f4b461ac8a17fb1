"""All runs and models of an experiment are found, and the files of each."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from image_classification import tracking

pytestmark = pytest.mark.usefixtures("mlflow_store")


def test_runs_that_were_deleted_are_listed_and_those_that_run_are_named(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking.list_runs("none") == []
    assert tracking.list_models("none") == []
    place = str(tmp_path_factory.mktemp("artifacts"))
    experiment = tracking.open_experiment("some", artifact_location=place)
    runs = [tracking.open_run(experiment, f"dag/{name}", name, {}) for name in ("a", "b", "c")]
    tracking.fail_run(runs[0], "it failed")
    MlflowClient().delete_run(runs[1])
    monkeypatch.setattr("image_classification.tracking.inventory.PAGE", 2)
    assert set(tracking.list_runs("some")) == set(runs)
    assert tracking.list_running("some") == ["c"]


def test_files_are_found_at_any_depth_and_get_another_content(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = str(tmp_path_factory.mktemp("artifacts"))
    run_id = tracking.open_run(
        tracking.open_experiment("some", artifact_location=place), "dag/a", "a", {}
    )
    for path in ("top.txt", "one/two/three.txt"):
        tracking.replace_artifact(run_id, path, b"first")
    assert tracking.list_artifact_paths(run_id) == ["one/two/three.txt", "top.txt"]
    tracking.replace_artifact(run_id, "one/two/three.txt", b"second")
    assert tracking.read_artifact(run_id, "one/two/three.txt") == b"second"


def test_a_model_without_files_is_none() -> None:
    with tracking.fetch_model("m-unknown") as folder:
        assert folder is None
