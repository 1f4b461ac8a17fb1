"""A night with all of its work: a network is trained, and a fresh process loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dag_nights import Laboratory, Night, compare_with_kedro_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("airflow_database")]


@pytest.fixture(scope="module")
def whole_night(laboratory: Laboratory) -> Night:
    return laboratory.spend_night()


def test_first_night_makes_the_first_champion(whole_night: Night) -> None:
    assert whole_night.state == "success"
    assert whole_night.aliases == {"champion": "1", "challenger": "1"}
    assert whole_night.outcome.startswith("promoted v1: first champion")


def test_training_is_measured(whole_night: Night) -> None:
    metrics = whole_night.mlflow_run.data.metrics
    assert metrics["training.images_per_second"] > 0
    assert {"training_accuracy", "validation_loss", "test_accuracy"} <= set(metrics)


def test_night_without_new_images_draws_the_champions_curve(
    laboratory: Laboratory, whole_night: Night
) -> None:
    quiet = laboratory.spend_night()
    assert quiet.outcome.startswith("skipped: No new images")
    artifacts = laboratory.client.list_artifacts(quiet.mlflow_run.info.run_id, "monitoring")
    assert "monitoring/champion_trend.png" in {item.path for item in artifacts}


def test_kedro_run_gives_the_same_data_measures_and_decision_as_the_dag(
    whole_night: Night, storage: Path
) -> None:
    compare_with_kedro_run(whole_night, storage)
