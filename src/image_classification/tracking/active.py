"""The run that is active in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient

from image_classification.vendor.mlflow import list_active_runs, make_active_run


def enter_run(run_id: str, experiment_id: str | None = None) -> None:
    """Make a run that several processes share the active one of this process.

    It is running before, and goes on after: `mlflow.start_run` would read it twice and set its
    status, `mlflow.end_run` would set it again, and MLflow has no public call that does neither.

    Args:
        run_id: the run.
        experiment_id: its experiment, where it is known: MLflow is not asked then.
    """
    known = experiment_id or MlflowClient().get_run(run_id).info.experiment_id
    list_active_runs().append(make_active_run(run_id, known))


def leave_run() -> None:
    """Let no run be active in this process; those that were go on."""
    list_active_runs().clear()


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
