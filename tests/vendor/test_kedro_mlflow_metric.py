"""kedro-mlflow's datasets of metrics hand their points over, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from image_classification.vendor import kedro_mlflow_metric as vendor


class Kept:
    """A mixin that keeps what it is handed."""

    known: tuple[str, ...] = ()

    def list_metrics(self) -> Iterable[str]:
        return self.known

    def log(self, points: Iterable[Mapping[str, Any]]) -> None:
        self.points = list(points)


class Metric(Kept, vendor.OpenMetricDataset):
    pass


class History(Kept, vendor.OpenMetricHistoryDataset):
    pass


class Histories(Kept, vendor.OpenMetricsHistoryDataset):
    pass


def test_a_number_is_a_point_of_step_0() -> None:
    dataset = Metric(key="accuracy", run_id="r")
    dataset._save(0.9)
    (point,) = dataset.points
    assert (point["key"], point["step"], point["value"]) == ("accuracy", 0, 0.9)


@pytest.mark.parametrize(
    ("mode", "data"),
    [
        ("list", [0.5, 0.6]),
        ("dict", {0: 0.5, 1: 0.6}),
        ("history", [{"step": 0, "value": 0.5}, {"step": 1, "value": 0.6}]),
    ],
)
def test_a_curve_is_handed_over_at_once_in_every_mode(mode: str, data: Any) -> None:
    dataset = History(key="loss", run_id="r", save_args={"mode": mode})
    dataset._save(data)
    assert [(point["key"], point["step"], point["value"]) for point in dataset.points] == [
        ("loss", 0, 0.5),
        ("loss", 1, 0.6),
    ]


def test_a_metric_exists_where_the_run_has_one_of_its_name() -> None:
    dataset = Metric(key="accuracy", run_id="r")
    assert not dataset._exists()
    dataset.known = ("accuracy",)
    assert dataset._exists()
    dataset.run_id = None
    assert not dataset._exists()


def test_several_curves_are_handed_over_together() -> None:
    dataset = Histories(run_id="r")
    dataset._save({"a": {"value": 0.1, "step": 0}, "b": [{"value": 0.2, "step": 3}]})
    assert [(point["key"], point["step"], point["value"]) for point in dataset.points] == [
        ("a", 0, 0.1),
        ("b", 3, 0.2),
    ]
