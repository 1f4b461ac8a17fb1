"""The notice of a DAG run that failed, from as much as Airflow tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from receiver import Receiver, Request, receive

from image_classification.orchestration.notices.failure import (
    REMEDY,
    CloseFailureNotifier,
    FailureNotifier,
    describe_champion,
)
from image_classification.orchestration.notices.headline import head_failure
from image_classification.orchestration.notices.notification import Notice
from image_classification.orchestration.settings import NotificationSettings

RUN_ID = "scheduled__2026-01-02T02:00:00+00:00"
UNTOUCHED = "The champion was not changed by this failure."
MLFLOW_RUN = "MLflow run: http://mlflow/#/experiments/1/runs/abc"
OUTCOME = f"failed: train_network. {UNTOUCHED} {REMEDY}"
STATES = {
    "open_run": "success",
    "train_network": "failed",
    "promote_challenger": "upstream_failed",
    "close_run": "success",
}
SETTINGS = NotificationSettings()


def make_dag(*tasks: str) -> Any:
    from airflow.sdk import DAG, BaseOperator

    with DAG("retraining", schedule=None) as dag:
        for task in tasks or STATES:
            BaseOperator(task_id=task)
    return dag


def thin(reason: str = "task_failure") -> Any:
    return {"dag": make_dag(), "run_id": RUN_ID, "reason": reason}


def full(
    states: dict[str, str | None] | Exception = STATES, task: str = "train_network", **more: Any
) -> Any:
    """Return a context with a task, through which the states of all can be asked for."""

    def get_task_states(dag_id: str, run_ids: list[str]) -> dict[str, Any]:
        if isinstance(states, Exception):
            raise states
        return {RUN_ID: states} if (dag_id, run_ids) == ("retraining", [RUN_ID]) else {}

    ti = SimpleNamespace(task_id=task, map_index=-1, try_number=3, get_task_states=get_task_states)
    return thin() | {"ti": ti} | more


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    """The notices that are sent."""
    sent: list[Notice] = []
    monkeypatch.setattr(
        "image_classification.orchestration.notices.failure.send_notice",
        lambda notice, _: sent.append(notice),
    )
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow")
    for name in ("AIRFLOW_API_USERNAME", "AIRFLOW_API_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return sent


class Api(Receiver):
    """Airflow's API, with a note and a log."""

    note: str | None = None
    log: list[dict[str, Any]] = []

    def written(self) -> list[str]:
        return [asked.body["note"] for asked in self.requests if asked.method == "PATCH"]


@pytest.fixture
def api(notices: list[Notice], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    def answer(asked: Request) -> tuple[int, Any]:
        if asked.method == "POST":
            return 201, {"access_token": "the-token"}
        return 200, {"content": api.log} if "/logs/" in asked.path else {"note": api.note}

    with receive(answer, Api) as api:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", api.url)
        monkeypatch.setenv("AIRFLOW_API_USERNAME", "reader")
        monkeypatch.setenv("AIRFLOW_API_PASSWORD", "secret")
        yield api


def fail_by(error: str) -> list[dict[str, Any]]:
    kind, _, text = error.partition(": ")
    return [
        {"level": "error", "event": "x", "error_detail": [{"exc_type": kind, "exc_value": text}]}
    ]


# Without Airflow's API


def test_names_the_failed_task_the_champion_and_what_to_do(notices: list[Notice]) -> None:
    FailureNotifier(SETTINGS)(full())
    (notice,) = notices
    assert notice.event == "failure"
    assert notice.subject == "[image-classification] retraining failed: train_network"
    assert notice.reason == f"{UNTOUCHED} {REMEDY}"
    run = "http://airflow/dags/retraining/runs/scheduled__2026-01-02T02%3A00%3A00%2B00%3A00"
    assert list(notice.links.items()) == [
        ("Log of train_network", f"{run}/tasks/train_network"),
        ("DAG run", run),
    ]


def test_thin_context_names_the_dag_and_the_run_and_claims_nothing(notices: list[Notice]) -> None:
    FailureNotifier(SETTINGS)(thin())
    (notice,) = notices
    assert notice.subject == "[image-classification] retraining failed: see the DAG run"
    assert "Whether the champion was moved: see the log of promote_challenger." in notice.reason
    assert "Look at the DAG run" in notice.reason
    assert list(notice.links) == ["DAG run"]


def test_without_the_states_the_task_of_the_context_is_named(notices: list[Notice]) -> None:
    FailureNotifier(SETTINGS)(full(states=NameError("SUPERVISOR_COMMS")))
    (notice,) = notices
    assert notice.subject.endswith("retraining failed: train_network")
    assert UNTOUCHED not in notice.reason
    assert "Whether the champion was moved" in notice.reason


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("timed_out", "it took longer than it may"),
        ("all_tasks_deadlocked", "it got stuck, with no task that could run"),
    ],
)
def test_run_that_no_task_failed_says_how_it_ended(
    reason: str, says: str, notices: list[Notice]
) -> None:
    states = {"open_run": "success", "train_network": "skipped", "promote_challenger": "skipped"}
    FailureNotifier(SETTINGS)(full(states, reason=reason))
    (notice,) = notices
    assert notice.subject == f"[image-classification] retraining failed: {says}"
    assert "failed task" not in notice.reason


