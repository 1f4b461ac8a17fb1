"""Kedro hooks: checks before any work, and what happens to a model after a whole run."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from kedro_mlflow.framework.hooks.utils import _generate_kedro_command
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification import registry, tracking
from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.parameters import check_parameters
from image_classification.record import RunOfRecord
from image_classification.release import Release
from image_classification.timing import Stopwatch
from image_classification.trend import describe_watch

logger = logging.getLogger(__name__)

GLOBALS = ("storage_root", "incoming", "images", "registered_model_name")
INDEX_DATASETS = {
    *("collected_batches", "image_inspections", "batch_screenings", "image_index"),
    *("packed_pixels", "recorded_reviews"),
}
COMMANDED = (
    *("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "load_versions"),
    "pipeline_names",
)
SLICES = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")


class CheckHook:
    """Refuse a wrong configuration or a dead MLflow server before any work starts."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Check parameters, globals and the tracking store."""
        for key in context.config_loader.get("globals", {}):
            if key not in GLOBALS:
                raise ConfigurationError(
                    f"conf/*/globals.yml: '{key}' is not a key. Allowed: {', '.join(GLOBALS)}."
                    f"{name_near_misses(key, GLOBALS)}"
                )
        check_parameters(context.config_loader["parameters"])
        mlflow = context.config_loader["mlflow"]
        # Of a run that is open, an earlier task has asked: this one may wait for the server.
        is_open = bool(mlflow.get("tracking", {}).get("run", {}).get("id"))
        uri = mlflow.get("server", {}).get("mlflow_tracking_uri") or ""
        tracking.prepare_store(uri, ask=not is_open)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Refuse a dataset that the catalog does not declare: it would pass in memory, and be lost.

        Raises:
            ConfigurationError: naming the dataset.
        """
        for name in sorted(pipeline.datasets()):
            if name not in catalog:
                raise ConfigurationError(
                    f"Dataset '{name}' is not in conf/base/catalog.yml, and nothing may pass "
                    f"between nodes in memory.{name_near_misses(name, catalog.keys())} Declare it."
                )


class WriterHook:
    """Let one run at a time write the index: two at once would miss what the other adds.

    A lock of the operating system, let go when its process ends, however it ends. It needs a
    storage root that is a folder.
    """

    def __init__(self) -> None:
        self._lock: FileLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Find the lock's place."""
        root = str(context.config_loader["globals"]["storage_root"])
        path = Path(root, "index", ".lock")
        self._lock = None if "://" in root else FileLock(path, thread_local=False)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Wait until no other run writes."""
        if self._lock is None or INDEX_DATASETS.isdisjoint(pipeline.all_outputs()):
            return
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            logger.info("Another run writes the index: waiting for it (%s)", self._lock.lock_file)
            self._lock.acquire()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let others write."""
        self._release()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Let others write."""
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


class MlflowConfig(KedroMlflowConfig):
    """kedro-mlflow's configuration; a run that is created opens its experiment, nothing else."""

    def open_experiment(self) -> str:
        """Return the id of the experiment, made where it is not there."""
        experiment = self.tracking.experiment
        creation = experiment.create_experiment_kwargs.model_dump()
        return tracking.open_experiment(
            experiment.name, restore=experiment.restore_if_deleted, **creation
        )

    def _set_experiment(self) -> None:
        """Leave out what kedro-mlflow asks three times in each session.

        A run that somebody else starts, in a notebook, names its experiment itself.
        """


_parameters: ContextVar[dict[str, str]] = ContextVar("parameters")
"""Of the node that is about to run in this thread."""


