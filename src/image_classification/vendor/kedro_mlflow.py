"""kedro-mlflow: what it does after a whole run, to be done once, after single nodes.

Relied on: `MlflowHook.after_pipeline_run`, its flags `_is_mlflow_enabled` and
`_already_active_mlflow`, and `_logger`. Tried with kedro-mlflow 2.0.3. It can go when kedro-mlflow
logs a PipelineML by a public function.
"""

from __future__ import annotations

import logging
from typing import Any

from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from kedro_mlflow.pipeline.pipeline_ml import PipelineML


def log_pipeline_model(pipeline: PipelineML, catalog: Any) -> None:
    """Log the model of a PipelineML to the active MLflow run, which goes on.

    No task of a DAG runs a whole pipeline, and a slice of a PipelineML cannot be trusted with it:
    it is refused without the node that makes the network, and logs the model again with it.

    Args:
        pipeline: made by `pipeline_ml_factory`, with all that it says of the model.
        catalog: holds the network and all else that the inference pipeline needs.
    """
    pipeline.log_model_kwargs["input_example"] = catalog.load(pipeline.input_name)
    _ModelHook().after_pipeline_run({}, pipeline, catalog)


class _ModelHook(MlflowHook):
    """The hook, told that somebody else has opened the run and will close it."""

    def __init__(self) -> None:
        super().__init__()
        self._is_mlflow_enabled = True
        self._already_active_mlflow = True

    @property
    def _logger(self) -> logging.Logger:
        """A log that nobody reads: the hook would warn that it does not close the run."""
        silent = logging.getLogger(f"{__name__}.silent")
        silent.disabled = True
        return silent
