"""Addresses of Airflow's pages."""

from __future__ import annotations

import pytest

from image_classification.orchestration.address import (
    locate_airflow,
    locate_dag,
    locate_dag_run,
    locate_question,
    locate_task,
)

RUN_ID = "manual__2026-01-02T03:04:05+00:00"
RUN = "http://airflow/dags/retraining/runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00"


@pytest.fixture(autouse=True)
def _airflow_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow/")


def test_airflow_is_where_its_configuration_says() -> None:
    assert locate_airflow() == "http://airflow"


def test_address_of_a_dag_is_that_of_its_page() -> None:
    assert locate_dag("rollback") == "http://airflow/dags/rollback"


def test_address_of_a_dag_run_is_that_of_its_page() -> None:
    assert locate_dag_run("retraining", RUN_ID) == RUN


def test_address_of_a_task_is_that_of_its_log() -> None:
    assert locate_task("retraining", RUN_ID, "train_network") == f"{RUN}/tasks/train_network"


def test_mapped_task_is_found_by_its_index() -> None:
    address = locate_task("retraining", RUN_ID, "request_reviews", 0)
    assert address == f"{RUN}/tasks/request_reviews/mapped/0"


def test_question_is_answered_on_the_page_of_required_actions() -> None:
    address = locate_question("retraining", RUN_ID, "ask_approver")
    assert address == f"{RUN}/tasks/ask_approver/required_actions"
