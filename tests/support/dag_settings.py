"""Settings of a DAG, as `airflow.yml` has them."""

from __future__ import annotations

from typing import Any

SETTINGS: dict[str, Any] = {
    "description": "Count the cells.",
    "schedule": None,
    "timezone": "UTC",
    "catchup": False,
    "max_active_runs": 1,
    "owner": "laboratory",
    "tags": [],
    "retries": 2,
    "retry_delay_s": 10,
    "maximum_retry_delay_s": 300,
    "task_timeout_minutes": 5,
}
