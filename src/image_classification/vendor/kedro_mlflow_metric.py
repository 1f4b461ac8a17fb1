"""kedro-mlflow's datasets of metrics, which hand their points over instead of sending each.

Relied on, tried with kedro-mlflow 2.0.3: `_save`, `_save_args`, `_logging_activated`,
`DEFAULT_SAVE_MODE`, `_build_args_list_from_metric_item` and `_is_dataset_metric`. They send a
request for each point, and read the run to see whether a metric is there. This can go when they
send a curve at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from kedro_mlflow.io import metrics


class _OneMetric(ABC):
    """A mixin: knows of a metric by the names of all that the run has."""

    key: str
    run_id: str | None

    @abstractmethod
    def list_metrics(self) -> Iterable[str]:
        """Return the names of the run's metrics."""

    @abstractmethod
    def log(self, points: Iterable[Mapping[str, Any]]) -> None:
        """Log points of `key`, `value` and `step`."""

    def _exists(self) -> bool:
        return self.run_id is not None and self.key in self.list_metrics()


class OpenMetricDataset(_OneMetric, metrics.MlflowMetricDataset):
    """One number. kedro-mlflow asks for the newest step before it saves; this one names a step."""

    def _save(self, data: float) -> None:
        if self.mode != self.DEFAULT_SAVE_MODE:
            super()._save(data)
        elif self._logging_activated:
            self.log([{"step": 0, **self._save_args, "key": self.key, "value": data}])


class OpenMetricHistoryDataset(_OneMetric, metrics.MlflowMetricHistoryDataset):
    """One curve."""

    def _save(self, data: list[float] | dict[int, float] | list[dict[str, Any]]) -> None:
        if self._logging_activated:
            self.log([{**point, "key": self.key} for point in self._list_points(data)])

    def _list_points(self, data: Any) -> Iterable[dict[str, Any]]:
        mode = self._save_args.get("mode", "list")
        if mode == "history":
            return list(data)
        steps = data.items() if mode == "dict" else enumerate(data)
        return [{"step": step, "value": value} for step, value in steps]


class OpenMetricsHistoryDataset(_OneMetric, metrics.MlflowMetricsHistoryDataset):
    """Several curves under one prefix."""

    def _save(self, data: dict[str, Any]) -> None:
        if self._logging_activated:
            points = (self._build_args_list_from_metric_item(*item) for item in data.items())
            self.log(
                [
                    {"key": key, "value": value, "step": step}
                    for key, value, step in chain.from_iterable(points)
                ]
            )

    def _exists(self) -> bool:
        return any(map(self._is_dataset_metric, self.list_metrics()))