class TrackingHook(MlflowHook):
    """kedro-mlflow's hook, which sends what belongs together in one request.

    The tags of a run come with its creation, the parameters of a node are one request, and so are
    the metrics that it saves. A run that is handed in (`tracking.run.id`), as in a task of a DAG,
    is neither started nor ended: it belongs to who handed it in.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Point MLflow to the configured store."""
        config = MlflowConfig.model_validate(context.config_loader["mlflow"])
        config.setup(context)
        # Nested, kedro-mlflow activates the run once more for each node and leaves those active:
        # the next session of this process would write into the run of this one.
        config.tracking.run.nested = False
        given = context.config_loader.runtime_params or {}
        self._experiment_id = given.get("mlflow_experiment_id")
        self._already_active_mlflow = bool(config.tracking.run.id or tracking.active_run_id())
        context.mlflow = self.mlflow_config = config  # type: ignore[attr-defined]

    @hook_impl
    def after_catalog_created(self) -> None:
        """Leave the catalog alone: kedro-mlflow would make every dataset, to name the nameless."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Start the run, or go on with the one that was handed in."""
        tracked = self.mlflow_config.tracking
        names = run_params.get("pipeline_names") or ["__default__"]
        self._logged, self.run_id = {}, None
        if set(names) <= set(tracked.disable_tracking.pipelines):
            super().before_pipeline_run(run_params, pipeline, catalog)
            return
        self._is_mlflow_enabled = True
        self.flatten, self.recursive, self.sep = tracked.params.dict_params.model_dump().values()
        self.long_params_strategy = tracked.params.long_params_strategy
        if tracked.run.id:
            tracking.enter_run(tracked.run.id, self._experiment_id)
        elif not self._already_active_mlflow:
            tags = {key: str(value) for key, value in run_params.items() if value}
            command = _generate_kedro_command(**{key: run_params.get(key) for key in COMMANDED})
            tags[tracking.COMMAND_TAG] = command
            name = tracked.run.name or "+".join(names)
            tracking.start_run(self.mlflow_config.open_experiment(), name, tags)
        self.run_id = tracking.active_run_id()

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], is_async: bool
    ) -> None:
        """Log the parameters of the node that this session has not logged yet."""
        parameters: dict[str, str] = {}
        _parameters.set(parameters)
        super().before_node_run(node, catalog, inputs, is_async)
        new = dict(parameters.items() - self._logged.items())
        if new and self.run_id:
            tracking.log_parameters(self.run_id, new)
            self._logged |= new
        tracking.gather_points()

    def _log_param(self, name: str, value: Any) -> None:
        """Let a parameter wait for the others; one that is too long is treated as configured."""
        if len(str(value)) > tracking.LONGEST_PARAMETER:
            super()._log_param(name, value)
        else:
            _parameters.get()[name] = str(value)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Send the metrics of a node once its last output is saved."""
        if dataset_name == node.outputs[-1]:
            tracking.send_points()

    @hook_impl
    def after_pipeline_run(
        self,
        run_params: dict[str, Any],  # noqa: ARG002 - as kedro-mlflow has it
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Log the model of a PipelineML, and end the run where it was started here."""
        if self.mlflow_config.tracking.run.id:
            tracking.leave_run()
        else:
            self.log_model(pipeline, catalog)

    def log_model(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Do what kedro-mlflow does after a whole run; one that was handed in goes on."""
        with tracking.log_model_frugally():
            super().after_pipeline_run({}, pipeline, catalog)

    @hook_impl
    def on_pipeline_error(
        self,
        error: Exception,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Fail the run where it was started here."""
        try:
            tracking.send_points()
        except Exception as unsent:  # noqa: BLE001 - the error that is told is the first one
            logger.warning("Metrics that the failed node had saved are lost: %s", unsent)
        if self.mlflow_config.tracking.run.id:
            tracking.leave_run()
        else:
            super().on_pipeline_error(error, run_params, pipeline, catalog)


class TimingHook:
    """Measure where the seconds of a session go, and keep that with the run, also of a failed one.

    As one more file of a DAG run, which gathers them at its end; as an artifact of a run of one
    process.
    """

    _watch: Stopwatch

    def __init__(self) -> None:
        self._run_id: str | None = None

    @hook_impl(tryfirst=True)
    def after_context_created(self) -> None:
        """Begin."""
        self._watch = Stopwatch()

    @hook_impl(wrapper=True)
    def before_pipeline_run(self) -> Generator[None, None, None]:
        """Tell the session from what other hooks do before a run."""
        self._watch.book("session")
        result = yield
        self._run_id = tracking.active_run_id()
        self._watch.book("tracking")
        return result

    @hook_impl
    def after_dataset_loaded(self) -> None:
        """An input has been read."""
        self._watch.book("load")

    @hook_impl(trylast=True)
    def before_node_run(self) -> None:
        """The parameters of the node have been logged."""
        self._watch.book("tracking")

    @hook_impl(tryfirst=True)
    def after_node_run(self) -> None:
        """A node has done its work."""
        self._watch.book("compute")

    @hook_impl
    def on_node_error(self) -> None:
        """A node has failed: what it did until then was work."""
        self._watch.book("compute")

    @hook_impl(wrapper=True)
    def after_dataset_saved(self) -> Generator[None, None, None]:
        """Tell the writing of an output from the sending of metrics."""
        self._watch.book("save")
        result = yield
        self._watch.book("tracking")
        return result

    @hook_impl(wrapper=True, tryfirst=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Keep what was measured, the packaging of the model included."""
        result = yield
        self._keep(run_params, catalog, "success")
        return result

    @hook_impl(wrapper=True, tryfirst=True)
    def on_pipeline_error(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Keep what was measured until the failure."""
        result = yield
        self._keep(run_params, catalog, "failed")
        return result

    def _keep(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any], state: str
    ) -> None:
        self._watch.book("tracking")
        nodes, pipelines = run_params.get("node_names"), run_params.get("pipeline_names")
        record = self._watch.describe("+".join(nodes or pipelines or ["__default__"]), state)
        belongs_to_dag_run = "mlflow_run_id" in (run_params.get("runtime_params") or {})
        moment = f"-{record['began']}" if belongs_to_dag_run else ""
        try:
            catalog.save("task_timings", {record["task"] + moment.replace(":", "-"): record})
            if self._run_id and not belongs_to_dag_run:
                tracking.log_profile(self._run_id, [], [record])
        except Exception as error:  # noqa: BLE001 - the work is done, measured or not
            logger.warning("What was measured is not kept: %s", error)


class ChallengerHook:
    """After a whole run: package and register what was trained, decide what was compared.

    Under Airflow no task runs a whole pipeline, and the tasks after the nodes do this.
    """

    @hook_impl(wrapper=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Wrap kedro-mlflow's hook, which logs the model of a PipelineML and ends the run."""
        if any(run_params.get(name) for name in SLICES):
            return (yield)
        run_id, experiment_id = tracking.active_run_id(), tracking.active_experiment_id()
        if isinstance(pipeline, PipelineML):
            pipeline.log_model_kwargs["input_example"] = catalog.load(pipeline.input_name)
        result = yield
        if run_id:
            try:
                self._follow_up(pipeline, catalog, run_id, experiment_id)
            except Exception as error:
                # kedro-mlflow has ended the run as a success before.
                tracking.fail_run(run_id, f"failed: {error}")
                raise
            if "champion_watch" in pipeline.outputs():
                # All runs without Airflow share a folder: what an earlier one decided is there too.
                judged = "comparison" in pipeline.outputs()
                decision = catalog.load("decision") if judged else None
                if sentence := describe_watch(catalog.load("champion_watch"), decision):
                    tracking.tag_run(run_id, {tracking.WATCH_TAG: sentence})
        return result

    def _follow_up(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        run_id: str,
        experiment_id: str | None,
    ) -> None:
        release = Release.open(catalog, RunOfRecord(run_id))
        version, outcome = "", ""
        if isinstance(pipeline, PipelineML):
            tags = registry.describe_data(catalog.load("data_summary"))
            golden = catalog.load("golden_cells")
            challenger = registry.register_challenger(
                release.model_name, run_id, tags, golden, experiment_id
            )
            version = str(challenger.version)
        if "comparison" in pipeline.outputs():
            version = version or catalog.load("comparison")["challenger"]["version"]
            catalog.save("package_measures", release.measure_package(version))
            outcome = release.carry_out(version, release.decide(catalog, version))
        elif "rollback_plan" in pipeline.outputs():
            outcome = release.roll_back(catalog.load("rollback_plan"))
        if outcome:
            logger.info("%s", outcome)
            tracking.tag_run(run_id, {tracking.OUTCOME_TAG: outcome})


TRACKING_HOOK = TrackingHook()
"""The one of this process: kedro-mlflow's hooks keep what they know of the run."""
