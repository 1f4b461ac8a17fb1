"""The run that is active in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient

from image_classification.vendor.mlflow import list_active_runs, make_active_run


def enter_run(run_id: str, experiment_id: str | None = None) -> None:
    """Make a run active in this process, although several processes share it.

    The run is running before and goes on afterwards. `mlflow.start_run` would read it twice and set
    its status, and `mlflow.end_run` would set it again. No public call of MLflow does neither.

    Args:
        run_id: the run.
        experiment_id: its experiment, if the caller knows it; it saves a request.
    """
    known = experiment_id or MlflowClient().get_run(run_id).info.experiment_id
    list_active_runs().append(make_active_run(run_id, known))


def leave_run() -> None:
    """Make no run active in this process; the runs that were active go on."""
    list_active_runs().clear()


@contextmanager
def resume_run(run_id: str, experiment_id: str | None = None) -> Iterator[None]:
    """Make a run active for a while, as `enter_run` does; it goes on running afterwards."""
    enter_run(run_id, experiment_id)
    try:
        yield
    finally:
        leave_run()


def active_experiment_id() -> str | None:
    """Return the id of the active run's experiment, or None."""
    run = mlflow.active_run()
    return run.info.experiment_id if run else None


def active_run_id() -> str | None:
    """Return the id of the run that is active in this process, or None."""
    run = mlflow.active_run()
    return run.info.run_id if run else None
