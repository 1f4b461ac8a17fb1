"""The operators at both ends of a run, and the one that runs a node."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from operator_runs import LEDGER, Told, listen, make_context, make_operator, start_with

from image_classification.errors import ConfigurationError, ContractError, RegistryError
from image_classification.orchestration.notices import note
from image_classification.orchestration.notices.failure import REMEDY
from image_classification.orchestration.steps.ending import FailedForGood
from image_classification.orchestration.steps.run import (
    CloseRunOperator,
    KedroNodeOperator,
    OpenRunOperator,
)

WATCH = "champion v1 holds"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return listen(monkeypatch)


# The beginning


def test_opening_hands_on_the_run_and_its_experiment_and_links_it(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_with(monkeypatch, open_mlflow_run="abc")
    context = make_context("open_run")
    assert make_operator(OpenRunOperator, "open_run").execute(context) == "abc"
    assert context["ti"].pushed == {"experiment_id": "1"}
    assert told.notes == ["MLflow run: http://mlflow/run"]


def test_opening_is_not_tried_again_where_the_form_loosens_a_rule(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_with(monkeypatch, open_mlflow_run=ConfigurationError("may not loosen"))
    with pytest.raises(FailedForGood, match="may not loosen"):
        make_operator(OpenRunOperator, "open_run").execute(make_context("open_run"))


def test_what_disagrees_with_the_ledger_is_told_before_a_run_may_move_the_champion(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (["the alias was moved by hand"], ["version 9 is a stranger"])
    start_with(monkeypatch, open_mlflow_run="abc", aftermath_look=found)
    dag = SimpleNamespace(dag_id="counting", task_dict={"promote_challenger": None})
    make_operator(OpenRunOperator, "open_run").execute(make_context("open_run", dag=dag))
    (notice,) = told.notices
    assert notice.event == "alert"
    for said in (*found[0], *found[1], "docs/promotion.md", LEDGER):
        assert said in notice.reason
    assert told.notes[0].startswith("the alias was moved by hand\n\nversion 9 is a stranger\n\n")
    # Another DAG leaves the champion alone, and the ledger too.
    make_operator(OpenRunOperator, "open_run").execute(make_context("open_run"))
    assert len(told.notices) == 1


# A node


def run_node(patch: pytest.MonkeyPatch, name: str, **answers: Any) -> list[Any]:
    """Return what the Kedro side is asked to do, in order."""
    asked: list[Any] = []
    start_with(
        patch,
        **{
            "run_node": asked.append,
            "answer_review": asked.append,
        }
        | answers,
    )
    response = {
        "chosen_options": ["Accept"],
        "params_input": {"reason": "sharp"},
        "responded_by_user": {"name": "Ada"},
    }
    context = make_context(
        results={("ask_reviewer", "return_value"): response},
        dag_run=SimpleNamespace(triggering_user_name="Grace"),
    )
    make_operator(KedroNodeOperator, name, node_name=name).execute(context)
    return asked


def test_node_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_node(monkeypatch, "train_network") == ["train_network"]


def test_node_that_records_a_review_is_given_the_answer_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = {"answer": "accept", "by": "Ada", "reason": "sharp"}
    assert run_node(monkeypatch, "record_review") == [answer, "record_review"]


@pytest.mark.parametrize("error", [ConfigurationError, ContractError, RegistryError])
def test_node_that_would_fail_again_is_not_tried_again(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FailedForGood, match="wrong"):
        run_node(monkeypatch, "train_network", run_node=error("wrong"))


def test_any_other_error_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionError, match="gone"):
        run_node(monkeypatch, "train_network", run_node=ConnectionError("gone"))


# The end


def close(
    patch: pytest.MonkeyPatch, states: dict[str, str], refusal: str = "", **answers: Any
) -> tuple[list[str], Any]:
    """Return the outcomes that are recorded, and how the MLflow run is closed."""
    run: Any = start_with(
        patch,
        **{
            "close_mlflow_run": lambda succeeded: "FINISHED" if succeeded else "FAILED",
            "log_profile": None,
            "account_describe_outcome": "took in first",
            "account_describe_champion": "The champion stays.",
        }
        | answers,
    )
    run.aftermath.release.read_refusal = lambda: refusal
    operator = make_operator(CloseRunOperator, "close_run")
    status = operator.execute(make_context("close_run", states=states))
    return run.outcomes, status


def test_run_whose_tasks_say_nothing_is_closed_with_what_it_did(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"open_run": "success", "index_images": "success"}
    assert close(monkeypatch, states) == (["took in first"], "FINISHED")
    assert told.notes == ["took in first\n\nMLflow run: http://mlflow/run"]


def test_the_page_of_a_night_is_written_when_all_is_known(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []
    answers: Any = {"write_page": pages.append, "read_outcome": "kept v3: not better"}
    close(monkeypatch, {"keep_champion": "success"}, **answers)
    assert pages == []
    close(monkeypatch, {"keep_champion": "success"}, **answers, has_page=lambda: True)
    assert pages == ["kept v3: not better"]


@pytest.mark.parametrize("task", ["request_reviews", "announce_images", "request_reviews_2"])
def test_run_that_asked_and_announced_nothing_has_done_its_work(
    task: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"open_run": "success", task: "skipped"}
    assert close(monkeypatch, states) == (["took in first"], "FINISHED")


@pytest.mark.parametrize(
    "states",
    [{"check_new_images": "success", "train_network": "skipped"}, {"keep_champion": "success"}],
    ids=["the rest was skipped", "another task records it"],
)
def test_what_another_task_has_said_of_the_run_is_left(
    states: dict[str, str], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert close(monkeypatch, states) == ([], "FINISHED")
    assert told.notes == []


def test_watch_is_added_to_what_another_task_has_said(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {
        "account_read_watch": WATCH,
        "record_watch": False,
        "read_outcome": "kept v1: no better",
    }
    assert close(monkeypatch, {"keep_champion": "success"}, **answers) == ([], "FINISHED")
    assert told.notes == [f"kept v1: no better\n\n{WATCH}\n\nMLflow run: http://mlflow/run"]
    assert told.notices == []


def test_people_are_told_of_a_champion_that_does_badly(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {
        "account_read_watch": WATCH,
        "account_locate_watched": {"Model version 1": "http://mlflow/1"},
        "record_watch": True,
    }
    close(monkeypatch, {"open_run": "success"}, **answers)
    (notice,) = told.notices
    assert notice.event == "alert"
    assert notice.reason.startswith(f"{WATCH}.")
    assert next(iter(notice.links)) == "Model version 1"


REGRET = {
    "version": "5",
    "against": "3",
    "sentence": "promoted v5 over v3 on 12 March; v5 was worse",
    "advice": "To go back: trigger the DAG `rollback` with version 3.",
    "is_new": True,
}


def test_people_are_asked_for_a_rollback_where_a_promotion_proved_wrong(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {
        "account_read_regret": REGRET,
        "account_locate_version": lambda version: {f"Model version {version}": "http://mlflow/5"},
        "read_outcome": "kept v5: no better",
    }
    assert close(monkeypatch, {"keep_champion": "success"}, **answers) == ([], "FINISHED")
    (notice,) = told.notices
    assert notice.event == "needs_you"
    assert notice.subject == ("[image-classification] the promotion of v5 proved wrong: roll back?")
    assert notice.reason.startswith(f"{REGRET['sentence']}.\n\n{REGRET['advice']}")
    assert list(notice.links)[:2] == ["Roll back", "Model version 5"]
    assert notice.links["Roll back"] == "http://airflow/dags/rollback"
    regretted = f"{REGRET['sentence']}. Roll back to v3?"
    assert told.notes == [f"kept v5: no better\n\n{regretted}\n\nMLflow run: http://mlflow/run"]


def test_a_promotion_that_was_told_to_be_wrong_before_stays_in_the_note_alone(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"account_read_regret": {**REGRET, "is_new": False}, "read_outcome": "kept v5"}
    close(monkeypatch, {"keep_champion": "success"}, **answers)
    assert told.notices == []
    assert REGRET["sentence"] in told.notes[0]


def test_failure_is_explained_with_the_tasks_and_the_champion(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"plot": "failed", "count": "failed", "log_model": "upstream_failed"}
    outcome = "failed: count, plot. To do: read the log, clear the task. The champion stays."
    assert close(monkeypatch, states) == ([outcome], "FAILED")
    assert told.notes[0].startswith(f"{outcome} {REMEDY}")


def test_run_that_had_ended_well_stays_as_it_was_recorded_then(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"train_network": "failed"}
    assert close(monkeypatch, states, is_settled=True) == ([], "FINISHED")
    assert told.notes == []


def test_promotion_that_was_stopped_says_why(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"promote_challenger": "failed"}
    outcomes, _ = close(monkeypatch, states, refusal="Somebody was faster.")
    head = "failed: Somebody was faster. To do: read the log, clear the task."
    assert outcomes == [f"{head} promote_challenger. Somebody was faster."]


def test_profile_that_cannot_be_kept_fails_nothing(
    told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    status = close(monkeypatch, {"open_run": "success"}, log_profile=OSError("full"))[1]
    assert status == "FINISHED"


def test_a_failed_run_tells_first_the_error_of_the_task_that_failed_first(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        {"task_id": "later", "state": "failed", "try_number": 1, "end_date": "2026-01-02T02:09"},
        {"task_id": "pack", "state": "failed", "try_number": 3, "end_date": "2026-01-02T02:01"},
        {"task_id": "load", "state": "success", "try_number": 1, "end_date": "2026-01-02T02:00"},
    ]
    asked: list[Any] = []
    monkeypatch.setattr(note, "read_tasks", lambda *_: tasks)
    monkeypatch.setattr(
        note, "read_error", lambda *given: asked.append(given) or "DataError: no pixels"
    )
    close(monkeypatch, {"pack": "failed", "later": "failed"})
    assert asked == [("counting", "manual__1", "pack", -1, 3)]
    head = "failed: no pixels. To do: mend the data, clear the task. later, pack. "
    assert told.notes[0].startswith(head)
