"""Points of metrics are sent together, a thousand in a request at most."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient

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


@pytest.mark.usefixtures("mlflow_store")
def test_a_curve_keeps_its_steps_and_times() -> None:
    experiment = tracking.open_experiment("cells")
    run_id = tracking.open_run(experiment, "retraining/1", "a night", {})
    curve = [{"value": 1.0, "step": 0, "timestamp_ms": 10}]
    curve += [{"value": 0.5, "step": 1, "timestamp_ms": 20}]
    with tracking.resume_run(run_id, experiment):
        for _ in range(2):  # a retry says the same
            metric.log_curves({"loss": curve})
    points = MlflowClient().get_metric_history(run_id, "loss")
    assert [(point.value, point.step, point.timestamp) for point in points] == [
        (1.0, 0, 10),
        (0.5, 1, 20),
    ]
    assert tracking.list_metrics(run_id) == {"loss"}
