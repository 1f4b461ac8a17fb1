"""Operators that run alone: with as much of a context, and of the Kedro side, as they ask for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dag_settings import SETTINGS

from image_classification.configuration.scope import SHARED
from image_classification.gate.verdict import ACTIONS
from image_classification.orchestration.notices.notification import LogNotifier, Notice
from image_classification.orchestration.settings import read_settings
from image_classification.orchestration.steps import base
from image_classification.orchestration.steps.base import PipelineOperator

RUN_ID = "manual__1"


LEDGER = "Ledger: entry 7 sha256:abc"
"""How the ledger ends, as people are told."""


class FakeTaskInstance:
    """What a task has been handed, and what it hands on."""

    def __init__(self, task_id: str, results: dict[Any, Any], states: dict[str, str]) -> None:
        self.task_id, self.id, self.map_index = task_id, "1", -1
        self.results, self.states = results, states
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.results.get((task_ids, key))

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        return dict.fromkeys(run_ids, self.states)


def make_operator(operator: type[PipelineOperator], task_id: str = "task", **arguments: Any) -> Any:
    """Return an operator of the pipeline `counting`, in no DAG."""
    settings = read_settings("counting", SETTINGS)
    return operator(
        task_id=task_id,
        pipeline="counting",
        project_path=str(Path("/project")),
        settings=settings,
        **arguments,
    )


def make_context(
    task_id: str = "task",
    results: dict[Any, Any] | None = None,
    states: dict[str, str] | None = None,
    **more: Any,
) -> Any:
    """Return the context of a task of the DAG `counting`.

    Args:
        task_id: the task.
        results: of other tasks, by their id and the key.
        states: of all tasks, by id.
        more: further entries of the context.
    """
    ti = FakeTaskInstance(task_id, results or {}, states or {})
    return {
        "dag": SimpleNamespace(dag_id="counting", task_dict={}),
        "dag_run": SimpleNamespace(
            run_type="manual", logical_date=datetime.now(UTC), run_after=None
        ),
        "run_id": RUN_ID,
        "ti": ti,
        "task_instance": ti,
        "params": {},
    } | more


class Told:
    """What came of an operator where people look.

    Attributes:
        notes: of the DAG run, the last one last.
        notices: to people.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.notices: list[Notice] = []


def listen(patch: pytest.MonkeyPatch) -> Told:
    """Let notes and notices go nowhere else."""
    told = Told()
    patch.setenv("AIRFLOW__API__BASE_URL", "http://airflow")
    patch.setattr(
        "image_classification.orchestration.notices.note.write_dag_run_note",
        lambda *note: told.notes.append(note[-1]),
    )
    patch.setattr(LogNotifier, "notify", lambda self, _: told.notices.append(self.notice))
    return told


def start_with(patch: pytest.MonkeyPatch, **answers: Any) -> SimpleNamespace:
    """Let every operator find a Kedro side that gives these answers; return it.

    Args:
        patch: undoes it.
        answers: of the account of the run where they begin with `account_`, of what follows the
            nodes where they begin with `aftermath_`, and else of the run itself. A value is what a
            method returns; a function is the method.
    """
    run = SimpleNamespace(
        account=SimpleNamespace(
            read_watch=lambda: "",
            read_regret=lambda: None,
            list_held_batches=list,
            list_label_questions=list,
            is_about_labels=False,
            list_set_aside=list,
            list_left_alone=list,
            locate_night=dict,
            locate_evidence=lambda: {"Model version 2": "http://mlflow/2"},
            describe_ledger=lambda: LEDGER,
        ),
        aftermath=SimpleNamespace(
            release=SimpleNamespace(read_refusal=lambda: ""),
            look=lambda: ([], []),
            read_action=lambda: ACTIONS["promote"],
        ),
        backfill=False,
        experiment_id="1",
        has_page=False,
        scope=SHARED,
        outcomes=[],
        pages=[],
        locate_mlflow_run=lambda: "http://mlflow/run",
        is_settled=lambda: False,
    )
    run.record_outcome = run.outcomes.append
    run.write_page = run.pages.append
    for name, answer in answers.items():
        part, _, rest = name.partition("_")
        owner = getattr(run, part) if part in ("account", "aftermath") else run
        place = rest if owner is not run else name
        setattr(owner, place, _make_method(answer))
    patch.setattr(base.PipelineOperator, "start", lambda *_: run)
    return run


def _make_method(answer: Any) -> Callable[..., Any]:
    if isinstance(answer, BaseException):

        def fail(*_: Any, **__: Any) -> None:
            raise answer

        return fail
    if callable(answer):
        method: Callable[..., Any] = answer
        return method
    return lambda *_, **__: answer
