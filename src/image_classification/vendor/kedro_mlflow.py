"""kedro-mlflow: its hook and its configuration, cut to what a run needs.

Relied on, tried with kedro-mlflow 2.0.3:

- `MlflowHook._is_mlflow_enabled`, `_already_active_mlflow`, `_log_param`, `_logger`, and its
  attributes `flatten`, `recursive`, `sep` and `long_parameters_strategy`: they can go when
  parameters are logged in one request, and when a run can be handed in by its id.
- `MlflowHook.after_pipeline_run` logs a PipelineML after a whole run only: it can go when that is
  a public function, since no task of a DAG runs a whole pipeline.
- `KedroMlflowConfig._set_experiment` asks MLflow three times for the experiment at each session:
  it can go when the experiment is opened with the run.
- `KedroMlflowConfig.setup` calls `mlflow.autolog(disable=True)`, which fails while Keras is half
  imported: it can go when MLflow's hook waits until Keras is whole.
- `KedroPipelineModel.extract_pipeline_artifacts` names the files of the catalog to MLflow as local
  ones, and the model takes its datasets along: it can go when files of an object store are fetched.
- `_generate_kedro_command`: the command that is shown with a run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kedro.pipeline import Pipeline
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from kedro_mlflow.framework.hooks.utils import _generate_kedro_command
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification.vendor.kedro import copy_file, is_local_file

COMMAND_OPTIONS = (
    "tags",
    "node_names",
    "from_nodes",
    "to_nodes",
    "from_inputs",
    "load_versions",
    "pipeline_names",
)
"""What `_generate_kedro_command` takes, all of it."""


class QuietMlflowConfig(KedroMlflowConfig):
    """kedro-mlflow's configuration, which opens no experiment before a run needs it."""

    def setup(self, context: Any) -> None:
        """Point MLflow to the configured store.

        By default kedro-mlflow switches autologging off. MLflow then waits for each library that it
        could log, to switch it off there: while TensorFlow imports Keras it imports it, too, half
        as it is, fails, and warns ("cannot import name 'cast'"). Nothing is lost by that, for
        autologging is off: only Databricks switches it on.
        """
        if not os.environ.get("DATABRICKS_RUNTIME_VERSION"):
            self.tracking.disable_tracking.disable_autologging = False
        super().setup(context)

    def _set_experiment(self) -> None:
        """Leave the experiment alone."""


class OpenMlflowHook(MlflowHook):
    """kedro-mlflow's hook with public names for what a subclass has to know and change."""

    @property
    def found_active_run(self) -> bool:
        """Whether a run was active, or handed in, before the session: it is not ended then."""
        return bool(self._already_active_mlflow)

    @found_active_run.setter
    def found_active_run(self, found: bool) -> None:
        self._already_active_mlflow = found

    def switch_on(self, params: Any) -> None:
        """Log parameters, as the section `tracking.params` of the configuration says."""
        self._is_mlflow_enabled = True
        self.flatten, self.recursive, self.sep = params.dict_params.model_dump().values()
        self.long_params_strategy = params.long_params_strategy

    def take_parameter(self, name: str, value: Any) -> None:
        """Log one parameter; to be overridden."""
        super()._log_param(name, value)

    def _log_param(self, name: str, value: Any) -> None:
        self.take_parameter(name, value)

    def end_run(self, run_params: dict[str, Any], catalog: Any) -> None:
        """End the active run, unless it was active before the session. No model is logged."""
        MlflowHook.after_pipeline_run(self, run_params, Pipeline([]), catalog)


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


def log_pipeline_model(pipeline: PipelineML, catalog: Any) -> None:
    """Log the model of a PipelineML to the active MLflow run, which goes on.

    No task of a DAG runs a whole pipeline, and a slice of a PipelineML cannot be trusted with it:
    it is refused without the node that makes the network, and logs the model again with it.

    Args:
        pipeline: made by `pipeline_ml_factory`, with all that it says of the model.
        catalog: holds the network and all else that the inference pipeline needs.
    """
    pipeline.log_model_kwargs["input_example"] = catalog.load(pipeline.input_name)
    with _local_files(catalog, pipeline.inference.inputs() - {pipeline.input_name}):
        _ModelHook().after_pipeline_run({}, pipeline, catalog)


@contextmanager
def _local_files(catalog: Any, names: Iterable[str]) -> Iterator[None]:
    """Let these datasets of a catalog be local files for a while, fetched from an object store."""
    remote = {
        name: catalog[name]
        for name in names
        if not name.startswith("params:") and not is_local_file(catalog[name])
    }
    with TemporaryDirectory() as folder:
        try:
            for name, dataset in remote.items():
                catalog[name] = copy_file(dataset, Path(folder))
            yield
        finally:
            for name, dataset in remote.items():
                catalog[name] = dataset


def describe_command(run_params: Mapping[str, Any]) -> str:
    """Return the `kedro run` that these parameters of a run came from."""
    options = {key: run_params.get(key) for key in COMMAND_OPTIONS}
    return str(_generate_kedro_command(**options))
