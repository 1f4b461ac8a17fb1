"""Curves that are logged night after night: each point once, the last one as the metric."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from registry_store import open_run

from image_classification import tracking

pytestmark = pytest.mark.usefixtures("store")


def history(run_id: str, key: str) -> list[tuple[int, float, int]]:
    points = MlflowClient().get_metric_history(run_id, key)
    return sorted((point.step, point.value, point.timestamp) for point in points)


def save(run_id: str, **curves: list[float]) -> None:
    with tracking.resume_run(run_id):
        tracking.log_curves(
            {
                name: [
                    {"value": value, "step": step, "timestamp_ms": 1000 * step}
                    for step, value in enumerate(values, 1)
                ]
                for name, values in curves.items()
            }
        )


def test_curves_are_logged_whole_and_the_last_point_is_the_metric() -> None:
    run_id = open_run("x")
    save(run_id, newest_accuracy=[0.9, 0.8], newest_auc=[])
    assert history(run_id, "newest_accuracy") == [(1, 0.9, 1000), (2, 0.8, 2000)]
    assert MlflowClient().get_run(run_id).data.metrics == {"newest_accuracy": 0.8}


def test_saving_again_and_more_leaves_each_point_once() -> None:
    run_id = open_run("x")
    for values in ([0.9, 0.8], [0.9, 0.8], [0.9, 0.8, 0.7]):
        save(run_id, newest_accuracy=values)
    steps = [step for step, *_ in history(run_id, "newest_accuracy")]
    assert steps == [1, 2, 3]
