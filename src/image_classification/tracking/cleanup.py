"""Remove runs and logged models for good: their files, and then what MLflow lists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, RunStatus
from mlflow.exceptions import MlflowException

from image_classification.errors import TrackingError
from image_classification.tracking.inventory import MODELS, PAGE
from image_classification.tracking.tags import AIRFLOW_RUN_TAG
from image_classification.vendor.mlflow import delete_files


def list_run_facts(experiment_id: str) -> list[dict[str, Any]]:
    """Return what is known of each run of an experiment that is not deleted.

    Returns:
        `run_id`, `key` (of its DAG run, "" for none), `ended_at` (UTC, ISO 8601), "" for a run that
        has not ended; one that was killed is among those; and `params`, as text.
    """
    client, found = MlflowClient(), []
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token)
        for run in page:
            goes_on = RunStatus.from_string(run.info.status) in (
                RunStatus.RUNNING,
                RunStatus.SCHEDULED,
            )
            ended = "" if goes_on else tell_time(run.info.end_time or run.info.start_time)
            key = run.data.tags.get(AIRFLOW_RUN_TAG, "")
            facts = {"run_id": str(run.info.run_id), "key": key, "ended_at": ended}
            found.append({**facts, "params": dict(run.data.params)})
        token = page.token
        if not token:
            return found


def list_model_facts(experiment_id: str) -> list[dict[str, Any]]:
    """Return `model_id`, `run_id` and `created_at` of each logged model that is not deleted."""
    client, found = MlflowClient(), []
    token: str | None = None
    while True:
        page = client.search_logged_models([experiment_id], max_results=MODELS, page_token=token)
        found += [
            {
                "model_id": str(model.model_id),
                "run_id": str(model.source_run_id),
                "created_at": tell_time(model.creation_timestamp),
            }
            for model in page
        ]
        token = page.token
        if not token:
            return found


def tell_time(milliseconds: int) -> str:
    """Return a time of MLflow in UTC, ISO 8601."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def remove_run(run_id: str) -> None:
    """Delete the artifacts of a run, and then the run; to do so twice does no harm.

    Its parameters and measures stay in MLflow's database, where `mlflow gc` removes them.
    """
    client = MlflowClient()
    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return
        raise
    _delete_own(info.artifact_uri, run_id)
    if info.lifecycle_stage != LifecycleStage.DELETED:
        client.delete_run(run_id)


def remove_model(model_id: str) -> None:
    """Delete the files of a logged model, and then the model; to do so twice does no harm."""
    client = MlflowClient()
    try:
        model = client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return
        raise
    _delete_own(model.artifact_location, model_id)
    client.delete_logged_model(model_id)


def _delete_own(uri: str, owner: str) -> None:
    """Delete the files at an address that names their owner, and no other address.

    Raises:
        TrackingError: the address does not name the owner, so that others may lie there, too.
    """
    if owner not in uri.split("/"):
        raise TrackingError(
            f"The files of {owner} lie at '{uri}', where others may lie, too: nothing was removed."
        )
    delete_files(uri)
