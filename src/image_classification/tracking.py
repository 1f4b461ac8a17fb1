"""MLflow runs: where they are kept, and the one run of a DAG run."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from urllib.parse import quote, urlparse

import mlflow
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import (
    LifecycleStage,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

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
NOTE_TAG = "mlflow.note.content"
PIPELINE_TAG = "pipeline_names"
PROFILE_ARTIFACT = "profile/timings.json"
IMAGES_ARTIFACT = "data/images.parquet"
MOST_METRICS = 1000
"""Points that MLflow takes in one request."""

_own_runs: list[str] = []
_first_points: dict[tuple[str, str], list[Metric]] = {}
"""Points of step 0, by run and metric: all that there are of a run that this process has made."""

LONGEST_PARAMETER = MAX_PARAM_VAL_LENGTH

_gathered: ContextVar[dict[str, list[Metric]] | None] = ContextVar("gathered", default=None)
"""Points that wait, by run, while a node saves; None where each dataset sends its own."""


def locate_artifacts(tracking_uri: str, storage_root: str) -> str | None:
    """Return where a new experiment keeps its artifacts: the server's choice when there is one."""
    if urlparse(tracking_uri).scheme in ("http", "https"):
        return None
    return f"{storage_root}/mlflow/artifacts"


def prepare_store(tracking_uri: str, *, ask: bool = True) -> None:
    """Check that the tracking store can be used, before MLflow's own patient retries.

    Args:
        tracking_uri: of the store.
        ask: a server whether it is well.

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
    elif ask and location.scheme in ("http", "https"):
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


def open_experiment(name: str, *, restore: bool = True, **creation: Any) -> str:
    """Return the id of an experiment, made where it is not there.

    Args:
        name: of the experiment.
        restore: it, where it was deleted.
        creation: arguments of `MlflowClient.create_experiment`.
    """
    client = MlflowClient()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, **creation))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return open_experiment(name, restore=restore)  # another run was quicker
    if restore and experiment.lifecycle_stage == LifecycleStage.DELETED:
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def find_run(experiment_id: str, airflow_run: str) -> Run | None:
    """Return the MLflow run of a DAG run, or None."""
    runs = MlflowClient().search_runs(
        [experiment_id],
        filter_string=f"tags.`{AIRFLOW_RUN_TAG}` = '{airflow_run}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return runs[0] if runs else None


def open_run(experiment_id: str, airflow_run: str, run_name: str, tags: Mapping[str, str]) -> str:
    """Find the MLflow run of a DAG run or create it, and set it running. Safe to repeat.

    Args:
        experiment_id: of an existing experiment.
        airflow_run: ``<dag_id>/<run_id>``, the key.
        run_name: shown in MLflow.
        tags: set on the run.

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
    logger.info("Found MLflow run %s, begun by an earlier try", run_id)
    tag_run(run_id, tags)
    if run.info.status != RunStatus.to_string(RunStatus.RUNNING):
        MlflowClient().update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
    return run_id


def start_run(experiment_id: str, run_name: str, tags: Mapping[str, Any]) -> str:
    """Create a run of this process's own, make it the active one, and return its id."""
    run = mlflow.start_run(experiment_id=experiment_id, run_name=run_name, tags=dict(tags))
    _first_points.clear()
    _own_runs[:] = [run.info.run_id]
    return str(run.info.run_id)


def enter_run(run_id: str, experiment_id: str | None = None) -> None:
    """Make a run that several processes share the active one of this process.

    It is running before, and goes on after: `mlflow.start_run` would read it twice and set its
    status, `mlflow.end_run` would set it again, and MLflow has no public call that does neither.

    Args:
        run_id: the run.
        experiment_id: its experiment, where it is known: MLflow is not asked then.
    """
    info = RunInfo(
        run_id=run_id,
        experiment_id=experiment_id or MlflowClient().get_run(run_id).info.experiment_id,
        user_id="",
        status=RunStatus.to_string(RunStatus.RUNNING),
        start_time=0,
        end_time=None,
        lifecycle_stage=LifecycleStage.ACTIVE,
    )
    _active_runs().append(mlflow.ActiveRun(Run(info, RunData())))  # type: ignore[no-untyped-call]


def leave_run() -> None:
    """Let no run be active in this process; those that were go on."""
    _active_runs().clear()


