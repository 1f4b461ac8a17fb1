"""The one MLflow run of a DAG run: found or made, and its parameters once."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from image_classification import tracking
from image_classification.errors import TrackingError

KEY = "retraining/manual__1"


@pytest.fixture
def experiment(mlflow_store: str) -> str:
    return tracking.open_experiment("cells")


@pytest.fixture
def run_id(experiment: str) -> str:
    return tracking.open_run(experiment, KEY, "a night", {"env": "test"})


def test_a_second_try_finds_the_run_of_the_first_and_sets_it_running(
    experiment: str, run_id: str
) -> None:
    tracking.close_run(run_id, False, "kedro run")
    assert MlflowClient().get_run(run_id).info.status == "FAILED"
    assert tracking.open_run(experiment, KEY, "a night", {"env": "production"}) == run_id
    found = MlflowClient().get_run(run_id)
    assert found.info.status == "RUNNING"
    assert found.data.tags["env"] == "production"
    assert tracking.open_run(experiment, "retraining/manual__2", "another", {}) != run_id


@pytest.mark.parametrize(("succeeded", "status"), [(True, "FINISHED"), (False, "FAILED")])
def test_a_run_ends_as_the_dag_run_did_with_the_command_that_repeats_it(
    run_id: str, succeeded: bool, status: str
) -> None:
    assert tracking.close_run(run_id, succeeded, "kedro run --params a=1") == status
    found = MlflowClient().get_run(run_id)
    assert found.info.status == status
    assert found.info.end_time is not None
    assert found.data.tags["kedro_command"] == "kedro run --params a=1"


def test_a_run_that_failed_says_how_where_mlflow_shows_it(run_id: str) -> None:
    tracking.fail_run(run_id, "failed: no images")
    found = MlflowClient().get_run(run_id)
    assert found.info.status == "FAILED"
    for tag in ("outcome", "mlflow.note.content"):
        assert tracking.read_tag(run_id, tag) == found.data.tags[tag] == "failed: no images"
    assert tracking.read_tag(run_id, "nothing") is None


def test_the_same_parameter_may_be_logged_again_and_another_value_is_explained(
    run_id: str,
) -> None:
    tracking.log_parameters(run_id, {"epochs": 8, "mode": "auto"})
    tracking.log_parameters(run_id, {"epochs": 8})
    with (
        pytest.raises(TrackingError, match=r"changed since an earlier task.*trigger a new run"),
        tracking.explain_refusals(),
    ):
        tracking.log_parameters(run_id, {"epochs": 9})
    assert MlflowClient().get_run(run_id).data.params == {"epochs": "8", "mode": "auto"}


def test_any_other_refusal_of_mlflow_stays_what_it_is() -> None:
    with pytest.raises(MlflowException, match="no such run"), tracking.explain_refusals():
        raise MlflowException("no such run")


def test_a_run_is_selected_by_its_dag_run_by_its_id_or_as_the_newest(
    experiment: str, run_id: str
) -> None:
    newest = tracking.open_run(
        experiment, "retraining/2026-01-02T03-04", "newest", {"pipeline_names": "retraining"}
    )
    assert tracking.select_run("cells", KEY, "retraining") == (run_id, "a night")
    assert tracking.select_run("cells", run_id, "retraining") == (run_id, "a night")
    # As Airflow writes it, with a colon that no folder may have.
    named = tracking.select_run("cells", "retraining/2026-01-02T03:04", "retraining")
    assert named == tracking.select_run("cells", None, "retraining") == (newest, "newest")


@pytest.mark.parametrize(("experiment_name", "name"), [("cells", "retraining/x"), ("none", None)])
@pytest.mark.usefixtures("run_id")
def test_a_run_that_is_not_there_is_named_with_where_it_was_looked_for(
    experiment_name: str, name: str | None
) -> None:
    with pytest.raises(TrackingError, match=f"no run of .*'{experiment_name}'.*MLFLOW_TRACKING_U"):
        tracking.select_run(experiment_name, name, "retraining")


def test_parameters_that_another_task_logs_in_the_same_moment_are_no_error(
    run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, tries = MlflowClient.log_batch, []

    def lose_the_first(self: MlflowClient, *arguments: Any, **options: Any) -> None:
        tries.append(1)
        send(self, *arguments, **options)
        if len(tries) == 1:
            raise MlflowException("UNIQUE constraint failed: params.key, params.run_uuid")

    monkeypatch.setattr(MlflowClient, "log_batch", lose_the_first)
    tracking.log_parameters(run_id, {"seed": 1})
    assert len(tries) == 2
    assert MlflowClient().get_run(run_id).data.params == {"seed": "1"}
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        tracking.log_parameters(run_id, {"seed": 2})
    assert len(tries) == 3
