"""Our metric datasets leave in MLflow what kedro-mlflow's do, in one request."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from kedro.io import DatasetError
from kedro_mlflow.io import metrics as stock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from image_classification import datasets, tracking

HISTORY = [{"value": 0.5, "step": 3}, {"value": 0.25, "step": 7}]
CASES = [
    ("MlflowMetricDataset", {"key": "accuracy"}, 0.75),
    ("MlflowMetricDataset", {"key": "accuracy", "save_args": {"step": 4}}, 0.75),
    ("MlflowMetricDataset", {"key": "accuracy", "save_args": {"mode": "append"}}, 0.75),
    ("MlflowMetricHistoryDataset", {"key": "loss"}, [0.9, 0.5, 0.4]),
    ("MlflowMetricHistoryDataset", {"key": "loss", "save_args": {"mode": "dict"}}, {2: 0.5}),
    ("MlflowMetricHistoryDataset", {"key": "loss", "save_args": {"mode": "history"}}, HISTORY),
    ("MlflowMetricsHistoryDataset", {"prefix": "test"}, {"auc": HISTORY, "f1": HISTORY[0]}),
]


@pytest.fixture
def experiment_id(tmp_path: Path) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracking.connect(uri)
    return tracking.open_experiment("metrics", artifact_location=str(tmp_path))


def save(module: Any, name: str, arguments: dict[str, Any], data: Any) -> tuple[Any, Any]:
    """Return the points that saving twice leaves, without their time, and what is loaded."""
    with mlflow.start_run() as run:
        dataset = getattr(module, name)(**deepcopy(arguments))
        assert not dataset.exists()
        dataset.save(data)
        dataset.save(data)
        assert dataset.exists()
        names = MlflowClient().get_run(run.info.run_id).data.metrics
        points = {
            key: [
                (point.step, point.value)
                for point in MlflowClient().get_metric_history(run.info.run_id, key)
            ]
            for key in names
        }
        return points, dataset.load()


@pytest.mark.parametrize(("name", "arguments", "data"), CASES)
def test_points_steps_and_what_is_loaded_are_those_of_kedro_mlflow(
    experiment_id: str, name: str, arguments: dict[str, Any], data: Any
) -> None:
    mlflow.set_experiment(experiment_id=experiment_id)
    ours = save(datasets, name, arguments, data)
    assert ours == save(stock, name, arguments, data)
    assert ours[0]


def test_what_is_saved_together_is_sent_together(
    experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = MlflowClient.log_batch

    def count(self: MlflowClient, run_id: str, **what: Any) -> None:
        sent.append(len(what["metrics"]))
        send(self, run_id, **what)

    monkeypatch.setattr(MlflowClient, "log_batch", count)
    with mlflow.start_run(experiment_id=experiment_id):
        tracking.gather_points()
        datasets.MlflowMetricHistoryDataset(key="loss").save([0.5] * 40)
        datasets.MlflowMetricDataset(key="accuracy").save(0.5)
        assert sent == []
        tracking.send_points()
        datasets.MlflowMetricDataset(key="auc").save(0.5)
    assert sent == [41, 1]


def test_without_a_run_they_refuse(experiment_id: str) -> None:
    with pytest.raises(DatasetError, match="No MLflow run is active"):
        datasets.MlflowMetricDataset(key="accuracy").save(0.5)


def test_parameters_that_another_task_logs_in_the_same_moment_are_no_error(
    experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = tracking.start_run(experiment_id, "night", {})
    send, tries = MlflowClient.log_batch, []

    def lose_the_first(self: MlflowClient, *arguments: Any, **options: Any) -> None:
        tries.append(1)
        send(self, *arguments, **options)
        if len(tries) == 1:
            raise MlflowException("UNIQUE constraint failed: params.key, params.run_uuid")

    monkeypatch.setattr(MlflowClient, "log_batch", lose_the_first)
    tracking.log_parameters(run_id, {"seed": 1})
    mlflow.end_run()
    assert len(tries) == 2
    assert MlflowClient().get_run(run_id).data.params == {"seed": "1"}
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        tracking.log_parameters(run_id, {"seed": 2})
    assert len(tries) == 3


def test_metrics_that_cannot_be_sent_hide_no_error_of_a_node(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from image_classification.hooks import TrackingHook

    def refuse() -> None:
        raise MlflowException("no server")

    hook, left = TrackingHook(), []
    hook.mlflow_config = SimpleNamespace(tracking=SimpleNamespace(run=SimpleNamespace(id="abc")))
    monkeypatch.setattr(tracking, "send_points", refuse)
    monkeypatch.setattr(tracking, "leave_run", lambda: left.append(1))
    hook.on_pipeline_error(ValueError("the node's own"), {}, None, None)  # type: ignore[arg-type]
    assert left == [1]
    assert "no server" in caplog.text
