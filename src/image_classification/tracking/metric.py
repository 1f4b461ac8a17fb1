"""Send the points of several metrics in one request."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Metric,
)

from image_classification.tracking.active import active_run_id

MOST_METRICS = 1000
"""Points that MLflow takes in one request."""

own_runs: list[str] = []
"""The run that this process has created, if any."""

first_points: dict[tuple[str, str], list[Metric]] = {}
"""All points of step 0 of the run in `own_runs`, by run and metric."""

_gathered: ContextVar[dict[str, list[Metric]] | None] = ContextVar("gathered", default=None)
"""Points that wait to be sent, by run, while a node saves; None if each is sent at once."""


def log_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Log whole curves to the active run, a thousand points in a request.

    A point that the run has already stays as it is. Without an active run, nothing is logged.

    Args:
        curves: for each metric, points with `value`, `step` and `timestamp_ms`.
    """
    run_id = active_run_id()
    if run_id is None:
        return
    points = [
        Metric(name, point["value"], point["timestamp_ms"], point["step"])
        for name, curve in curves.items()
        for point in curve
    ]
    log_points(run_id, points)


def make_point(key: str, value: float, step: int = 0, timestamp: int | None = None) -> Metric:
    """Return a point of a metric; `timestamp` is in milliseconds since 1970, by default now."""
    return Metric(key, value, timestamp or int(time.time() * 1000), step)


def log_points(run_id: str, points: Sequence[Metric]) -> None:
    """Log points of metrics, a thousand in a request, or add them to those that wait."""
    gathered = _gathered.get()
    if gathered is not None:
        gathered.setdefault(run_id, []).extend(points)
        return
    for start in range(0, len(points), MOST_METRICS):
        MlflowClient().log_batch(run_id, metrics=points[start : start + MOST_METRICS])
    for point in points:
        if point.step == 0 and run_id in own_runs:
            first_points.setdefault((run_id, point.key), []).append(point)


def gather_points() -> None:
    """Let all points that this thread logs from now on wait for `send_points`."""
    _gathered.set({})


def send_points() -> None:
    """Send the points that wait; points that are logged later are sent at once."""
    gathered = _gathered.get() or {}
    _gathered.set(None)
    for run_id, points in gathered.items():
        log_points(run_id, points)


def list_metrics(run_id: str) -> set[str]:
    """Return the names of the metrics of a run."""
    return set(mlflow.MlflowClient().get_run(run_id).data.metrics)
