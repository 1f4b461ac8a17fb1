"""Sessions of Kedro, as `kedro run` opens them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def kedro_run(pipeline: str, **params: Any) -> None:
    """Run a pipeline with parameters of its own."""
    # Kedro sets up its log when it is imported.
    from kedro.framework.project import settings
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(PROJECT)
    # The project has a session class of its own.
    with settings.SESSION_CLASS.create(project_path=PROJECT, runtime_params=params) as session:
        session.run(pipeline_names=[pipeline])


def read_results(folder: Path) -> dict[str, Any]:
    """Return what a run came to, without times and ids; `folder` is its own below `runs/`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROJECT / "benchmarks")
        results: dict[str, Any] = importlib.import_module("retraining").read_results(folder)
    return results
