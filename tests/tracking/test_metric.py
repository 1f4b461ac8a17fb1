"""Points of metrics are sent together, a thousand in a request at most, and each once."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient
from registry_store import open_run

from image_classification import tracking
from image_classification.tracking import metric


class Recorded:
    """Stands for MLflow's client; keeps how many points each request held."""

    requests: list[tuple[str, int]]

    def __init__(self) -> None:
        self.requests = []

    def __call__(self) -> Recorded:
        return self

    def log_batch(self, run_id: str, metrics: Any) -> None:
        self.requests.append((run_id, len(metrics)))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded()
    monkeypatch.setattr(metric, "MlflowClient", recorded)
    return recorded


def make_points(count: int, key: str = "loss") -> list[Any]:
    return [metric.make_point(key, 0.5, step) for step in range(count)]


@pytest.mark.parametrize(
    ("count", "sent"), [(0, []), (1, [1]), (1000, [1000]), (2001, [1000, 1000, 1])]
)
def test_a_request_holds_a_thousand_points(client: Recorded, count: int, sent: list[int]) -> None:
    metric.log_points("run", make_points(count))
    assert client.requests == [("run", size) for size in sent]


def test_points_that_are_gathered_are_sent_together_by_run(client: Recorded) -> None:
    tracking.gather_points()
    for run_id, count in (("one", 2), ("two", 1), ("one", 3)):
        metric.log_points(run_id, make_points(count))
    assert client.requests == []
    tracking.send_points()
    assert client.requests == [("one", 5), ("two", 1)]
    metric.log_points("one", make_points(1))
    assert client.requests[2:] == [("one", 1)]


def test_without_an_active_run_a_curve_goes_nowhere(client: Recorded) -> None:
    metric.log_curves({"loss": [{"value": 1.0, "step": 0, "timestamp_ms": 1}]})
    assert client.requests == []


@pytest.mark.usefixtures("store")
class TestCurves:
    """Curves that are logged night after night."""

    def test_a_curve_is_logged_whole_and_its_last_point_is_the_metric(self) -> None:
        run_id = open_run("x")
        log_curves(run_id, newest_accuracy=[0.9, 0.8], newest_auc=[])
        assert read_history(run_id, "newest_accuracy") == [(1, 0.9, 1000), (2, 0.8, 2000)]
        assert MlflowClient().get_run(run_id).data.metrics == {"newest_accuracy": 0.8}
        assert tracking.list_metrics(run_id) == {"newest_accuracy"}

    def test_logging_again_and_more_leaves_each_point_once(self) -> None:
        run_id = open_run("x")
        for values in ([0.9, 0.8], [0.9, 0.8], [0.9, 0.8, 0.7]):
            log_curves(run_id, newest_accuracy=values)
        assert [step for step, *_ in read_history(run_id, "newest_accuracy")] == [1, 2, 3]


def log_curves(run_id: str, **curves: list[float]) -> None:
    points = {
        name: [
            {"value": value, "step": step, "timestamp_ms": 1000 * step}
            for step, value in enumerate(values, 1)
        ]
        for name, values in curves.items()
    }
    with tracking.resume_run(run_id):
        tracking.log_curves(points)


def read_history(run_id: str, key: str) -> list[tuple[int, float, int]]:
    """Return step, value and time of each point."""
    points = MlflowClient().get_metric_history(run_id, key)
    return sorted((point.step, point.value, point.timestamp) for point in points)
