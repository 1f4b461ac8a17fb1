"""The one MLflow run of a DAG run, or of a `kedro run`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    LifecycleStage,
    Param,
    Run,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

from image_classification.errors import TrackingError
from image_classification.tracking.metric import first_points, own_runs
from image_classification.tracking.tags import (
    AIRFLOW_RUN_TAG,
    COMMAND_TAG,
    NOTE_TAG,
    OUTCOME_TAG,
    PIPELINE_TAG,
)

logger = logging.getLogger(__name__)

FINISHED = RunStatus.to_string(RunStatus.FINISHED)

LONGEST_PARAMETER = MAX_PARAM_VAL_LENGTH


def find_run(experiment_id: str, airflow_run: str) -> Run | None:
    """Return the MLflow run of a DAG run, or None."""
    runs = MlflowClient().search_runs(
        [experiment_id],
        filter_string=f"tags.`{AIRFLOW_RUN_TAG}` = '{airflow_run}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return runs[0] if runs else None


def open_run(
    experiment_id: str,
    airflow_run: str,
    run_name: str,
    tags: Mapping[str, str],
    check: Callable[[str], None] | None = None,
) -> str:
    """Find the MLflow run of a DAG run, or create it, and set its status to running.

    A task may call this again when it is retried.

    Args:
        experiment_id: the id of an existing experiment.
        airflow_run: ``<dag_id>/<run_id>``, by which the run is found again.
        run_name: the name that MLflow shows.
        tags: the tags to set on the run.
        check: called with the id of a run that is there already, before anything of it is changed.

    Returns:
        The id of the MLflow run.
    """
    run = find_run(experiment_id, airflow_run)
    if run is None:
        created = MlflowClient().create_run(
            experiment_id, run_name=run_name, tags={AIRFLOW_RUN_TAG: airflow_run, **tags}
        )
        logger.info("Created MLflow run %s", created.info.run_id)
        return str(created.info.run_id)
    run_id = str(run.info.run_id)
    if check is not None:
        check(run_id)
    logger.info("Found MLflow run %s, begun by an earlier try", run_id)
    tag_run(run_id, tags)
    if run.info.status != RunStatus.to_string(RunStatus.RUNNING):
        MlflowClient().update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
    return run_id


def start_run(experiment_id: str, run_name: str, tags: Mapping[str, Any]) -> str:
    """Create a run that only this process writes to, make it active, and return its id."""
    run = mlflow.start_run(experiment_id=experiment_id, run_name=run_name, tags=dict(tags))
    first_points.clear()
    own_runs[:] = [run.info.run_id]
    return str(run.info.run_id)


@contextmanager
def explain_refusals() -> Iterator[None]:
    """Turn MLflow's refusal of a changed parameter into an error that says what to do.

    Raises:
        TrackingError: the run has logged another value of a parameter.
    """
    try:
        yield
    except MlflowException as error:
        if "Changing param values is not allowed" not in str(error):
            raise
        raise TrackingError(
            "A parameter was changed since an earlier task of this run logged it, and one run has "
            "one set of parameters. Undo the change, or trigger a new run. MLflow said: "
            f"{error.message}"
        ) from error


def close_run(run_id: str, succeeded: bool, command: str) -> str:
    """Set a run's final status and its end time.

    Args:
        run_id: the run.
        succeeded: whether the status is FINISHED; it is FAILED otherwise.
        command: the command that repeats the run without Airflow.

    Returns:
        The status.
    """
    tag_run(run_id, {COMMAND_TAG: command})
    status = str(RunStatus.to_string(RunStatus.FINISHED if succeeded else RunStatus.FAILED))
    MlflowClient().set_terminated(run_id, status)
    return status


def has_finished(run_id: str) -> bool:
    """Return whether a run has ended well."""
    return bool(MlflowClient().get_run(run_id).info.status == FINISHED)


def log_parameters(run_id: str, parameters: Mapping[str, Any]) -> None:
    """Log parameters in one request; to log the same value again changes nothing.

    Raises:
        MlflowException: the run has another value of a parameter.
    """
    params = [Param(name, str(value)) for name, value in parameters.items()]
    try:
        MlflowClient().log_batch(run_id, params=params)
    except MlflowException as error:
        if "unique constraint" not in str(error).lower():
            raise
        # Another task has logged one of them after MLflow looked, and before it wrote.
        MlflowClient().log_batch(run_id, params=params)


def select_run(experiment_name: str, name: str | None, pipeline: str) -> tuple[str, str]:
    """Return the id and the name of a run: the one named, or the newest one of a pipeline.

    Args:
        experiment_name: the experiment of the run.
        name: ``<dag_id>/<run_id>`` or the id of an MLflow run; None for the newest run.
        pipeline: the pipeline whose newest run is returned.

    Raises:
        TrackingError: there is no such run.
    """
    experiment = MlflowClient().get_experiment_by_name(experiment_name)
    wanted = f"tags.{PIPELINE_TAG} LIKE '%{pipeline}%'"
    if name is not None:
        key = "/".join(re.sub(r"[^A-Za-z0-9_.-]", "-", part) for part in name.split("/", 1))
        by_tag = "/" in name
        wanted = f"tags.`{AIRFLOW_RUN_TAG}` = '{key}'" if by_tag else f"run_id = '{key}'"
    found = experiment and MlflowClient().search_runs(
        [experiment.experiment_id], wanted, order_by=["attributes.start_time DESC"], max_results=1
    )
    if not found:
        remedy = (
            "Name one as <dag>/<DAG run>, or by its MLflow id."
            if name
            else f"Run one: kedro run --pipelines {pipeline}, or the DAG `{pipeline}` in Airflow."
        )
        raise TrackingError(
            f"There is no run of '{name or pipeline}' in the MLflow experiment "
            f"'{experiment_name}'. {remedy} MLFLOW_TRACKING_URI says which MLflow store is used, "
            "or else IMAGE_CLASSIFICATION_STORAGE."
        )
    return str(found[0].info.run_id), str(found[0].info.run_name)


def record_outcome(run_id: str, outcome: str) -> None:
    """Write the outcome of a run, a sentence, where MLflow's page shows it."""
    tag_run(run_id, {OUTCOME_TAG: outcome, NOTE_TAG: outcome})


def fail_run(run_id: str, outcome: str) -> None:
    """End a run as failed, and write how it failed."""
    record_outcome(run_id, outcome)
    MlflowClient().set_terminated(run_id, RunStatus.to_string(RunStatus.FAILED))


def tag_run(run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags on a run, in one request."""
    MlflowClient().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def read_tag(run_id: str, key: str) -> str | None:
    """Return a tag of a run, or None."""
    return MlflowClient().get_run(run_id).data.tags.get(key)


def is_active_run(run_id: str) -> bool:
    """Tell whether there is such a run, and it is not deleted."""
    try:
        stage = MlflowClient().get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise
    return bool(stage == LifecycleStage.ACTIVE)
