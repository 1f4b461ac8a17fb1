"""Metrics with their history, sent to MLflow together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Never

from kedro.io import AbstractDataset, DatasetError
from kedro_mlflow.io import metrics

from image_classification import tracking


class _OneMetric:
    """A mixin: asks for the run, but lets `log_model` ask once for all."""

    key: str
    run_id: str | None

    def _exists(self) -> bool:
        return self.run_id is not None and self.key in tracking.list_metrics(self.run_id)


class MlflowMetricDataset(_OneMetric, metrics.MlflowMetricDataset):
    """kedro-mlflow's, which asks for the newest step before it saves; this one names a step.

    At step 0 where `save_args` names none.
    """

    def _save(self, data: float) -> None:
        if self.mode != self.DEFAULT_SAVE_MODE:
            super()._save(data)
        elif self._logging_activated:
            _log(self.run_id, [{"step": 0, **self._save_args, "key": self.key, "value": data}])


class MlflowMetricHistoryDataset(_OneMetric, metrics.MlflowMetricHistoryDataset):
    """kedro-mlflow's, which sends each point on its own; this one sends the curve."""

    def _save(self, data: list[float] | dict[int, float] | list[dict[str, Any]]) -> None:
        if self._logging_activated:
            _log(self.run_id, [{**point, "key": self.key} for point in self._list_points(data)])

    def _list_points(self, data: Any) -> Iterable[dict[str, Any]]:
        mode = self._save_args.get("mode", "list")
        if mode == "history":
            return list(data)
        steps = data.items() if mode == "dict" else enumerate(data)
        return [{"step": step, "value": value} for step, value in steps]


class MlflowMetricsHistoryDataset(metrics.MlflowMetricsHistoryDataset):
    """kedro-mlflow's, which sends each point on its own; this one sends all curves."""

    def _save(self, data: dict[str, Any]) -> None:
        if self._logging_activated:
            points = (self._build_args_list_from_metric_item(*item) for item in data.items())
            _log(
                self.run_id,
                [
                    {"key": key, "value": value, "step": step}
                    for key, value, step in chain.from_iterable(points)
                ],
            )

    def _exists(self) -> bool:
        return any(map(self._is_dataset_metric, tracking.list_metrics(self.run_id)))


def _log(run_id: str | None, points: Iterable[Mapping[str, Any]]) -> None:
    if run_id is None:
        raise DatasetError("No MLflow run is active, and the catalog names no `run_id`.")
    tracking.log_points(run_id, [tracking.make_point(**point) for point in points])


class MetricCurvesDataset(AbstractDataset[Mapping[str, Sequence[Mapping[str, Any]]], Never]):
    """Curves of the MLflow run that is active, however long, in one request for a thousand points.

    Saving the same points again changes nothing.
    """

    def __init__(self, *, prefix: str, metadata: dict[str, Any] | None = None) -> None:
        """Make the dataset.

        Args:
            prefix: before the name of each curve, with a dot.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._prefix = prefix
        self.metadata = metadata

    def load(self) -> Never:
        """Refuse: what is in MLflow is for people."""
        raise DatasetError("Curves of an MLflow run cannot be loaded through the catalog.")

    def save(self, data: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Log the curves: by name, points of `value`, `step` and `timestamp_ms`."""
        tracking.log_curves({f"{self._prefix}.{name}": points for name, points in data.items()})

    def _exists(self) -> bool:
        return False

    def _describe(self) -> dict[str, Any]:
        return {"prefix": self._prefix}
