"""Who is told of what, when Airflow runs a DAG: the notices, not what the tasks compute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from image_classification.orchestration.notices.notification import LogNotifier, Notice

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

pytestmark = pytest.mark.usefixtures("airflow_database")

MLFLOW_RUN = "http://mlflow/#/experiments/1/runs/abc"


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    """What was sent, in order. Nothing is computed, and there is no MLflow."""
    from image_classification.champion import novelty
    from image_classification.orchestration.kedro_run import KedroRun

    sent: list[Notice] = []
    monkeypatch.setattr(LogNotifier, "notify", lambda self, _: sent.append(self.notice))
    for name, answer in {
        "open_mlflow_run": "abc",
        "check_code": None,
        "locate_mlflow_run": MLFLOW_RUN,
        "run_node": None,
        "record_outcome": None,
        "close_mlflow_run": "FINISHED",
        "log_profile": None,
        "write_page": None,
        "read_outcome": "",
    }.items():
        monkeypatch.setattr(KedroRun, name, lambda *_, answer=answer: answer)
    account = SimpleNamespace(
        list_held_batches=list,
        list_label_questions=list,
        list_set_aside=list,
        list_left_alone=list,
        locate_night=dict,
        locate_evidence=lambda: {"MLflow run": MLFLOW_RUN},
        read_watch=lambda: "",
        read_regret=lambda: None,
        describe_outcome=lambda: "",
        describe_champion=lambda: "The champion stays.",
        describe_ledger=lambda: "Ledger: entry 7 sha256:abc",
    )
    release = SimpleNamespace(read_refusal=lambda: "")
    for name, part in {
        "account": account,
        "aftermath": SimpleNamespace(
            release=release, look=lambda: ([], []), refuse_sealed=lambda _: None
        ),
        "catalog": SimpleNamespace(load=lambda name: name),
        "context": SimpleNamespace(params={"training": {}}),
        "model_name": "cells",
    }.items():
        monkeypatch.setattr(KedroRun, name, part)
    skip = (False, "No new images: version 7 has seen all.")
    monkeypatch.setattr(novelty, "check_new_images", lambda *_, **__: skip)
    return sent


@pytest.fixture
def run_dag(load_dag: Callable[[str], DAG]) -> Callable[[str], DagRun]:
    def run(pipeline: str) -> DagRun:
        dag, now = load_dag(pipeline), datetime.now(UTC)
        for task in dag.tasks:
            task.retries = 0
        return dag.test(logical_date=now, run_after=now)

    return run


def failing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    from image_classification.orchestration.kedro_run import KedroRun

    def fail(*_: Any) -> None:
        raise RuntimeError("the store is gone")

    for name in names:
        monkeypatch.setattr(KedroRun, name, fail)


def states_of(dag_run: DagRun) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}


def test_run_that_succeeds_sends_nothing(
    notices: list[Notice], run_dag: Callable[[str], DagRun]
) -> None:
    assert str(run_dag("inference").state) == "success"
    assert notices == []


def test_a_profile_that_cannot_be_kept_fails_nothing(
    notices: list[Notice], run_dag: Callable[[str], DagRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "log_profile")
    assert states_of(run_dag("inference"))["close_run"] == "success"
    assert notices == []


def test_task_that_fails_is_told_once(
    notices: list[Notice], run_dag: Callable[[str], DagRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "run_node")
    dag_run = run_dag("inference")
    assert str(dag_run.state) == "failed"
    (notice,) = notices
    assert notice.event == "failure"
    assert notice.subject == "[image-classification] inference failed: list_images"
    assert notice.links["Log of list_images"].endswith("/tasks/list_images")


def test_run_that_cannot_be_opened_is_told_once(
    notices: list[Notice], run_dag: Callable[[str], DagRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "open_mlflow_run")
    assert states_of(run_dag("inference"))["close_run"] == "upstream_failed"
    (notice,) = notices
    assert notice.subject == "[image-classification] inference failed: open_run"


def test_run_that_cannot_be_closed_is_told_though_airflow_calls_it_a_success(
    notices: list[Notice], run_dag: Callable[[str], DagRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "close_mlflow_run")
    dag_run = run_dag("inference")
    assert str(dag_run.state) == "success"
    assert states_of(dag_run)["close_run"] == "failed"
    (notice,) = notices
    assert notice.subject == "[image-classification] inference failed: close_run"
    assert "close_run: RuntimeError: the store is gone" in notice.reason


def test_run_that_fails_and_cannot_be_closed_is_told_once(
    notices: list[Notice], run_dag: Callable[[str], DagRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "run_node", "close_mlflow_run")
    assert set(states_of(run_dag("inference")).values()) == {"success", "failed", "upstream_failed"}
    assert [notice.event for notice in notices] == ["failure"]


def test_night_without_new_images_is_told_once_with_the_reason(
    notices: list[Notice], run_dag: Callable[[str], DagRun]
) -> None:
    dag_run = run_dag("retraining")
    assert str(dag_run.state) == "success"
    assert states_of(dag_run)["train_network"] == "skipped"
    (notice,) = notices
    assert notice.event == "skipped"
    assert notice.subject == "[image-classification] retraining skipped: No new images"
    told, _, ledger = notice.reason.partition("\n\n")
    assert told == "No new images: version 7 has seen all."
    assert ledger == "Ledger: entry 7 sha256:abc"
    assert notice.links["MLflow run"] == MLFLOW_RUN
    assert notice.links["Log"].endswith("/tasks/check_new_images")


def test_every_dag_tells_of_its_failure(load_dag: Callable[[str], DAG]) -> None:
    from image_classification.orchestration.notices.failure import (
        CloseFailureNotifier,
        FailureNotifier,
    )
    from image_classification.orchestration.steps.ending import LastWords

    for name in ("__default__", "data_processing", "inference", "retraining", "review"):
        dag = load_dag(name)
        assert type(dag.on_failure_callback) is FailureNotifier
        of_close_run, last = dag.get_task("close_run").on_failure_callback
        assert type(of_close_run) is CloseFailureNotifier
        assert type(last) is LastWords