def test_several_failed_tasks_are_counted_and_the_first_linked(notices: list[Notice]) -> None:
    FailureNotifier(SETTINGS)(full({f"plot_{letter}": "failed" for letter in "dbca"}))
    (notice,) = notices
    assert notice.subject.endswith("failed: plot_a, plot_b, plot_c and 1 more")
    assert [*notice.links] == ["Log of plot_a", "Log of plot_b", "Log of plot_c", "DAG run"]


def test_log_of_a_mapped_task_is_that_of_its_index(notices: list[Notice]) -> None:
    states = {"request_reviews_2": "failed"}
    dag = make_dag("request_reviews")
    FailureNotifier(SETTINGS)(full(states, dag=dag))
    assert notices[0].links["Log of request_reviews_2"].endswith("/tasks/request_reviews/mapped/2")


def test_dag_that_never_moves_the_champion_says_nothing_of_it(notices: list[Notice]) -> None:
    dag = make_dag("open_run", "train_network")
    FailureNotifier(SETTINGS)(full({"train_network": "failed"}, dag=dag))
    assert "champion" not in notices[0].reason


# What became of the champion


RETRAINING = ("train_network", "promote_challenger")


@pytest.mark.parametrize(
    ("state", "end", "says"),
    [
        (None, "task_failure", UNTOUCHED),
        ("upstream_failed", "task_failure", UNTOUCHED),
        ("skipped", "task_failure", UNTOUCHED),
        ("success", "task_failure", "The challenger was promoted before that"),
        ("success", "timed_out", "The challenger was promoted before that"),
        ("failed", "task_failure", "Whether the champion was moved"),
        ("up_for_retry", "task_failure", "Whether the champion was moved"),
        ("skipped", "timed_out", "Whether the champion was moved"),
        (None, "timed_out", UNTOUCHED),
    ],
)
def test_champion_is_said_to_be_untouched_only_where_that_is_known(
    state: str | None, end: str, says: str
) -> None:
    assert describe_champion(RETRAINING, {"promote_challenger": state}, end).startswith(says)


def test_rollback_that_was_done_before_the_failure_is_named() -> None:
    says = describe_champion(["plan_rollback", "restore_champion"], {"restore_champion": "success"})
    assert says.startswith("The rollback was done before that")


def test_nothing_is_said_of_the_champion_where_no_state_is_known() -> None:
    assert describe_champion(RETRAINING, None).startswith("Whether the champion was moved")


# With Airflow's API


def test_error_comes_first_and_the_mlflow_run_is_linked(api: Api, notices: list[Notice]) -> None:
    api.note, api.log = f"{OUTCOME}\n\n{MLFLOW_RUN}", fail_by("ValueError: no cells")
    FailureNotifier(SETTINGS)(full())
    (notice,) = notices
    assert notice.reason == f"train_network: ValueError: no cells\n\n{UNTOUCHED} {REMEDY}"
    assert notice.links["MLflow run"] == MLFLOW_RUN.removeprefix("MLflow run: ")
    assert "/taskInstances/train_network/logs/3?" in api.requests[3].path


def test_batches_that_wait_are_told_as_the_note_tells_them(api: Api, notices: list[Notice]) -> None:
    held = "Held for a review: blank. Answer at http://airflow/dags/review/required_actions"
    api.note = f"{OUTCOME}\n\n{held}\n\n{MLFLOW_RUN}"
    FailureNotifier(SETTINGS)(full())
    assert notices[0].reason == f"{UNTOUCHED} {REMEDY}\n\n{held}"


