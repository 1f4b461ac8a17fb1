"""The note of a DAG run, through Airflow's public API."""

from __future__ import annotations

import logging
import os
from urllib.parse import quote

import requests
from airflow.sdk import conf

logger = logging.getLogger(__name__)

LONGEST_NOTE = 1000
TIMEOUT_S = 10


def write_dag_run_note(dag_id: str, run_id: str, note: str) -> bool:
    """Set the note of a DAG run. Returns whether it was written.

    Args:
        dag_id: the DAG.
        run_id: its run.
        note: Markdown, cut to 1,000 characters, Airflow's limit.
    """
    username = os.environ.get("AIRFLOW_API_USERNAME")
    password = os.environ.get("AIRFLOW_API_PASSWORD")
    if not (username and password):
        logger.info("No note on the DAG run: AIRFLOW_API_USERNAME and _PASSWORD are not set")
        return False
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    try:
        token = requests.post(
            f"{base}/auth/token",
            json={"username": username, "password": password},
            timeout=TIMEOUT_S,
        )
        token.raise_for_status()
        answer = requests.patch(
            f"{base}/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}",
            json={"note": note[:LONGEST_NOTE]},
            headers={"Authorization": f"Bearer {token.json()['access_token']}"},
            timeout=TIMEOUT_S,
        )
        answer.raise_for_status()
    except (requests.RequestException, KeyError) as error:
        logger.warning("The note of the DAG run was not written: %s", error)
        return False
    return True
