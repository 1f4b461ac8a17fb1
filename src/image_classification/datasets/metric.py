"""Metrics with their history, sent to MLflow together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Never

from kedro.io import AbstractDataset, DatasetError

from image_classification import tracking
from image_classification.vendor.kedro_mlflow_metric import (
    OpenMetricDataset,
    OpenMetricHistoryDataset,
    OpenMetricsHistoryDataset,
)


class _Together:
    """A mixin: sends the points of a dataset together, and asks once which metrics a run has."""

    run_id: str | None

    def list_metrics(self) -> Iterable[str]:
        """Return the names of the run's metrics."""
        return tracking.list_metrics(self.run_id) if self.run_id else ()

    def log(self, points: Iterable[Mapping[str, Any]]) -> None:
        """Log points of `key`, `value` and `step`.

        Raises:
            DatasetError: no run is active, and none is named.
        """
        if self.run_id is None:
            raise DatasetError("No MLflow run is active, and the catalog names no `run_id`.")
        tracking.log_points(self.run_id, [tracking.make_point(**point) for point in points])


class MlflowMetricDataset(_Together, OpenMetricDataset):
    """kedro-mlflow's number of a run, at step 0 where `save_args` names no other."""


class MlflowMetricHistoryDataset(_Together, OpenMetricHistoryDataset):
    """kedro-mlflow's curve of a run, in one request."""


class MlflowMetricsHistoryDataset(_Together, OpenMetricsHistoryDataset):
    """kedro-mlflow's curves of a run under one prefix, in one request."""


class MetricCurvesDataset(AbstractDataset[Mapping[str, Sequence[Mapping[str, Any]]], Never]):
    """Curves of the active MLflow run, one request for every thousand points.

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
