"""A client of Airflow's public REST API: trigger a DAG, follow its run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import requests

from image_classification.local.services import ServiceError

TIMEOUT_S = 30
FINISHED = ("success", "failed")


class AirflowClient:
    """Talks to one Airflow as one user."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._credentials = {"username": username, "password": password}
        self._session = requests.Session()
        self._log_in()

    def wait_for_dag(self, dag_id: str, timeout_s: float = 120) -> None:
        """Wait until Airflow has parsed a DAG.

        Raises:
            ServiceError: it has not in time; import errors are quoted.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._request("GET", f"/dags/{dag_id}").ok:
                return
            time.sleep(1)
        errors = self._get("/importErrors").get("import_errors", [])
        stacks = "\n".join(error["stack_trace"] for error in errors) or "no import errors"
        raise ServiceError(f"Airflow does not know the DAG '{dag_id}' ({stacks}).")

    def unpause(self, dag_id: str) -> None:
        """Let the runs of a DAG start."""
        self._get(f"/dags/{dag_id}", method="PATCH", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run with values of its trigger form; return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        answer = self._get(f"/dags/{dag_id}/dagRuns", method="POST", json=body)
        return str(answer["dag_run_id"])

    def get_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a DAG run."""
        return self._get(f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")

    def list_tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, in the order of their start."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        tasks: list[dict[str, Any]] = self._get(path)["task_instances"]
        return sorted(tasks, key=lambda task: (task["start_date"] or "9", task["task_id"]))

    def follow(
        self,
        dag_id: str,
        run_id: str,
        report: Callable[[dict[str, Any]], None],
        timeout_s: float = 7200,
    ) -> str:
        """Wait for a run, reporting each task when it has ended; return the run's state."""
        reported: set[str] = set()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            state = str(self.get_run(dag_id, run_id)["state"])
            for task in self.list_tasks(dag_id, run_id):
                ended = task["state"] in ("success", "failed", "skipped", "upstream_failed")
                if ended and task["task_id"] not in reported:
                    reported.add(task["task_id"])
                    report(task)
            if state in FINISHED:
                return state
            time.sleep(1)
        raise ServiceError(f"DAG run {dag_id}/{run_id} has not ended after {timeout_s} s.")

    def _get(self, path: str, method: str = "GET", **arguments: Any) -> dict[str, Any]:
        answer = self._request(method, path, **arguments)
        if not answer.ok:
            raise ServiceError(
                f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}"
            )
        content: dict[str, Any] = answer.json()
        return content

    def _request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        url = f"{self.url}/api/v2{path}"
        answer = self._session.request(method, url, timeout=TIMEOUT_S, **arguments)
        if answer.status_code == requests.codes.unauthorized:
            self._log_in()
            answer = self._session.request(method, url, timeout=TIMEOUT_S, **arguments)
        return answer

    def _log_in(self) -> None:
        answer = self._session.post(
            f"{self.url}/auth/token", json=self._credentials, timeout=TIMEOUT_S
        )
        if not answer.ok:
            raise ServiceError(f"Airflow at {self.url} refused the log-in: {answer.text[:300]}")
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
