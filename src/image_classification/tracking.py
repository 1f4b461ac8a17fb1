"""MLflow runs: where they are kept, and the one run of a DAG run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlparse

import mlflow
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import LoggedModelStatus, Metric, RunStatus
from mlflow.exceptions import MlflowException

from image_classification.errors import TrackingError
from image_classification.index import SPLITS, digest_images

logger = logging.getLogger(__name__)

AIRFLOW_RUN_TAG = "airflow.run"
"""Tag of an MLflow run that names its DAG run: ``<dag_id>/<run_id>``."""

AIRFLOW_URL_TAG = "airflow.url"
OUTCOME_TAG = "outcome"
WATCH_TAG = "champion_watch"
COMMAND_TAG = "kedro_command"
NETWORK_TAG = "network_digest"
NODE_TAGS = ("node_names", "project_path", "run_id", "runner", "runtime_params")
NOTE_TAG = "mlflow.note.content"
IMAGES_ARTIFACT = "data/images.parquet"
MOST_METRICS = 1000
"""Points that MLflow takes in one request."""


def locate_artifacts(tracking_uri: str, storage_root: str) -> str | None:
    """Return where a new experiment keeps its artifacts: the server's choice when there is one."""
    if urlparse(tracking_uri).scheme in ("http", "https"):
        return None
    return f"{storage_root}/mlflow/artifacts"


def prepare_store(tracking_uri: str) -> None:
    """Check that the tracking store can be used, before MLflow's own patient retries.

    Raises:
        TrackingError: a server does not answer, or an SQLite file cannot be made.
    """
    location = urlparse(tracking_uri)
    if location.scheme == "sqlite":
        path = tracking_uri.removeprefix("sqlite:///")
        if "://" in path:
            raise TrackingError(
                f"SQLite cannot keep the MLflow store at '{path}'. Where the storage root is not a "
                "local folder, name an MLflow server in MLFLOW_TRACKING_URI."
            )
        folder = Path(path).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrackingError(
                f"The MLflow store '{tracking_uri}' cannot be made: {error}. Name another in "
                "MLFLOW_TRACKING_URI, or another storage root in IMAGE_CLASSIFICATION_STORAGE."
            ) from error
    elif location.scheme in ("http", "https"):
        try:
            requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=10).raise_for_status()
        except requests.RequestException as error:
            raise TrackingError(
                f"The MLflow server at '{tracking_uri}' does not answer ({error}). Start it "
                "('make up'), or correct MLFLOW_TRACKING_URI; without that variable a local "
                "SQLite store is used."
            ) from error


def connect(tracking_uri: str) -> None:
    """Use this tracking store and registry, outside Kedro."""
    mlflow.set_tracking_uri(tracking_uri)


def find_run(experiment_name: str, airflow_run: str) -> str | None:
    """Return the id of the MLflow run of a DAG run, or None."""
    experiment = mlflow.get_experiment_by_name(experiment_name)
    if experiment is None:
        return None
    runs = MlflowClient().search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.`{AIRFLOW_RUN_TAG}` = '{airflow_run}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return runs[0].info.run_id if runs else None


def open_run(experiment_name: str, airflow_run: str, run_name: str, tags: Mapping[str, str]) -> str:
    """Find the MLflow run of a DAG run or create it, and set it running. Safe to repeat.

    Args:
        experiment_name: an existing experiment.
        airflow_run: ``<dag_id>/<run_id>``, the key.
        run_name: shown in MLflow.
        tags: set on the run.

    Returns:
        The id of the MLflow run.
    """
    client = MlflowClient()
    run_id = find_run(experiment_name, airflow_run)
    if run_id is None:
        experiment = mlflow.get_experiment_by_name(experiment_name)
        if experiment is None:
            raise TrackingError(f"MLflow experiment '{experiment_name}' does not exist.")
        run = client.create_run(
            experiment.experiment_id,
            run_name=run_name,
            tags={AIRFLOW_RUN_TAG: airflow_run, **tags},
        )
        logger.info("Created MLflow run %s", run.info.run_id)
        return str(run.info.run_id)
    logger.info("Found MLflow run %s, begun by an earlier try", run_id)
    tag_run(run_id, tags)
    keep_running(run_id)
    return run_id


def keep_running(run_id: str) -> None:
    """Leave a run, with the status RUNNING: one task of several has ended, not the run.

    kedro-mlflow activates a run once for the session and once more for each node, and ends it
    once; whatever is left active would be set FINISHED when the process exits.
    """
    running = RunStatus.to_string(RunStatus.RUNNING)
    while mlflow.active_run():
        mlflow.end_run(running)
    MlflowClient().update_run(run_id, status=running)


