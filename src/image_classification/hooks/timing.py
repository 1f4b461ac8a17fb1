"""Measure where the seconds of a session go, by hooks before and after each step."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from image_classification import tracking
from image_classification.configuration import names
from image_classification.hooks.tracking import logger
from image_classification.tracking.timing import Stopwatch


class TimingHook:
    """Measure where the seconds of a session go, and store them with the run, even if it fails.

    A task of a DAG run writes a file, and the last task gathers these files. A `kedro run` logs an
    artifact.
    """

    _watch: Stopwatch

    def __init__(self) -> None:
        self._run_id: str | None = None

    @hook_impl(tryfirst=True)
    def after_context_created(self) -> None:
        """Start the clock."""
        self._watch = Stopwatch()

    @hook_impl(wrapper=True)
    def before_pipeline_run(self) -> Generator[None, None, None]:
        """Separate the start of the session from the work of the other hooks before a run."""
        self._watch.book("session")
        result = yield
        self._run_id = tracking.active_run_id()
        self._watch.book("tracking")
        return result

    @hook_impl
    def after_dataset_loaded(self) -> None:
        """Count the time until now as reading an input."""
        self._watch.book("load")

    @hook_impl(trylast=True)
    def before_node_run(self) -> None:
        """Count the time until now as logging the parameters of the node."""
        self._watch.book("tracking")

    @hook_impl(tryfirst=True)
    def after_node_run(self) -> None:
        """Count the time until now as the work of the node."""
        self._watch.book("compute")

    @hook_impl
    def on_node_error(self) -> None:
        """Count the time until now as the work of the node that failed."""
        self._watch.book("compute")

    @hook_impl(wrapper=True)
    def after_dataset_saved(self) -> Generator[None, None, None]:
        """Separate the writing of an output from the sending of metrics."""
        self._watch.book("save")
        result = yield
        self._watch.book("tracking")
        return result

    @hook_impl(wrapper=True, tryfirst=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Store the measured times, including the packaging of the model."""
        result = yield
        self._keep(run_params, catalog, "success")
        return result

    @hook_impl(wrapper=True, tryfirst=True)
    def on_pipeline_error(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> Generator[None, None, None]:
        """Store the times that were measured until the failure."""
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
            catalog.save(names.TASK_TIMINGS, {record["task"] + moment.replace(":", "-"): record})
            if self._run_id and not belongs_to_dag_run:
                tracking.log_profile(self._run_id, [], [record])
        except Exception as error:  # noqa: BLE001 - the work is done, measured or not
            logger.warning("The measured times could not be stored: %s", error)
