"""The model that a run has logged."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from registry_store import log_model, open_run

from image_classification import tracking

pytestmark = pytest.mark.usefixtures("store")


def test_a_model_is_ready_once_all_of_it_is_there() -> None:
    run_id = open_run("x")
    experiment = MlflowClient().get_run(run_id).info.experiment_id
    begun = MlflowClient().create_logged_model(experiment, name="model", source_run_id=run_id)
    assert tracking.is_model_ready(log_model(run_id))
    assert not tracking.is_model_ready(begun.model_id)
    assert not tracking.is_model_ready("m-0123456789abcdef0123456789abcdef")


def test_a_model_whose_upload_was_cut_short_is_deleted_and_what_others_logged_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_id = open_run("x")
    experiment = MlflowClient().get_run(run_id).info.experiment_id
    MlflowClient().create_logged_model(experiment, name="model", source_run_id=run_id)
    strange = log_model(run_id)
    tracking.discard_models(run_id)
    assert [model.model_id for model in MlflowClient().search_logged_models([experiment])] == [
        strange
    ]
    assert f"Model {strange} was logged to this run by something else" in caplog.text


def test_a_file_is_added_to_those_of_a_model(tmp_path: Path) -> None:
    model_id = log_model(open_run("x"))
    (tmp_path / "note.txt").write_text("later")
    tracking.attach_file(model_id, tmp_path / "note.txt")
    assert [file.path for file in MlflowClient().list_logged_model_artifacts(model_id)] == [
        "note.txt"
    ]
