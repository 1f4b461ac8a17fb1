"""The model that a run has logged."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from registry_store import log_model, open_run

from image_classification import tracking

pytestmark = pytest.mark.usefixtures("store")


def test_the_logged_model_of_a_run_is_found() -> None:
    run_id = open_run("x")
    model_id = log_model(run_id)
    assert tracking.find_logged_model(run_id) == model_id
    assert tracking.find_logged_model(open_run("other")) is None


def test_a_model_whose_upload_was_cut_short_does_not_count() -> None:
    run_id = open_run("x")
    experiment = MlflowClient().get_run(run_id).info.experiment_id
    MlflowClient().create_logged_model(experiment, name="model", source_run_id=run_id)
    assert tracking.find_logged_model(run_id) is None
    assert MlflowClient().search_logged_models([experiment]) == []
