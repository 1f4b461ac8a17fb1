"""The model that a run has logged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import (
    LoggedModelStatus,
    Metric,
    Run,
)

from image_classification.tracking.metric import first_points
from image_classification.tracking.run import logger


class _FrugalClient(MlflowClient):
    """Reads a run once, and asks for no history of which the points of step 0 are known."""

    runs: ClassVar[dict[str, Run]] = {}

    def get_run(self, run_id: str) -> Run:
        if run_id not in self.runs:
            self.runs[run_id] = super().get_run(run_id)
        return self.runs[run_id]

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        if known := first_points.get((run_id, key)):
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


def attach_table(model_id: str, table: pd.DataFrame, name: str) -> None:
    """Keep a table with a logged model, as a Parquet file among its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        table.to_parquet(path, index=False)
        MlflowClient().log_model_artifact(model_id, str(path))


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
