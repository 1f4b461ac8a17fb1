"""What Airflow's public API knows of a DAG run: its note, and why a task failed.

It is asked with `requests`, which a task has imported anyway. Airflow's own client, which `local`
uses, would cost each task 0.9 s of processor time and 19 MiB to import (apache-airflow-client
3.3.2), more than the requests themselves.
"""

from __future__ import annotations

import logging
import os
from typing import Any
from urllib.parse import quote

import requests

from image_classification.orchestration.address import locate_airflow
from image_classification.orchestration.notices.headline import HAPPENED

logger = logging.getLogger(__name__)

LONGEST_NOTE = 1000
TIMEOUT_S = 10
PAGE = 100
"""The largest number of tasks that Airflow lists in one answer."""

TASK_KEYS = ("task_id", "state", "try_number", "queued_when", "start_date", "end_date")


def write_dag_run_note(dag_id: str, run_id: str, note: str) -> bool:
    """Set the note of a DAG run. Returns whether it was written.

    Args:
        dag_id: the DAG.
        run_id: its run.
        note: Markdown, cut to 1,000 characters, Airflow's limit.
    """
    if not _may_ask():
        logger.info("No note on the DAG run: AIRFLOW_API_USERNAME and _PASSWORD are not set")
        return False
    try:
        _ask("PATCH", _path_of_run(dag_id, run_id), {"note": note[:LONGEST_NOTE]})
    except (requests.RequestException, KeyError) as error:
        logger.warning("The note of the DAG run was not written: %s", error)
        return False
    return True


def read_dag_run_note(dag_id: str, run_id: str) -> str | None:
    """Return the note of a DAG run, "" if it has none, None if it cannot be read."""
    if not _may_ask():
        return None
    try:
        return str(_ask("GET", _path_of_run(dag_id, run_id))["note"] or "")
    except (requests.RequestException, KeyError) as error:
        logger.warning("The note of the DAG run was not read: %s", error)
        return None


def read_tasks(dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return when each task of a DAG run was queued, began and ended; [] if it cannot be read."""
    if not _may_ask():
        return []
    try:
        path = f"{_path_of_run(dag_id, run_id)}/taskInstances?limit={PAGE}"
        tasks: list[dict[str, Any]] = []
        while True:
            page = _ask("GET", f"{path}&offset={len(tasks)}")
            tasks += page["task_instances"]
            if not page["task_instances"] or len(tasks) >= page["total_entries"]:
                break
        return [{key: task.get(key) for key in TASK_KEYS} for task in tasks]
    except (requests.RequestException, LookupError) as error:
        logger.warning("The times of the tasks were not read: %s", error)
        return []


def read_error(dag_id: str, run_id: str, task_id: str, map_index: int, try_number: int) -> str:
    """Return the last error in the log of one try of a task, "" if there is none to be read.

    Airflow has masked the secrets that it knows of in the log.
    """
    path = f"{_path_of_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
    try:
        lines = _ask("GET", f"{path}?map_index={map_index}&full_content=true")["content"]
        errors = [line for line in lines if line.get("level") in ("error", "critical")]
        return _describe_error(errors[-1]) if errors else ""
    except (requests.RequestException, LookupError, TypeError, AttributeError) as error:
        logger.warning("The log of '%s' was not read: %s", task_id, error)
        return ""


def _describe_error(line: dict[str, Any]) -> str:
    """Return the exception of a line of a log, or what it says of a process that was killed."""
    exceptions = line.get("error_detail") or []
    # AirflowFailException only wraps the error that says what happened.
    telling = [each for each in exceptions if each["exc_type"] != "AirflowFailException"]
    if chosen := (telling or exceptions)[:1]:
        return f"{chosen[0]['exc_type']}: {chosen[0]['exc_value']}"
    return str(line["event"]).removeprefix(HAPPENED)


def _may_ask() -> bool:
    return bool(os.environ.get("AIRFLOW_API_USERNAME") and os.environ.get("AIRFLOW_API_PASSWORD"))


def _path_of_run(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Log in, ask, and return the answer's content."""
    base = locate_airflow()
    credentials = {
        "username": os.environ["AIRFLOW_API_USERNAME"],
        "password": os.environ["AIRFLOW_API_PASSWORD"],
    }
    token = requests.post(f"{base}/auth/token", json=credentials, timeout=TIMEOUT_S)
    token.raise_for_status()
    answer = requests.request(
        method,
        f"{base}/api/v2{path}",
        json=body,
        headers={
            "Authorization": f"Bearer {token.json()['access_token']}",
            "Accept": "application/json",
        },
        timeout=TIMEOUT_S,
    )
    answer.raise_for_status()
    return answer.json()
