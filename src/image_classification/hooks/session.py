"""The session of a `kedro run`: it ends before training where images or new ones are too few."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

import click
from kedro.framework.session import KedroSession
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import AbstractRunner, SequentialRunner

from image_classification.champion.novelty import check_new_images
from image_classification.configuration import names
from image_classification.errors import find_cause
from image_classification.pipelines.purpose import (
    read_purpose,
    split_at_training,
    takes_images_in,
)
from image_classification.text import escape_lines

logger = logging.getLogger(__name__)

_waiting: ContextVar[str] = ContextVar("waiting", default="")


def read_waiting() -> str:
    """Return why the last run trains nothing, as a sentence; "" if it waits for no images."""
    return _waiting.get()


class NightSession(KedroSession):
    """Kedro's session, which checks for new images between the intake and training.

    Under Airflow a separate task checks, and skips the rest of the night. Here the remaining nodes
    do not run, and the run succeeds and says why.
    """

    @classmethod
    def create(cls, *arguments: Any, **options: Any) -> NightSession:
        """Create a session; images to score that its command line names may be read."""
        params = options.get("runtime_params") or {}
        if place := (params.get("inference") or {}).get("images"):
            options["runtime_params"] = {"named_places": [place]} | params
        return cast("NightSession", super().create(*arguments, **options))

    def run(self, **options: Any) -> Any:  # type: ignore[override]
        """Run a pipeline as `KedroSession.run` does, with its keywords."""
        runner: AbstractRunner = options.pop("runner", None) or SequentialRunner()
        runner.run = _Pausing(runner.run)  # type: ignore[method-assign]
        token = _waiting.set("")
        try:
            return super().run(runner=runner, **options)
        except Exception as error:
            ours = find_cause(error)
            if ours is None or click.get_current_context(silent=True) is None:
                raise
            # On a command line, one line says what to do; the log has the rest.
            logger.info("The run has failed", exc_info=True)
            raise click.ClickException(escape_lines(str(ours))) from ours
        finally:
            _waiting.reset(token)


class _Pausing:
    """Run the nodes before training, check for new images, and run the rest if there are enough."""

    def __init__(self, run: Callable[..., dict[str, Any]]) -> None:
        self._run = run

    def __call__(
        self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], *more: Any, **options: Any
    ) -> dict[str, Any]:
        parts = split_at_training(pipeline)
        if parts is None:
            return self._run(pipeline, catalog, *more, **options)
        before, after = parts
        outputs = self._run(before, catalog, *more, **options)
        is_new, reason = check_new_images(
            catalog.load("params:registered_model_name"),
            catalog.load(names.IMAGE_SPLITS),
            catalog.load(names.DATA_SUMMARY),
            catalog.load("params:training"),
            judges=read_purpose(pipeline).decides,
            always=not takes_images_in(pipeline),
        )
        logger.info("%s", reason)
        if not is_new:
            _waiting.set(reason)
            return outputs
        return outputs | self._run(after, catalog, *more, **options)