def _active_runs() -> list[mlflow.ActiveRun]:
    stack: Any = mlflow.tracking.fluent._active_run_stack
    runs: list[mlflow.ActiveRun] = stack.get()
    return runs


@contextmanager
def resume_run(run_id: str, experiment_id: str | None = None) -> Iterator[None]:
    """Make a run the active one for a while, as `enter_run` does; it goes on running after."""
    enter_run(run_id, experiment_id)
    try:
        yield
    finally:
        leave_run()


class _FrugalClient(MlflowClient):
    """Reads a run once, and asks for no history of which the points of step 0 are known."""

    runs: ClassVar[dict[str, Run]] = {}

    def get_run(self, run_id: str) -> Run:
        if run_id not in self.runs:
            self.runs[run_id] = super().get_run(run_id)
        return self.runs[run_id]

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        if known := _first_points.get((run_id, key)):
            return known
        newest = {point.key: point for point in self.get_run(run_id).data._metric_objs}
        if key in newest and newest[key].step == 0:
            return [newest[key]]
        history: list[Metric] = super().get_metric_history(run_id, key)
        return history


@contextmanager
def log_model_frugally() -> Iterator[None]:
    """Let `log_model` ask for little: it links the metrics of a run, at step 0, to the model.

    It reads the run again and again, and the whole history of each metric.
    """
    usual = mlflow.MlflowClient
    mlflow.MlflowClient = _FrugalClient  # type: ignore[misc]
    try:
        yield
    finally:
        mlflow.MlflowClient = usual  # type: ignore[misc]
        _FrugalClient.runs.clear()


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
        succeeded: FINISHED, or else FAILED.
        command: repeats the run without Airflow.

    Returns:
        The status.
    """
    tag_run(run_id, {COMMAND_TAG: command})
    status = str(RunStatus.to_string(RunStatus.FINISHED if succeeded else RunStatus.FAILED))
    MlflowClient().set_terminated(run_id, status)
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
    contexts = ("training", "validation", "test")
    datasets: list[Dataset | None] = []
    for split, context in zip(SPLITS, contexts, strict=True):
        rows = images[images["split"] == split].reset_index(drop=True)
        dataset = from_pandas(
            rows[["image_id", "label", "patient"]],
            source=source,
            targets="label",
            name=f"{context} images",
            digest=digest_images(rows),
        )
        datasets.append(dataset)
    mlflow.log_inputs(datasets, list(contexts), [None] * len(datasets))
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
    log_points(run_id, points)


def make_point(key: str, value: float, step: int = 0, timestamp: int | None = None) -> Metric:
    """Return a point of a metric; now, where no time is named (in milliseconds)."""
    return Metric(key, value, timestamp or int(time.time() * 1000), step)


def log_points(run_id: str, points: Sequence[Metric]) -> None:
    """Log points of metrics, a thousand in a request; together, while they are gathered."""
    gathered = _gathered.get()
    if gathered is not None:
        gathered.setdefault(run_id, []).extend(points)
        return
    for start in range(0, len(points), MOST_METRICS):
        MlflowClient().log_batch(run_id, metrics=points[start : start + MOST_METRICS])
    for point in points:
        if point.step == 0 and run_id in _own_runs:
            _first_points.setdefault((run_id, point.key), []).append(point)


def gather_points() -> None:
    """Let the points that this thread logs wait, until they are sent together."""
    _gathered.set({})


def send_points() -> None:
    """Send the points that wait, and let none wait after."""
    gathered = _gathered.get() or {}
    _gathered.set(None)
    for run_id, points in gathered.items():
        log_points(run_id, points)


def log_parameters(run_id: str, parameters: Mapping[str, Any]) -> None:
    """Log parameters in one request; the same value again changes nothing.

    Raises:
        MlflowException: the run has another value of one.
    """
    params = [Param(name, str(value)) for name, value in parameters.items()]
    try:
        MlflowClient().log_batch(run_id, params=params)
    except MlflowException as error:
        if "unique constraint" not in str(error).lower():
            raise
        # Another task has logged one of them between MLflow's look and its writing.
        MlflowClient().log_batch(run_id, params=params)


def read_images(run_id: str) -> pd.DataFrame | None:
    """Return the table that `log_images` logged for a run, or None."""
    content = read_artifact(run_id, IMAGES_ARTIFACT)
    return None if content is None else pd.read_parquet(BytesIO(content))


def log_json(run_id: str, content: Mapping[str, Any], path: str) -> None:
    """Keep a dictionary as an artifact of a run, whether it is active or not."""
    MlflowClient().log_dict(run_id, dict(content), path)


def log_profile(
    run_id: str, tasks: Sequence[Mapping[str, Any]], timings: Sequence[Mapping[str, Any]]
) -> None:
    """Keep where the seconds of a run went: what Airflow and what the tasks measured."""
    log_json(run_id, {"tasks": list(tasks), "timings": list(timings)}, PROFILE_ARTIFACT)


def read_profile(run_id: str) -> dict[str, Any]:
    """Return what `log_profile` kept.

    Raises:
        TrackingError: the run has none.
    """
    content = read_artifact(run_id, PROFILE_ARTIFACT)
    if content is None:
        raise TrackingError(
            f"MLflow run {run_id} keeps no {PROFILE_ARTIFACT}: it has not ended yet, or was made "
            "by a version of this project that did not measure."
        )
    profile: dict[str, Any] = json.loads(content)
    return profile


def select_run(experiment_name: str, name: str | None, pipeline: str) -> tuple[str, str]:
    """Return the id and the name of a run: one that is named, or the newest of a pipeline.

    Args:
        experiment_name: where to look.
        name: ``<dag_id>/<run_id>`` or the id of an MLflow run; None for the newest.
        pipeline: whose newest run is meant.

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
        raise TrackingError(
            f"There is no run of '{name or pipeline}' in the MLflow experiment "
            f"'{experiment_name}'. Name one as <dag>/<DAG run>, or by its MLflow id. Which MLflow "
            "is asked, MLFLOW_TRACKING_URI says, or else IMAGE_CLASSIFICATION_STORAGE."
        )
    return str(found[0].info.run_id), str(found[0].info.run_name)