def test_note_that_tells_of_the_failure_is_left_alone(api: Api) -> None:
    api.note = f"{OUTCOME}\n\n{MLFLOW_RUN}"
    FailureNotifier(SETTINGS)(full())
    assert api.written() == []


def test_error_that_the_log_does_not_have_leaves_what_the_note_says(
    api: Api, notices: list[Notice]
) -> None:
    stops = "Batch 'typo' is quarantined."
    states = STATES | {"train_network": "upstream_failed", "check_contract": "failed"}
    for head in (head_failure("check_contract"), "failed: check_contract."):
        api.note = f"{head} {UNTOUCHED} {stops} {REMEDY}\n\n{MLFLOW_RUN}"
        FailureNotifier(SETTINGS)(full(states, "check_contract"))
        assert notices.pop().reason == f"{UNTOUCHED} {stops} {REMEDY}"


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        (None, []),
        (MLFLOW_RUN, [MLFLOW_RUN]),
        ("promoted v3: better", ["promoted v3: better"]),
        (f"failed: train_network. {REMEDY}\nKeyError: old\n\n{MLFLOW_RUN}", [MLFLOW_RUN]),
    ],
    ids=["no note", "of open_run", "of a promotion", "of an earlier try"],
)
def test_where_close_run_could_not_tell_the_note_is_made_to(
    note: str | None, kept: list[str], api: Api, notices: list[Notice]
) -> None:
    api.note, api.log = note, fail_by("ValueError: no cells\n\nin the batch")
    FailureNotifier(SETTINGS)(full(STATES | {"close_run": "upstream_failed"}))
    error = "train_network: ValueError: no cells in the batch"
    head = head_failure(error)
    assert head.startswith("failed: ValueError: no cells in the batch. To do: ")
    said = f"{head} train_network. {UNTOUCHED} {REMEDY}"
    assert api.written() == ["\n\n".join([f"{said}\n{error}", *kept])]
    assert notices[0].reason.endswith(f"\n\n{UNTOUCHED} {REMEDY}")


@pytest.mark.parametrize("note", [MLFLOW_RUN, f"{OUTCOME}\n\n{MLFLOW_RUN}"])
def test_run_that_took_too_long_has_it_in_its_note(note: str, api: Api) -> None:
    api.note = note
    states = {"train_network": "skipped", "close_run": "skipped"}
    FailureNotifier(SETTINGS)(full(states, reason="timed_out"))
    (written,) = api.written()
    assert written.startswith("failed: it took longer than it may. ")
    assert written.endswith(f"\n\n{MLFLOW_RUN}")


def test_note_is_believed_where_the_states_are_not_known(api: Api, notices: list[Notice]) -> None:
    api.note = f"{OUTCOME}\n\n{MLFLOW_RUN}"
    FailureNotifier(SETTINGS)(thin())
    assert UNTOUCHED in notices[0].reason
    assert api.written() == []


def test_api_that_does_not_answer_costs_the_notice_its_details_alone(
    api: Api, notices: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:9")
    FailureNotifier(SETTINGS)(full())
    assert notices[0].reason == f"{UNTOUCHED} {REMEDY}"


# The task that closes the run


def test_close_run_that_fails_alone_is_told_with_its_error(notices: list[Notice]) -> None:
    states = STATES | {
        "train_network": "success",
        "promote_challenger": "success",
        "close_run": "running",
    }
    error = ConnectionError("MLflow is gone")
    CloseFailureNotifier(SETTINGS)(full(states, "close_run", exception=error, reason=None))
    (notice,) = notices
    assert notice.subject == "[image-classification] retraining failed: close_run"
    error, outcome = notice.reason.split("\n\n")
    assert error == "close_run: ConnectionError: MLflow is gone"
    assert outcome.startswith("Airflow may show the run as a success, but its MLflow run was not ")
    assert "The challenger was promoted before that" in outcome


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_close_run_that_fails_after_another_task_leaves_the_telling_to_the_dag(
    state: str, notices: list[Notice]
) -> None:
    CloseFailureNotifier(SETTINGS)(full(STATES | {"train_network": state}, "close_run"))
    assert notices == []


def test_close_run_whose_fellows_are_not_known_is_told(notices: list[Notice]) -> None:
    CloseFailureNotifier(SETTINGS)(full(NameError("SUPERVISOR_COMMS"), "close_run"))
    assert len(notices) == 1
