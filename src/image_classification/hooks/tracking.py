"""kedro-mlflow's hook, with fewer requests to MLflow."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from image_classification import tracking
from image_classification.vendor.kedro_mlflow import (
    OpenMlflowHook,
    QuietMlflowConfig,
    describe_command,
)

logger = logging.getLogger(__name__)


class MlflowConfig(QuietMlflowConfig):
    """kedro-mlflow's configuration, which opens the experiment only when a run is created."""

    def open_experiment(self) -> str:
        """Return the id of the experiment; create it if it does not exist."""
        experiment = self.tracking.experiment
        creation = experiment.create_experiment_kwargs.model_dump()
        return tracking.open_experiment(
            experiment.name, restore=experiment.restore_if_deleted, **creation
        )


_parameters: ContextVar[dict[str, str]] = ContextVar("parameters")
"""The parameters of the node that is about to run in this thread."""


class TrackingHook(OpenMlflowHook):
    """kedro-mlflow's hook, with fewer requests to MLflow.

    The tags of a run are sent when it is created. The parameters of a node are one request, and the
    metrics that it saves are another. If the configuration names a run (`tracking.run.id`), as in a
    task of a DAG, the hook neither starts nor ends it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Point MLflow to the configured store."""
        config = MlflowConfig.model_validate(context.config_loader["mlflow"])
        config.setup(context)
        # If runs were nested, kedro-mlflow would activate the run once more for each node and leave
        # it active: the next session of this process would write into this run.
        config.tracking.run.nested = False
        given = context.config_loader.runtime_params or {}
        self._experiment_id = given.get("mlflow_experiment_id")
        self.found_active_run = bool(config.tracking.run.id or tracking.active_run_id())
        context.mlflow = self.mlflow_config = config  # type: ignore[attr-defined]

    @hook_impl
    def after_catalog_created(self) -> None:
        """Do nothing: kedro-mlflow would create every dataset, to name those without a name."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Start the run, or go on with the one that the configuration names."""
        tracked = self.mlflow_config.tracking
        names = run_params.get("pipeline_names") or ["__default__"]
        self._logged, self.run_id = {}, None
        if set(names) <= set(tracked.disable_tracking.pipelines):
            super().before_pipeline_run(run_params, pipeline, catalog)
            return
        self.switch_on(tracked.params)
        if tracked.run.id:
            tracking.enter_run(tracked.run.id, self._experiment_id)
        elif not self.found_active_run:
            tags = {key: str(value) for key, value in run_params.items() if value}
            tags[tracking.COMMAND_TAG] = describe_command(run_params)
            name = tracked.run.name or "+".join(names)
            tracking.start_run(self.mlflow_config.open_experiment(), name, tags)
        self.run_id = tracking.active_run_id()

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], is_async: bool
    ) -> None:
        """Log those parameters of the node that this session has not logged yet."""
        parameters: dict[str, str] = {}
        _parameters.set(parameters)
        super().before_node_run(node, catalog, inputs, is_async)
        new = dict(parameters.items() - self._logged.items())
        if new and self.run_id:
            tracking.log_parameters(self.run_id, new)
            self._logged |= new
        tracking.gather_points()

    def take_parameter(self, name: str, value: Any) -> None:
        """Let a parameter wait for the others; treat one that is too long as configured."""
        if len(str(value)) > tracking.LONGEST_PARAMETER:
            super().take_parameter(name, value)
        else:
            _parameters.get()[name] = str(value)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Send the metrics of a node when its last output is saved."""
        if dataset_name == node.outputs[-1]:
            tracking.send_points()

    @hook_impl
    def after_pipeline_run(
        self,
        run_params: dict[str, Any],
        pipeline: Pipeline,  # noqa: ARG002 - as kedro-mlflow has it
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """End the run if this hook has started it. `ChallengerHook` logs its model."""
        if self.mlflow_config.tracking.run.id:
            tracking.leave_run()
        else:
            self.end_run(run_params, catalog)

    @hook_impl
    def on_pipeline_error(
        self,
        error: Exception,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Fail the run if this hook has started it."""
        try:
            tracking.send_points()
        except Exception as unsent:  # noqa: BLE001 - the error of the node is raised
            logger.warning("Metrics that the failed node had saved are lost: %s", unsent)
        if self.mlflow_config.tracking.run.id:
            tracking.leave_run()
        else:
            super().on_pipeline_error(error, run_params, pipeline, catalog)


TRACKING_HOOK = TrackingHook()
"""The hook of this process. There is only one, since it holds the state of the run."""
