"""The modules that Airflow imports at the start of every task.

Relied on: their names. Where a module is gone, a warning says so, and each task imports what has
taken its place: it takes longer, and nothing fails. We know of no issue about it. It can go when
Airflow's executors import what a task needs before they fork.
"""

from __future__ import annotations

TASK_MODULES = (
    "jinja2.ext",
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.dagbag",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.timeout",
    "airflow.version",
)
