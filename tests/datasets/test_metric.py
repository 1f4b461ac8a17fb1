"""Our metric datasets leave in MLflow what kedro-mlflow's do, in one request."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.io import DatasetError
from kedro_mlflow.io import metrics as stock
from mlflow import MlflowClient

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
def experiment_id(mlflow_store: str, tmp_path: Path) -> str:
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
    with pytest.raises(DatasetError) as raised:
        datasets.MlflowMetricDataset(key="accuracy").save(0.5)
    told = "No MLflow run is active, and the catalog names no `run_id`."
    assert told in str(raised.value)
    assert not datasets.MlflowMetricDataset(key="accuracy").exists()


@pytest.mark.parametrize(("name", "arguments", "data"), CASES)
def test_where_logging_is_switched_off_nothing_is_logged(
    experiment_id: str, name: str, arguments: dict[str, Any], data: Any
) -> None:
    with mlflow.start_run(experiment_id=experiment_id):
        dataset = getattr(datasets, name)(**deepcopy(arguments))
        dataset._logging_activated = False
        dataset.save(data)
        assert not dataset.exists()


class TestCurves:
    """Curves of the active run, for people to look at."""

    def test_they_are_logged_under_their_prefix(self, monkeypatch: pytest.MonkeyPatch) -> None:
        logged: list[object] = []
        monkeypatch.setattr(tracking, "log_curves", logged.append)
        points = [{"value": 0.5, "step": 1, "timestamp_ms": 3}]
        datasets.MetricCurvesDataset(prefix="history").save({"auc": points})
        assert logged == [{"history.auc": points}]

    def test_they_cannot_be_loaded(self) -> None:
        metadata = {"kind": "curves"}
        dataset = datasets.MetricCurvesDataset(prefix="history", metadata=metadata)
        assert dataset.metadata is metadata
        assert dataset._describe() == {"prefix": "history"}
        assert dataset.exists() is False
        with pytest.raises(DatasetError) as raised:
            dataset.load()
        told = "Curves of an MLflow run cannot be loaded through the catalog."
        assert str(raised.value) == told