def attach_table(model_id: str, table: pd.DataFrame, name: str) -> None:
    """Keep a table with a logged model, as a Parquet file among its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        table.to_parquet(path, index=False)
        MlflowClient().log_model_artifact(model_id, str(path))


def fail_run(run_id: str, outcome: str) -> None:
    """Say on a run that has ended that it failed after all, and how."""
    tag_run(run_id, {OUTCOME_TAG: outcome, NOTE_TAG: outcome})
    MlflowClient().set_terminated(run_id, RunStatus.to_string(RunStatus.FAILED))


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
    """Set tags on a run, in one request."""
    MlflowClient().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def list_metrics(run_id: str) -> set[str]:
    """Return the names of the metrics of a run."""
    return set(mlflow.MlflowClient().get_run(run_id).data.metrics)


def read_tag(run_id: str, key: str) -> str | None:
    """Return a tag of a run, or None."""
    return MlflowClient().get_run(run_id).data.tags.get(key)


def active_experiment_id() -> str | None:
    """Return the id of the experiment of the active run, if any."""
    run = mlflow.active_run()
    return run.info.experiment_id if run else None


def active_run_id() -> str | None:
    """Return the id of the run that is active in this process, if any."""
    run = mlflow.active_run()
    return run.info.run_id if run else None


def locate_run(run_id: str, experiment_id: str | None = None) -> str:
    """Return the address of a run's page, or its id where no server shows it.

    Args:
        run_id: the run.
        experiment_id: its experiment, where it is known: MLflow is not asked then.
    """
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme not in ("http", "https"):
        return f"MLflow run {run_id} in {uri}"
    experiment_id = experiment_id or MlflowClient().get_run(run_id).info.experiment_id
    return f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def find_logged_model(run_id: str, experiment_id: str | None = None) -> str | None:
    """Return the id of the model that a run has logged, or None.

    A model whose upload was cut short is deleted: it never becomes ready.

    Args:
        run_id: the run.
        experiment_id: its experiment, where it is known: MLflow is not asked then.
    """
    client = MlflowClient()
    experiment_id = experiment_id or client.get_run(run_id).info.experiment_id
    models = client.search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    ready = [model for model in models if model.status == LoggedModelStatus.READY]
    for model in models:
        if model.status != LoggedModelStatus.READY:
            logger.warning("Deleting logged model %s: its upload was cut short", model.model_id)
            client.delete_logged_model(model.model_id)
    return ready[0].model_id if ready else None
