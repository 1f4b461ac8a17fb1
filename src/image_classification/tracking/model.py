"""The model that a run has logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from image_classification.tracking.metric import first_points
from image_classification.vendor.mlflow import lend_frugal_client

logger = logging.getLogger(__name__)


def log_model_frugally(seal: Callable[[str, Path], None]) -> AbstractContextManager[None]:
    """Spare `log_model` requests for a while: this process knows the metrics that it has logged.

    Args:
        seal: called with the id and the files of the model before they are uploaded.
    """
    return lend_frugal_client(lambda run_id, key: first_points.get((run_id, key)), seal)


def describe_inputs() -> ModelSignature:
    """Return what the packaged model takes: images, and a name for each if wanted.

    It takes no parameters: MLflow drops what a caller adds. kedro-mlflow would call whatever a
    parameter `runner` names, and keep every other value for all later calls.
    """
    name = ColSpec(DataType.string, "image_name", required=False)
    return ModelSignature(inputs=Schema([ColSpec(DataType.binary, "image"), name]))


def attach_file(model_id: str, path: Path) -> None:
    """Add a file to those of a logged model."""
    MlflowClient().log_model_artifact(model_id, str(path))


def is_model_ready(model_id: str) -> bool:
    """Return whether a logged model exists, and whether all of it was uploaded."""
    try:
        status = MlflowClient().get_logged_model(model_id).status
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return bool(status == LoggedModelStatus.READY)


def discard_models(run_id: str, experiment_id: str | None = None) -> None:
    """Delete the models of a run whose upload was cut short, which never become ready.

    Any other model of the run is not of the task that asks: it is named, and left alone.

    Args:
        run_id: the run.
        experiment_id: its experiment, if the caller knows it; it saves a request.
    """
    client = MlflowClient()
    experiment_id = experiment_id or client.get_run(run_id).info.experiment_id
    for model in client.search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    ):
        if model.status == LoggedModelStatus.READY:
            logger.warning(
                "Model %s was logged to this run by something else: it is not used", model.model_id
            )
        else:
            logger.warning("Deleting logged model %s: its upload was cut short", model.model_id)
            client.delete_logged_model(model.model_id)
