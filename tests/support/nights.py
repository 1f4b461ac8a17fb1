"""What the end-to-end tests look at: the nights that ran on a real stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from image_classification.local.airflow_api import AirflowClient
from image_classification.local.services import Stack

PROJECT = Path(__file__).resolve().parents[2]
DAG_ID = "retraining"

IDLE = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.6",
}
"""A stack of tests does less beside its nights, since it has two processors with others.

DAG files that do not change are parsed when Airflow starts, and not each half minute again; a
scheduler without work looks less often.
"""

BAD = {
    "b-typo": "its folder is not a class",
    "c-pipe": "labels.csv of batch 'c-pipe' cannot be read: it is a pipe",
    "d-empty": "the file is empty (0 bytes)",
    "e-flat": "the file lies in no class folder",
    "f-torn": "'f-torn.zip' is not a whole zip file",
}
"""Batches that arrive in the third night beside three good ones, and what is wrong with each."""


@dataclass
class Nights:
    """What the nights left: the stack they ran on, and each DAG run with its tasks."""

    stack: Stack
    client: AirflowClient
    runs: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, str]] = field(default_factory=list)

    def ask(self, path: str) -> dict[str, Any]:
        """Return what Airflow answers to a path of its API, as `admin`."""
        url = self.stack.airflow_url
        credentials = {"username": "admin", "password": self.stack.password}
        token = requests.post(f"{url}/auth/token", json=credentials, timeout=30)
        token.raise_for_status()
        headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
        answer = requests.get(f"{url}/api/v2{path}", headers=headers, timeout=30)
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content

    def ask_mlflow(self, path: str, body: Any = None, user: str = "viewer") -> requests.Response:
        """Return what MLflow answers a user: to a path, or to something posted there."""
        return requests.request(
            "POST" if body is not None else "GET",
            f"{self.stack.mlflow_url}/{path.lstrip('/')}",
            json=body,
            auth=(user, self.stack.accounts.read_mlflow_password(user)),
            timeout=30,
        )

    def run(self, **conf: Any) -> None:
        run_id = self.client.trigger(DAG_ID, conf)
        self.client.follow(DAG_ID, run_id, lambda _: None, timeout_s=600)
        self.runs.append(self.client.get_run(DAG_ID, run_id))
        states = self.client.list_tasks(DAG_ID, run_id)
        self.tasks.append({task["task_id"]: task["state"] for task in states})
