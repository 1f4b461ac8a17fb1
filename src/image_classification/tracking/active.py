"""The run that is active in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    LifecycleStage,
    Run,
    RunData,
    RunInfo,
    RunStatus,
)


def enter_run(run_id: str, experiment_id: str | None = None) -> None:
    """Make a run that several processes share the active one of this process.

    It is running before, and goes on after: `mlflow.start_run` would read it twice and set its
    status, `mlflow.end_run` would set it again, and MLflow has no public call that does neither.

    Args:
        run_id: the run.
        experiment_id: its experiment, where it is known: MLflow is not asked then.
    """
    info = RunInfo(
        run_id=run_id,
        experiment_id=experiment_id or MlflowClient().get_run(run_id).info.experiment_id,
        user_id="",
        status=RunStatus.to_string(RunStatus.RUNNING),
        start_time=0,
        end_time=None,
        lifecycle_stage=LifecycleStage.ACTIVE,
    )
    active_runs().append(mlflow.ActiveRun(Run(info, RunData())))  # type: ignore[no-untyped-call]


def leave_run() -> None:
    """Let no run be active in this process; those that were go on."""
    active_runs().clear()


def active_runs() -> list[mlflow.ActiveRun]:
    """Return the stack of MLflow's active runs: a private name, and the only way to leave one."""
    stack: Any = mlflow.tracking.fluent._active_run_stack
    runs: list[mlflow.ActiveRun] = stack.get()
    return runs


@contextmanager
def resume_run(run_id: str, experiment_id: str | None = None) -> Iterator[None]:
    """Make a run the active one for a while, as `enter_run` does; it goes on running after."""
    enter_run(run_id, experiment_id)
    try:
        yield
    finally:
        leave_run()


def active_experiment_id() -> str | None:
    """Return the id of the experiment of the active run, if any."""
    run = mlflow.active_run()
    return run.info.experiment_id if run else None


def active_run_id() -> str | None:
    """Return the id of the run that is active in this process, if any."""
    run = mlflow.active_run()
    return run.info.run_id if run else None
