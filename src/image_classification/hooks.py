"""Kedro hooks: checks before any work, and what happens to a model after a whole run."""

from __future__ import annotations

import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification import registry, tracking
from image_classification.errors import ConfigurationError, name_near_misses
from image_classification.parameters import check_parameters
from image_classification.record import RunOfRecord
from image_classification.release import Release
from image_classification.trend import describe_watch

logger = logging.getLogger(__name__)

GLOBALS = ("storage_root", "incoming", "images", "registered_model_name")
INDEX_DATASETS = {
    *("collected_batches", "image_inspections", "batch_screenings", "image_index"),
    *("packed_pixels", "recorded_reviews"),
}
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
        server = context.config_loader["mlflow"].get("server", {})
        tracking.prepare_store(server.get("mlflow_tracking_uri") or "")

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


class ChallengerHook:
    """After a whole run: package and register what was trained, decide what was compared.

    Under Airflow no task runs a whole pipeline, and the tasks after the nodes do this.
    """

    @hook_impl(trylast=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Give each session of a process an MLflow run of its own."""
        # Nested, kedro-mlflow activates the run once more for each node and leaves those active:
        # the next session would write into the run of this one.
        context.mlflow.tracking.run.nested = False  # type: ignore[attr-defined]

    @hook_impl(wrapper=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Wrap kedro-mlflow's hook, which logs the model of a PipelineML and ends the run."""
        if any(run_params.get(name) for name in SLICES):
            return (yield)
        run_id = tracking.active_run_id()
        if isinstance(pipeline, PipelineML):
            pipeline.log_model_kwargs["input_example"] = catalog.load(pipeline.input_name)
        result = yield
        if run_id:
            try:
                self._follow_up(pipeline, catalog, run_id)
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
        self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], run_id: str
    ) -> None:
        release = Release.open(catalog, RunOfRecord(run_id))
        version, outcome = "", ""
        if isinstance(pipeline, PipelineML):
            tags = registry.describe_data(catalog.load("data_summary"))
            golden = catalog.load("golden_cells")
            challenger = registry.register_challenger(release.model_name, run_id, tags, golden)
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
