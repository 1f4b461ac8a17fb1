"""What the questions to people have in common."""

from __future__ import annotations

from image_classification.orchestration.steps.question import ask_why


def test_a_question_asks_for_the_reason_and_has_no_time_limit() -> None:
    arguments = ask_why({"task_id": "ask", "params": {"of": "the DAG"}}, "Kept for ever.")
    assert arguments["task_id"] == "ask"
    assert arguments["execution_timeout"] is None
    assert list(arguments["params"]) == ["reason"]
    reason = arguments["params"]["reason"]
    assert reason.description == "Kept for ever."
    assert reason.resolve()  # not empty: the form is checked before anybody is asked
