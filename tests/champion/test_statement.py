"""Who says something about a version, and in which run."""

from __future__ import annotations

from image_classification.champion.statement import DecisionRun, Statement


def test_a_dag_run_is_shared_by_tasks_and_a_version_leads_back_to_it() -> None:
    run = DecisionRun("r1", "retraining/one", "http://airflow/runs/one")
    assert run.is_shared
    assert run.tags == {
        "airflow.run": "retraining/one",
        "airflow.url": "http://airflow/runs/one",
    }


def test_a_run_without_airflow_is_one_process_and_leads_nowhere() -> None:
    run = DecisionRun("r1", airflow_url="http://airflow")
    assert not run.is_shared
    assert run.tags == {}


def test_where_nobody_says_anything_the_policy_decides() -> None:
    assert Statement() == Statement("the policy", comment="", reason="")
