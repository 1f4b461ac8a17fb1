"""The question to an approver, up to the moment when it waits, and what becomes of the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from operator_runs import listen, make_context, make_operator, start_with

from image_classification.orchestration.steps.approval import AskApproverOperator

REASON = "v2: challenger is better."
EVIDENCE = f"**{REASON}**\n\n| measure | this version |"


def test_person_is_shown_the_evidence_and_told_where_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.providers.standard.operators import hitl
    from airflow.sdk.exceptions import TaskAwaitingInput

    told = listen(monkeypatch)
    asked: list[Any] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: asked.append(detail))
    run: Any = start_with(monkeypatch, account_describe_decision=(REASON, EVIDENCE))
    with pytest.raises(TaskAwaitingInput):
        make_operator(AskApproverOperator, "ask_approver").execute(make_context("ask_approver"))
    assert run.pages == [""]
    (question,) = asked
    assert question["body"] == EVIDENCE
    assert question["options"] == ["Approve", "Reject"]
    assert question["defaults"] == ["Reject"]
    page = "http://airflow/dags/counting/runs/manual__1/tasks/ask_approver/required_actions"
    assert told.notes == [f"A challenger is better, and waits up to 12 hours for an answer: {page}"]
    (notice,) = told.notices
    assert notice.event == "needs_you"
    assert notice.reason.startswith(REASON)
    assert "within 12 hours: after that the champion stays" in notice.reason
    assert list(notice.links)[:2] == ["Answer", "Model version 2"]


@pytest.mark.parametrize(
    ("option", "task"), [("Approve", "promote_challenger"), ("Reject", "keep_champion")]
)
def test_answer_is_kept_with_who_gave_it_and_chooses_the_branch(
    option: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches: list[Any] = []
    monkeypatch.setattr(
        AskApproverOperator,
        "do_branch",
        lambda _, **how: branches.append(how["branches_to_execute"]),
    )
    context, user = make_context("ask_approver"), {"id": "ada", "name": "Ada"}
    answer = {
        "chosen_options": [option],
        "params_input": {"reason": "looked at the plots"},
        "responded_at": datetime.now(UTC),
        "responded_by_user": user,
    }
    make_operator(AskApproverOperator, "ask_approver").execute_complete(context, answer)
    assert context["ti"].pushed["answer"] == {
        "chosen_options": [option],
        "params_input": {"reason": "looked at the plots"},
        "responded_by_user": user,
    }
    assert branches == [[task]]
