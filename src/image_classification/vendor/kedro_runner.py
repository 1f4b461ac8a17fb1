"""Kedro's runner without what a request does not need: how the packaged model runs its pipeline.

Relied on, tried with Kedro 1.7.0 and kedro-mlflow 2.0.3: `AbstractRunner._run`, and that
kedro-mlflow looks a runner up by the name of its class, `SequentialRunner` by default. It can go
when a model brings its own way to run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner as KedroSequentialRunner
from pluggy import PluginManager

LOGGERS = (__name__, "kedro.pipeline.node", "kedro.runner.runner")
"""Those of Kedro that tell of each run and each node."""


@contextmanager
def _silence(*names: str) -> Iterator[None]:
    """Drop the records of some loggers for a while."""
    loggers = [logging.getLogger(name) for name in names]

    # One of its own for each call: calls in other threads add and remove theirs.
    def drop(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    for logger in loggers:
        logger.addFilter(drop)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(drop)


class SequentialRunner(KedroSequentialRunner):
    """Call one node after the other, and nothing else.

    Kedro's runner tells of every dataset that it loads and saves, plans what may run at once, and
    says after an error how to resume: right for a night of training, too much for a request.

    kedro-mlflow keeps the runner of a model for calls that ask for its class by name, and makes a
    new one of Kedro's for any other. The name that a call asks for by default is this one.
    """

    def run(
        self,
        pipeline: Pipeline,
        catalog: Any,
        *arguments: Any,
        **options: Any,
    ) -> dict[str, Any]:
        """Run a pipeline, and log nothing: the process is somebody else's."""
        with _silence(*LOGGERS):
            return super().run(pipeline, catalog, *arguments, **options)

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,  # noqa: ARG002
        run_id: str | None = None,  # noqa: ARG002
    ) -> None:
        for node in pipeline.nodes:
            inputs = {name: catalog[name].load() for name in node.inputs}
            for name, value in node.run(inputs).items():
                catalog[name].save(value)
