"""What all operators share: the Kedro side of the run, and the note."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from operator_runs import listen, make_context, make_operator, start_with

from image_classification.orchestration.steps.base import (
    PipelineOperator,
    measure_age,
    read_requester,
    write_outcome,
)

PAGE = "http://airflow/dags/review/required_actions"
HANDED_ON = {("open_run", "return_value"): "abc", ("open_run", "experiment_id"): "7"}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start an operator of a task in a context; return the Kedro side that it makes."""
    from image_classification.orchestration.kedro_run import KedroRun

    monkeypatch.setattr(KedroRun, "locate_mlflow_run", lambda _: "http://mlflow/abc")
    monkeypatch.setattr(KedroRun, "check_code", lambda _: None)
    # Set by the operator, for the process of its task alone.
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", os.environ["KEDRO_LOGGING_CONFIG"])

    def start(task_id: str = "clean", **context: Any) -> KedroRun:
        operator = make_operator(PipelineOperator, task_id)
        run: KedroRun = operator.start(make_context(task_id, HANDED_ON, **context))
        return run

    return start


def test_a_task_goes_on_with_the_mlflow_run_that_was_opened(start: Any) -> None:
    run = start()
    assert (run.mlflow_run_id, run.experiment_id) == ("abc", "7")
    assert (run.pipeline, run.key) == ("counting", "counting/manual__1")
    assert run.dag_run_url.endswith("/dags/counting/runs/manual__1")
    assert not run.backfill


def test_the_task_that_opens_the_run_finds_none(start: Any) -> None:
    assert start("open_run").mlflow_run_id is None


def test_a_backfill_is_known_as_one(start: Any) -> None:
    dag_run = SimpleNamespace(
        run_type=SimpleNamespace(value="backfill"), logical_date=datetime.now(UTC), run_after=None
    )
    assert start(dag_run=dag_run).backfill


@pytest.mark.parametrize("date", ["logical_date", "run_after"])
def test_age_is_that_of_the_date_that_the_run_is_for(date: str) -> None:
    dates = {"logical_date": None, "run_after": None}
    dag_run = SimpleNamespace(**dates | {date: datetime.now(UTC) - timedelta(hours=3)})
    assert measure_age(make_context(dag_run=dag_run)) == pytest.approx(3, abs=0.01)


def test_note_tells_the_outcome_the_watch_who_waits_and_the_mlflow_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = listen(monkeypatch)
    run: Any = start_with(
        monkeypatch, account_read_watch="champion v1 holds", account_list_held_batches=["blank"]
    )
    write_outcome(make_context(), run, "promoted v2")
    (note,) = told.notes
    assert note.split("\n\n") == [
        "promoted v2",
        "champion v1 holds",
        f"Held for a review: blank. Answer at {PAGE}",
        "MLflow run: http://mlflow/run",
    ]


@pytest.mark.parametrize(("count", "told"), [(3, 3), (40, 8)])
def test_note_lists_what_was_set_aside_and_left_alone_as_far_as_it_fits(
    monkeypatch: pytest.MonkeyPatch, count: int, told: int
) -> None:
    heard = listen(monkeypatch)
    aside = [f"Batch '{number}' is quarantined: {'x' * 100}" for number in range(count)]
    run: Any = start_with(
        monkeypatch, account_list_set_aside=aside, account_list_left_alone=["'e' stays."]
    )
    write_outcome(make_context(), run, "promoted v2")
    (note,) = heard.notes
    assert len(note) <= 1000
    assert note.endswith("\n\nMLflow run: http://mlflow/run")
    first, *others, last = note.split("\n\n")[1].split("\n")
    assert first == f"- {aside[0][:100]} …"
    assert len([first, *others]) == told
    more = f"- … and {count + 1 - told} more: image-classification batches"
    assert last == ("- 'e' stays." if told == count else more)


def test_note_does_not_say_the_watch_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    told = listen(monkeypatch)
    run: Any = start_with(monkeypatch, account_read_watch="champion v1 holds")
    write_outcome(make_context(), run, "champion v1 holds")
    assert told.notes == ["champion v1 holds\n\nMLflow run: http://mlflow/run"]


def test_who_asks_is_named_where_airflow_knows() -> None:
    known = SimpleNamespace(triggering_user_name="Grace")
    assert read_requester(make_context(dag_run=known)) == "Grace"
    unknown = SimpleNamespace(triggering_user_name=None)
    assert read_requester(make_context(dag_run=unknown)) == "unknown, through Airflow"
