"""Stop a process before or after any step that somebody else can see."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from mlflow import MlflowClient

from image_classification.champion import move, registry
from image_classification.datasets import LedgerDataset

STEPS: tuple[tuple[Any, str], ...] = (
    (LedgerDataset, "create"),
    (os, "link"),
    (os, "fsync"),
    (MlflowClient, "set_registered_model_alias"),
    (MlflowClient, "delete_registered_model_alias"),
    (MlflowClient, "log_dict"),
    (MlflowClient, "log_batch"),
    (MlflowClient, "update_model_version"),
    (MlflowClient, "set_registered_model_tag"),
    (MlflowClient, "delete_model_version_tag"),
    (registry, "set_version_tags"),
    (move, "verify_champion"),
)
"""Functions that change a file or MLflow, and the one that takes longest."""


class Killed(BaseException):
    """Stands for the end of a process, as nothing catches it."""


def end_in_place() -> None:
    """End the work of this process; unlike a real kill, `finally` still runs."""
    raise Killed


@contextmanager
def kill_at(
    point: int, end: Callable[[], None] = end_in_place, steps: Sequence[tuple[Any, str]] = STEPS
) -> Iterator[list[str]]:
    """Call `end` at one of the points before and after the steps, counted from 0.

    Yields:
        The points that were passed.
    """
    passed: list[str] = []

    def mark(name: str) -> None:
        passed.append(name)
        if len(passed) - 1 == point:
            end()

    def surround(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            mark(f"before {name}")
            result = function(*arguments, **keywords)
            mark(f"after {name}")
            return result

        return run

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in steps:
            patch.setattr(owner, name, surround(name, getattr(owner, name)))
        yield passed
