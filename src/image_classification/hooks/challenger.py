"""After the nodes of a `kedro run`: log the model, decide, and carry the decision out."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro_mlflow.pipeline.pipeline_ml import PipelineML

from image_classification import tracking
from image_classification.champion.aftermath import Aftermath
from image_classification.champion.statement import DecisionRun, name_user
from image_classification.configuration import names
from image_classification.gate.summary import summarise_decision
from image_classification.gate.trend import describe_watch
from image_classification.hooks.session import read_waiting
from image_classification.pages.night import write_history, write_night
from image_classification.pipelines.purpose import read_purpose, split_at_training
from image_classification.progress import progress

SLICES = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")
"""Options of a run that leave nodes out. No step follows a part of a pipeline."""


class ChallengerHook:
    """After a whole run: register the network that was trained, and judge the comparison.

    Under Airflow no task runs a whole pipeline; there the tasks after the nodes do this.
    """

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Look at the ledger first, where the run may move the champion.

        Raises:
            LedgerError: the ledger lies where two runs could write the same entry.
        """
        run_id, purpose = tracking.active_run_id(), read_purpose(pipeline)
        moves = purpose.decides or purpose.rolls_back
        if run_id is None or not moves or any(run_params.get(name) for name in SLICES):
            return
        try:
            Aftermath(catalog, _describe_run(run_id)).look()
        except Exception as error:
            tracking.fail_run(run_id, f"failed: {error}")
            tracking.leave_run()
            raise

    @hook_impl(wrapper=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Do it while the MLflow run is open, so that a failure here fails that run."""
        run_id = tracking.active_run_id()
        if run_id is None or any(run_params.get(name) for name in SLICES):
            return (yield)
        try:
            self._follow(pipeline, catalog, run_id)
        except Exception as error:
            tracking.fail_run(run_id, f"failed: {error}")
            _write_failed_night(pipeline, catalog, run_id, error)
            tracking.leave_run()
            raise
        return (yield)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(
        self,
        error: Exception,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Write the page of a night that failed, while its MLflow run is known."""
        run_id = tracking.active_run_id()
        if run_id is not None and not any(run_params.get(name) for name in SLICES):
            _write_failed_night(pipeline, catalog, run_id, error)

    def _follow(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], run_id: str) -> None:
        purpose, waiting = read_purpose(pipeline), read_waiting()
        if waiting:
            outcome = f"skipped: {waiting}"
            tracking.record_outcome(run_id, outcome)
        else:
            outcome = Aftermath(catalog, _describe_run(run_id)).follow(
                pipeline if isinstance(pipeline, PipelineML) else None,
                decides=purpose.decides,
                rolls_back=purpose.rolls_back,
            )
        decided = catalog.load(names.DECISION) if purpose.decides and not waiting else None
        _tell(outcome, decided)
        watch = catalog.load(names.CHAMPION_WATCH) if purpose.watches else None
        # All runs without Airflow share a folder: it may hold the decision of an earlier run.
        if watch and (sentence := describe_watch(watch, decided)):
            tracking.tag_run(run_id, {tracking.WATCH_TAG: sentence})
        if purpose.decides:
            # All runs without Airflow share a folder: it may hold what an earlier run has made.
            parts = split_at_training(pipeline) if waiting else None
            done = parts[0] if parts else pipeline
            write_night(catalog, _describe_run(run_id), outcome, done.all_outputs())
        elif purpose.rolls_back:
            write_history(catalog)


def _tell(outcome: str, decision: Mapping[str, Any] | None) -> None:
    """Tell who waits for the run what has come of it."""
    summary = ["", *summarise_decision(decision), ""] if decision else []
    for line in [*summary, outcome] if outcome else summary:
        progress.info("%s", line)


def _write_failed_night(
    pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], run_id: str, error: Exception
) -> None:
    if read_purpose(pipeline).decides:
        write_night(catalog, _describe_run(run_id), f"failed: {error}", made=())


def _describe_run(run_id: str) -> DecisionRun:
    return DecisionRun(run_id, experiment_id=tracking.active_experiment_id(), identity=name_user())
