"""The run that is active in a process: it was running before, and goes on afterwards."""

from __future__ import annotations

import mlflow
import pytest
from mlflow import MlflowClient

from image_classification import tracking


@pytest.fixture
def experiment(mlflow_store: str) -> str:
    return tracking.open_experiment("cells")


@pytest.fixture
def run_id(experiment: str) -> str:
    return tracking.open_run(experiment, "retraining/manual__1", "a night", {})


def test_a_run_that_is_resumed_is_active_for_a_while_and_goes_on_running(
    experiment: str, run_id: str
) -> None:
    assert tracking.active_run_id() is None
    with tracking.resume_run(run_id):
        assert tracking.active_run_id() == run_id
        assert tracking.active_experiment_id() == experiment
        mlflow.log_metric("accuracy", 0.5)
    assert tracking.active_run_id() is tracking.active_experiment_id() is None
    found = MlflowClient().get_run(run_id)
    assert (found.info.status, found.data.metrics) == ("RUNNING", {"accuracy": 0.5})


def test_a_run_is_left_although_what_it_was_resumed_for_fails(run_id: str) -> None:
    with pytest.raises(ValueError, match="broken"), tracking.resume_run(run_id):
        raise ValueError("broken")
    assert tracking.active_run_id() is None


def test_a_run_is_entered_without_a_request_where_its_experiment_is_known(
    experiment: str, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> None:
        raise AssertionError("MLflow was asked for the run.")

    monkeypatch.setattr(MlflowClient, "get_run", ask)
    tracking.enter_run(run_id, experiment)
    assert tracking.active_run_id() == run_id
    assert tracking.active_experiment_id() == experiment
    tracking.leave_run()
    assert tracking.active_run_id() is None
