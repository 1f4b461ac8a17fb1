"""Who says something about a version, and in which run."""

from __future__ import annotations

from image_classification.champion.statement import DecisionRun, Statement


def test_a_dag_run_is_shared_by_tasks_and_a_run_without_airflow_is_one_process() -> None:
    assert DecisionRun("r1", "retraining/one", "http://airflow/runs/one").is_shared
    assert not DecisionRun("r1", airflow_url="http://airflow").is_shared


def test_where_nobody_says_anything_the_policy_decides() -> None:
    assert Statement() == Statement("the policy", comment="", reason="")
