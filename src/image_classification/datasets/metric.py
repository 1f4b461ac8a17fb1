"""Metrics with their history, sent to MLflow together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Never

from kedro.io import AbstractDataset, DatasetError

from image_classification import tracking


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
