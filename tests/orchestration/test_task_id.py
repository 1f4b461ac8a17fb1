"""The names of tasks that code relies on are those of tasks."""

from __future__ import annotations

import runpy
from pathlib import Path

from image_classification.gate.verdict import ACTIONS
from image_classification.orchestration import task_id

DAGS = Path(__file__).resolve().parents[2] / "dags"
NAMED = {value for name, value in vars(task_id).items() if name.isupper()}


def test_every_name_is_that_of_a_task_of_some_dag() -> None:
    dags = [runpy.run_path(str(file))["dag"] for file in DAGS.glob("*_dag.py")]
    assert not NAMED - {name for dag in dags for name in dag.task_ids}


def test_what_follows_a_verdict_is_among_them() -> None:
    assert {action.task for action in ACTIONS.values()} <= NAMED
