"""Write and read the files of a run, and find the addresses of its pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlparse

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.data.pandas_dataset import from_pandas
from mlflow.exceptions import MlflowException

from image_classification.errors import TrackingError
from image_classification.intake.index import SPLITS, digest_images
from image_classification.tracking.active import active_run_id
from image_classification.tracking.store import hide_login

PROFILE_ARTIFACT = "profile/timings.json"

IMAGES_ARTIFACT = "data/images.parquet"

PAGE_ARTIFACT = "night.html"
"""The page of a night, among the artifacts of its run."""

SUMMARY_ARTIFACT = "data/data_summary.json"
"""What the dataset `data_summary` leaves with a run: the facts about its images."""


def log_images(images: pd.DataFrame) -> None:
    """Log the images of the active run: a dataset for each split, and the whole table.

    Without an active run, nothing is logged.

    Args:
        images: one row per image, with `image_id`, `label`, `patient` and `split`.
    """
    run_id = active_run_id()
    if run_id is None:
        return
    # MLflow would try to open a plain address in several ways, and warn about each.
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


def read_images(run_id: str) -> pd.DataFrame | None:
    """Return the table that `log_images` logged for a run, or None."""
    content = read_artifact(run_id, IMAGES_ARTIFACT)
    return None if content is None else pd.read_parquet(BytesIO(content))


def log_json(run_id: str, content: Mapping[str, Any], path: str) -> None:
    """Log a dictionary as an artifact of a run, active or not."""
    MlflowClient().log_dict(run_id, dict(content), path)


def log_page(run_id: str, page: str) -> None:
    """Log the page of a night; one that was logged before is replaced."""
    MlflowClient().log_text(run_id, page, PAGE_ARTIFACT)


def locate_page(run_id: str, experiment_id: str | None = None) -> str:
    """Return the address of the page of a night in MLflow, or "" without a server.

    Args:
        run_id: the run.
        experiment_id: its experiment, if the caller knows it; it saves a request.
    """
    if urlparse(mlflow.get_tracking_uri()).scheme not in ("http", "https"):
        return ""
    return f"{locate_run(run_id, experiment_id)}/artifacts/{PAGE_ARTIFACT}"


def log_file(file: Path, folder: str | None, run_id: str | None = None) -> None:
    """Log a file as an artifact of a run, the active one by default.

    Args:
        file: of this machine.
        folder: among the artifacts; None for their root.
        run_id: the run.
    """
    mlflow.log_artifact(str(file), folder, run_id)


def log_profile(
    run_id: str, tasks: Sequence[Mapping[str, Any]], timings: Sequence[Mapping[str, Any]]
) -> None:
    """Log where the seconds of a run went, as Airflow and as the tasks measured them."""
    log_json(run_id, {"tasks": list(tasks), "timings": list(timings)}, PROFILE_ARTIFACT)


def read_profile(run_id: str) -> dict[str, Any]:
    """Return what `log_profile` logged.

    Raises:
        TrackingError: the run has no profile.
    """
    content = read_artifact(run_id, PROFILE_ARTIFACT)
    if content is None:
        raise TrackingError(
            f"MLflow run {run_id} keeps no {PROFILE_ARTIFACT}: it has not ended yet, or was made "
            "by a version of this project that did not measure."
        )
    profile: dict[str, Any] = json.loads(content)
    return profile


def read_artifact(run_id: str, path: str) -> bytes | None:
    """Return the content of an artifact of a run, or None if there is none."""
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


def locate_artifact(run_id: str, path: str) -> str:
    """Return the address of an artifact on MLflow's page, or its path if there is no server."""
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme not in ("http", "https"):
        return f"{MlflowClient().get_run(run_id).info.artifact_uri}/{path}"
    return f"{locate_run(run_id)}/artifacts/{path}"


def locate_artifact_file(run_id: str, path: str) -> str | None:
    """Return the address of an artifact's file, to show it as a picture; None without a server."""
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme not in ("http", "https"):
        return None
    return f"{hide_login(uri).rstrip('/')}/{link_artifact_file(run_id, path)}"


def link_run(run_id: str) -> str:
    """Return the address of a run's page as MLflow's own pages link it.

    It has no host, so that it holds wherever the store is served, also where no server is known.
    """
    experiment_id = MlflowClient().get_run(run_id).info.experiment_id
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def link_artifact_file(run_id: str, path: str) -> str:
    """Return the address of an artifact's file as MLflow's own pages link it."""
    return f"get-artifact?path={quote(path, safe='')}&run_uuid={run_id}"


def locate_run(run_id: str, experiment_id: str | None = None) -> str:
    """Return the address of a run's page, or its id and its store if there is no server.

    Args:
        run_id: the run.
        experiment_id: its experiment, if the caller knows it; it saves a request.
    """
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme not in ("http", "https"):
        return f"MLflow run {run_id} in {hide_login(uri)}"
    experiment_id = experiment_id or MlflowClient().get_run(run_id).info.experiment_id
    return f"{hide_login(uri).rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
