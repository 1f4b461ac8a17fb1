"""The question to a reviewer, up to the moment when it waits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dag_settings import SETTINGS
from operator_runs import LEDGER, start_with

from image_classification.intake.measure import HEADINGS
from image_classification.orchestration import DagSpec, NodeSpec, build_dag
from image_classification.orchestration.notices.notification import LogNotifier, Notice

NODES = (
    NodeSpec("describe_batch", tags=("review",)),
    NodeSpec("record_review", tags=("review",), after=("describe_batch",)),
)
SUMMARY = (
    "**blank** is held: 8 images.\n\n- 8 of 8 images (100%) are blank\n\n"
    f"| {HEADINGS[0]} | This batch |\n| --- | --- |\n| Images that show nothing | 100 % |\n"
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What happens, in order: the question that Airflow is given, and the notices."""
    from airflow.providers.standard.operators import hitl

    from image_classification.orchestration.steps import review

    events: list[Any] = []
    start_with(monkeypatch, account_describe_review=("blank", SUMMARY, "http://mlflow/sheet", None))
    monkeypatch.setattr(review, "write_note", lambda *_: None)
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: events.append(detail))
    monkeypatch.setattr(LogNotifier, "notify", lambda self, _: events.append(self.notice))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow")
    return events


def test_person_is_told_once_the_question_can_be_answered(asked: list[Any]) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    dag = build_dag(DagSpec("review", Path("/project"), SETTINGS, NODES))
    ti = SimpleNamespace(task_id="ask_reviewer", id="1")
    context: Any = {"dag": dag, "run_id": "review__blank", "ti": ti, "task_instance": ti}
    with pytest.raises(TaskAwaitingInput):
        dag.get_task("ask_reviewer").execute(context)
    question, notice = asked
    assert question["subject"] == "May batch 'blank' join the training set?"
    assert isinstance(notice, Notice)
    assert notice.event == "needs_you"
    assert notice.subject == "[image-classification] batch 'blank' is held and needs you"
    assert "8 of 8 images (100%) are blank" in notice.reason
    assert HEADINGS[0] not in notice.reason
    assert notice.reason.endswith(f"Accept or reject it: until then its images wait.\n\n{LEDGER}")
    run = "http://airflow/dags/review/runs/review__blank"
    assert list(notice.links.items()) == [
        ("Answer", f"{run}/tasks/ask_reviewer/required_actions"),
        ("Most suspicious images", "http://mlflow/sheet"),
        ("MLflow run", "http://mlflow/run"),
        ("DAG run", run),
        ("Log", f"{run}/tasks/ask_reviewer"),
    ]


def test_a_question_about_labels_shows_them_and_says_what_holds_until_then(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    summary = "**north** has another label for 1 images\n\n| image | its label |\n|---|---|\n| x |"
    start_with(
        monkeypatch,
        account_describe_review=("north", summary, "http://mlflow/sheet", "http://mlflow/picture"),
    ).account.is_about_labels = True
    dag = build_dag(DagSpec("review", Path("/project"), SETTINGS, NODES))
    ti = SimpleNamespace(task_id="ask_reviewer", id="1")
    context: Any = {"dag": dag, "run_id": "labels__north", "ti": ti, "task_instance": ti}
    with pytest.raises(TaskAwaitingInput):
        dag.get_task("ask_reviewer").execute(context)
    question, notice = asked
    assert question["subject"] == (
        "May the labels of batch 'north' hold for images that are known under others?"
    )
    assert "![the images with another label](http://mlflow/picture)" in question["body"]
    assert "| image | its label |" in question["body"]
    assert notice.subject == "[image-classification] batch 'north' corrects labels and needs you"
    assert "| image" not in notice.reason
    assert notice.reason.endswith(
        f"until then the images keep the labels that they have.\n\n{LEDGER}"
    )
    assert next(iter(notice.links)) == "Answer"
    assert "Images with another label" in notice.links
