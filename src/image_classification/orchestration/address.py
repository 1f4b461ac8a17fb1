"""Addresses of Airflow's pages."""

from __future__ import annotations

from urllib.parse import quote

from airflow.sdk import conf

from image_classification.configuration.scope import SHARED, Scope
from image_classification.pages import NIGHTS


def locate_airflow() -> str:
    """Return the address of Airflow itself, without a slash at its end."""
    return str(conf.get("api", "base_url", fallback="http://localhost:8080")).rstrip("/")


def locate_dag(dag_id: str) -> str:
    """Return the address of a DAG's page, where it is triggered."""
    return f"{locate_airflow()}/dags/{dag_id}"


def locate_dag_run(dag_id: str, run_id: str) -> str:
    """Return the address of a DAG run's page."""
    return f"{locate_dag(dag_id)}/runs/{quote(run_id)}"


def locate_task(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """Return the address of a task's page in a DAG run: its log.

    Args:
        dag_id: the DAG.
        run_id: its run.
        task_id: the task.
        map_index: which of a mapped task; -1 for a task that is not mapped.
    """
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{locate_dag_run(dag_id, run_id)}/tasks/{task_id}{mapped}"


def locate_question(dag_id: str, run_id: str, task_id: str) -> str:
    """Return the address of the page where a person answers a task's question."""
    return f"{locate_task(dag_id, run_id, task_id)}/required_actions"


def locate_night(mlflow_run_id: str, scope: Scope = SHARED) -> str:
    """Return the address of the page of a night, as `orchestration.plugin` shows it."""
    return f"{scope.locate(f'{locate_airflow()}{NIGHTS}')}/{mlflow_run_id}.html"
