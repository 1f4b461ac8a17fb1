"""Measure where the seconds of a session go."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from image_classification import tracking
from image_classification.hooks.tracking import logger
from image_classification.tracking.timing import Stopwatch


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
