"""The model that a run has logged."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from image_classification.tracking.metric import first_points
from image_classification.vendor.mlflow import lend_frugal_client

logger = logging.getLogger(__name__)


def log_model_frugally() -> AbstractContextManager[None]:
    """Spare `log_model` requests for a while: this process knows the metrics that it has logged."""
    return lend_frugal_client(lambda run_id, key: first_points.get((run_id, key)))


def describe_inputs() -> ModelSignature:
    """Return what the packaged model takes: images, and a name for each if wanted.

    It takes no parameters: MLflow drops what a caller adds. kedro-mlflow would call whatever a
    parameter `runner` names, and keep every other value for all later calls.
    """
    name = ColSpec(DataType.string, "image_name", required=False)
    return ModelSignature(inputs=Schema([ColSpec(DataType.binary, "image"), name]))


def attach_table(model_id: str, table: pd.DataFrame, name: str) -> None:
    """Add a table to the files of a logged model, as Parquet."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        table.to_parquet(path, index=False)
        MlflowClient().log_model_artifact(model_id, str(path))


def find_logged_model(run_id: str, experiment_id: str | None = None) -> str | None:
    """Return the id of the model that a run has logged, or None.

    A model whose upload was cut short is deleted, since it never becomes ready.

    Args:
        run_id: the run.
        experiment_id: its experiment, if the caller knows it; it saves a request.
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
