"""Airflow as the demonstration uses it: trigger a DAG, follow its run.

Airflow's own client asks; it has no log-in, so the token is fetched here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from airflow_client.client import (
    ApiClient,
    ApiException,
    Configuration,
    DAGApi,
    DAGPatchBody,
    DagRunApi,
    ImportErrorApi,
    TaskInstanceApi,
    TriggerDAGRunPostBody,
)
from airflow_client.client.exceptions import NotFoundException, UnauthorizedException

from image_classification.local.ports import ServiceError

TIMEOUT_S = 30.0
FINISHED = ("success", "failed")
ENDED = ("success", "failed", "skipped", "upstream_failed")


class AirflowClient:
    """Talks to one Airflow as one user; an answer is a dictionary, as Airflow's JSON has it."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._credentials = {"username": username, "password": password}
        self._settings = Configuration(host=self.url, access_token=self._fetch_token())
        api = ApiClient(self._settings)
        self._dags, self._runs, self._tasks = DAGApi(api), DagRunApi(api), TaskInstanceApi(api)
        self._errors = ImportErrorApi(api)

    def wait_for_dag(self, dag_id: str, timeout_s: float = 120) -> None:
        """Wait until Airflow has parsed a DAG.

        Raises:
            ServiceError: it has not in time; import errors are quoted.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._knows(dag_id):
                return
            time.sleep(1)
        errors = self._ask(self._errors.get_import_errors)["import_errors"]
        stacks = "\n".join(error["stack_trace"] for error in errors) or "no import errors"
        raise ServiceError(f"Airflow does not know the DAG '{dag_id}' ({stacks}).")

    def unpause(self, dag_id: str) -> None:
        """Let the runs of a DAG start."""
        self._ask(self._dags.patch_dag, dag_id, DAGPatchBody(is_paused=False))

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run with values of its trigger form; return its id."""
        body = TriggerDAGRunPostBody(conf=dict(conf or {}))
        return str(self._ask(self._runs.trigger_dag_run, dag_id, body)["dag_run_id"])

    def get_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a DAG run."""
        return self._ask(self._runs.get_dag_run, dag_id, run_id)

    def list_tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, in the order of their start."""
        found = self._ask(self._tasks.get_task_instances, dag_id, run_id)["task_instances"]
        return sorted(found, key=lambda task: (task["start_date"] or "9", task["task_id"]))

    def follow(
        self,
        dag_id: str,
        run_id: str,
        report: Callable[[dict[str, Any]], None],
        timeout_s: float = 7200,
    ) -> str:
        """Wait for a run, reporting each task when it has ended; return the run's state.

        Raises:
            ServiceError: the run has not ended in time.
        """
        reported: set[str] = set()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            state = str(self.get_run(dag_id, run_id)["state"])
            for task in self.list_tasks(dag_id, run_id):
                if task["state"] in ENDED and task["task_id"] not in reported:
                    reported.add(task["task_id"])
                    report(task)
            if state in FINISHED:
                return state
            time.sleep(1)
        raise ServiceError(f"DAG run {dag_id}/{run_id} has not ended after {timeout_s} s.")

    def _knows(self, dag_id: str) -> bool:
        try:
            self._ask(self._dags.get_dag, dag_id)
        except ServiceError as error:
            if isinstance(error.__cause__, NotFoundException):
                return False
            raise
        return True

    def _ask(self, call: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Ask Airflow, once more with a fresh token where the old one has expired.

        Raises:
            ServiceError: Airflow refuses, or fails.
        """
        try:
            try:
                answer = call(*arguments, _request_timeout=TIMEOUT_S)
            except UnauthorizedException:
                self._settings.access_token = self._fetch_token()
                answer = call(*arguments, _request_timeout=TIMEOUT_S)
        except ApiException as error:
            raise ServiceError(
                f"Airflow answered {error.status} to {call.__name__}: {str(error.body)[:500]}"
            ) from error
        content: dict[str, Any] = answer.model_dump(mode="json")
        return content

    def _fetch_token(self) -> str:
        answer = requests.post(f"{self.url}/auth/token", json=self._credentials, timeout=TIMEOUT_S)
        if not answer.ok:
            raise ServiceError(f"Airflow at {self.url} refused the log-in: {answer.text[:300]}")
        return str(answer.json()["access_token"])