@contextmanager
def resume_run(run_id: str) -> Iterator[None]:
    """Make a run the active one for a while; it goes on running after."""
    mlflow.start_run(run_id=run_id)
    try:
        yield
    finally:
        keep_running(run_id)


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

    kedro-mlflow's tags speak of the last node alone; they give way to the command that repeats
    the whole run.

    Args:
        run_id: the run.
        succeeded: FINISHED, or else FAILED.
        command: repeats the run without Airflow.

    Returns:
        The status.
    """
    client = MlflowClient()
    tags = client.get_run(run_id).data.tags
    for key in NODE_TAGS:
        if key in tags:
            client.delete_tag(run_id, key)
    client.set_tag(run_id, COMMAND_TAG, command)
    status = str(RunStatus.to_string(RunStatus.FINISHED if succeeded else RunStatus.FAILED))
    client.set_terminated(run_id, status)
    return status


def log_images(images: pd.DataFrame) -> None:
    """Name the images that the active run works on: a dataset per split, and the whole table.

    Args:
        images: one row per image, with `image_id`, `label` and `split`.
    """
    run_id = active_run_id()
    if run_id is None:
        return
    # A plain address would be tried as a local file, as a server's, and so on, with warnings.
    source = CodeDatasetSource({"run_id": run_id, "artifact": IMAGES_ARTIFACT})
    for split, context in zip(SPLITS, ("training", "validation", "test"), strict=True):
        rows = images[images["split"] == split].reset_index(drop=True)
        dataset = from_pandas(
            rows[["image_id", "label", "patient"]],
            source=source,
            targets="label",
            name=f"{context} images",
            digest=digest_images(rows),
        )
        mlflow.log_input(dataset, context=context)
    with TemporaryDirectory() as folder:
        path = Path(folder, Path(IMAGES_ARTIFACT).name)
        images.to_parquet(path, index=False)
        mlflow.log_artifact(str(path), Path(IMAGES_ARTIFACT).parent.as_posix())


def log_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Log metrics with their whole history to the active run, a thousand points a request.

    A point that the run has already is left as it is.

    Args:
        curves: by metric, points of `value`, `step` and `timestamp_ms`.
    """
    run_id = active_run_id()
    if run_id is None:
        return
    points = [
        Metric(name, point["value"], point["timestamp_ms"], point["step"])
        for name, curve in curves.items()
        for point in curve
    ]
    for start in range(0, len(points), MOST_METRICS):
        MlflowClient().log_batch(run_id, metrics=points[start : start + MOST_METRICS])


def read_images(run_id: str) -> pd.DataFrame | None:
    """Return the table that `log_images` logged for a run, or None."""
    content = read_artifact(run_id, IMAGES_ARTIFACT)
    return None if content is None else pd.read_parquet(BytesIO(content))


def log_json(run_id: str, content: Mapping[str, Any], path: str) -> None:
    """Keep a dictionary as an artifact of a run, whether it is active or not."""
    MlflowClient().log_dict(run_id, dict(content), path)


def attach_table(model_id: str, table: pd.DataFrame, name: str) -> None:
    """Keep a table with a logged model, as a Parquet file among its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        table.to_parquet(path, index=False)
        MlflowClient().log_model_artifact(model_id, str(path))


def fail_run(run_id: str, outcome: str) -> None:
    """Say on a run that has ended that it failed after all, and how."""
    client = MlflowClient()
    for key in (OUTCOME_TAG, NOTE_TAG):
        client.set_tag(run_id, key, outcome)
    client.set_terminated(run_id, RunStatus.to_string(RunStatus.FAILED))


def read_artifact(run_id: str, path: str) -> bytes | None:
    """Return the content of an artifact of a run, or None where there is none."""
    folder = Path(path).parent.as_posix()
    try:
        known = MlflowClient().list_artifacts(run_id, None if folder == "." else folder)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None  # the run was deleted for good
        raise
    if path not in {file.path for file in known}:
        return None
    with TemporaryDirectory() as target:
        found = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path=path, dst_path=target
        )
        return Path(found).read_bytes()


def read_uri() -> str:
    """Return the address of the tracking store in use."""
    return str(mlflow.get_tracking_uri())


def locate_artifact(run_id: str, path: str) -> str:
    """Return the address of a run's artifact on MLflow's page, or its path where none shows it."""
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme not in ("http", "https"):
        return f"{MlflowClient().get_run(run_id).info.artifact_uri}/{path}"
    return f"{locate_run(run_id)}/artifacts/{path}"


def locate_artifact_file(run_id: str, path: str) -> str | None:
    """Return the address of the file itself, to show as a picture; None without a server."""
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme not in ("http", "https"):
        return None
    return f"{uri.rstrip('/')}/get-artifact?path={quote(path, safe='')}&run_uuid={run_id}"


def tag_run(run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags on a run."""
    client = MlflowClient()
    for key, value in tags.items():
        client.set_tag(run_id, key, value)


def read_tag(run_id: str, key: str) -> str | None:
    """Return a tag of a run, or None."""
    return MlflowClient().get_run(run_id).data.tags.get(key)


def active_run_id() -> str | None:
    """Return the id of the run that is active in this process, if any."""
    run = mlflow.active_run()
    return run.info.run_id if run else None


def locate_run(run_id: str) -> str:
    """Return the address of a run's page, or its id where no server shows it."""
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme not in ("http", "https"):
        return f"MLflow run {run_id} in {uri}"
    experiment_id = MlflowClient().get_run(run_id).info.experiment_id
    return f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def find_logged_model(run_id: str) -> str | None:
    """Return the id of the model that a run has logged, or None.

    A model whose upload was cut short is deleted: it never becomes ready.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    models = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    ready = [model for model in models if model.status == LoggedModelStatus.READY]
    for model in models:
        if model.status != LoggedModelStatus.READY:
            logger.warning("Deleting logged model %s: its upload was cut short", model.model_id)
            client.delete_logged_model(model.model_id)
    return ready[0].model_id if ready else None
