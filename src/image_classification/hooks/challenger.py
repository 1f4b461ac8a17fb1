"""What happens to a model after a whole run."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification import tracking
from image_classification.champion import registry
from image_classification.champion.record import RunOfRecord
from image_classification.champion.release import Release
from image_classification.gate.trend import describe_watch
from image_classification.hooks.tracking import logger
from image_classification.vendor.kedro_mlflow import log_pipeline_model

SLICES = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")


class ChallengerHook:
    """After a whole run: package and register what was trained, decide what was compared.

    Under Airflow no task runs a whole pipeline, and the tasks after the nodes do this.
    """

    @hook_impl(wrapper=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Log the model of a PipelineML; and do the rest once kedro-mlflow has ended the run."""
        if any(run_params.get(name) for name in SLICES):
            return (yield)
        run_id, experiment_id = tracking.active_run_id(), tracking.active_experiment_id()
        if run_id and isinstance(pipeline, PipelineML):
            with tracking.log_model_frugally():
                log_pipeline_model(pipeline, catalog)
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
