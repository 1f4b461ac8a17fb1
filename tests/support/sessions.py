"""Sessions of Kedro, as `kedro run` opens them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
