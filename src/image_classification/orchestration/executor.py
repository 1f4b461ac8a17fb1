"""An executor whose tasks start with the heavy libraries already imported."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from airflow.configuration import conf
from airflow.executors.local_executor import LocalExecutor

PRELOADED = (
    "tensorflow",
    "keras",
    "mlflow",
    "mlflow.pyfunc",
    "kedro.framework.session",
    "kedro_mlflow.framework.hooks.mlflow_hook",
    "kedro_datasets.tensorflow.tensorflow_model_dataset",
    "matplotlib.figure",
    "sklearn.metrics",
    "image_classification.orchestration.kedro_run",
    "image_classification.plots",
)
"""Imported, never used, before the workers are forked: every task then finds them in memory."""


class PreloadedLocalExecutor(LocalExecutor):
    """LocalExecutor that imports TensorFlow, MLflow and Kedro once, before it forks its workers.

    Importing them takes most of the time of a small task. Nothing is initialised here: no
    thread, session or connection crosses the fork.
    """

    def start(self) -> None:
        """Import, then fork the workers."""
        # Kedro configures logging when it is imported; this configuration touches no handler.
        project_path = Path(conf.get_mandatory_value("core", "dags_folder")).parent
        os.environ.setdefault(
            "KEDRO_LOGGING_CONFIG", str(project_path / "airflow" / "kedro_logging.yml")
        )
        for name in PRELOADED:
            try:
                importlib.import_module(name)
            except Exception as error:  # noqa: BLE001 - a task will meet and report the same
                self.log.warning("Not preloaded, tasks will import it: %s (%s)", name, error)
        super().start()
