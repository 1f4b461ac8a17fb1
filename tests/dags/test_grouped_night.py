"""A night whose parts are a task each, where a task is dear to start: `group_by: tag`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dag_nights import Laboratory, Night, compare_with_kedro_run, failing

from image_classification.orchestration import graph

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("airflow_database")]

MOST_PODS = 8


@pytest.fixture(scope="module", autouse=True)
def grouped() -> Iterator[None]:
    """Every DAG file is read as if `airflow.yml` said so."""
    read = graph.read_settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            graph,
            "read_settings",
            lambda *given: read(*given).model_copy(update={"group_by": "tag"}),
        )
        yield


@pytest.fixture(scope="module")
def grouped_night(laboratory: Laboratory) -> Night:
    """The first night; its training fails once, when the model is logged already."""
    with failing("image_classification.champion.registry.register_challenger"):
        return laboratory.spend_night(retries=1)


def test_a_night_takes_few_tasks(grouped_night: Night) -> None:
    assert grouped_night.state == "success"
    done = grouped_night.tasks_that_are("success")
    assert {"intake", "training", "choose_champion", "promote_challenger", "watching"} < done
    assert len(done) <= MOST_PODS


def test_another_try_trains_no_second_network(grouped_night: Night) -> None:
    assert grouped_night.tries["training"] == 2
    assert grouped_night.logged_models == 1
    assert grouped_night.own_versions == ["1"]


def test_without_new_images_the_rest_is_skipped(
    laboratory: Laboratory, grouped_night: Night
) -> None:
    assert grouped_night.aliases["champion"] == "1"
    quiet = laboratory.spend_night()
    assert quiet.outcome.startswith("skipped: No new images")
    assert {"choose_champion", "promote_challenger"} <= quiet.tasks_that_are("skipped")
    assert "watching" in quiet.tasks_that_are("success")
    assert quiet.logged_models == 0


def test_kedro_run_gives_the_same_data_measures_and_decision(
    grouped_night: Night, storage: Path
) -> None:
    compare_with_kedro_run(grouped_night, storage)
