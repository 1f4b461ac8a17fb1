"""The client of Airflow's API, against a server that answers as Airflow does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from airflow_client.client.models import (
    DAGResponse,
    DAGRunResponse,
    ImportErrorResponse,
    TaskInstanceResponse,
)

from image_classification.local import airflow_api
from image_classification.local.airflow_api import AirflowClient
from image_classification.local.services import ServiceError

RUN = "manual__2026-01-02T03:04:05+00:00"
RUN_PATH = "/api/v2/dags/retraining/dagRuns/manual__2026-01-02T03%3A04%3A05%2B00%3A00"
MOMENT = "2026-01-02T03:04:05Z"
EXAMPLES = {
    str: "x",
    bool: False,
    int: 1,
    list: [],
    dict: {},
    datetime: MOMENT,
    UUID: str(UUID(int=1)),
}


def fill(model: Any, **values: Any) -> dict[str, Any]:
    """Return an answer of Airflow with these values, and something in each field it must have."""
    answer = dict(values)
    for name, field in model.model_fields.items():
        if field.is_required() and (field.alias or name) not in answer:
            kind = getattr(field.annotation, "__origin__", field.annotation)
            found = EXAMPLES.get(kind)
            answer[field.alias or name] = next(iter(kind)).value if found is None else found
    return answer


def make_run(state: str) -> dict[str, Any]:
    return fill(DAGRunResponse, dag_run_id=RUN, state=state, note="a note")


def make_tasks(**states: str | None) -> dict[str, Any]:
    """Return task instances, later ones first; None has not begun."""
    tasks = [
        fill(
            TaskInstanceResponse,
            task_id=task_id,
            state=state,
            start_date=f"2026-01-02T03:04:{number:02d}Z" if state else None,
        )
        for number, (task_id, state) in enumerate(states.items())
    ]
    return {"task_instances": tasks[::-1], "total_entries": len(tasks)}


class Airflow(BaseHTTPRequestHandler):
    """Answers each call from its list, with the last answer again and again; knows one token."""

    answers: dict[str, list[tuple[int, Any]]]
    requests: list[tuple[str, Any]]
    bearer = "first"
    url = ""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        call = f"{self.command} {self.path}"
        self.requests.append((call, body))
        waiting = self.answers.get(call, [(404, {"detail": "not found"})])
        status, content = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if call != "POST /auth/token" and self.headers["Authorization"] != f"Bearer {self.bearer}":
            status, content = 401, {"detail": "expired"}
        packed = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        self.wfile.write(packed)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Airflow]]:
    """A server of its own; no test waits a second for the next try."""
    monkeypatch.setattr(airflow_api.time, "sleep", lambda _: None)

    class Own(Airflow):
        answers = {"POST /auth/token": [(201, {"access_token": "first"})]}
        requests = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        Own.url = f"http://127.0.0.1:{server.server_port}"
        yield Own
        server.shutdown()


@pytest.fixture
def client(airflow: Any) -> AirflowClient:
    return AirflowClient(f"{airflow.url}/", "admin", "secret")


def test_a_dag_is_waited_for_until_airflow_knows_it(airflow: Any, client: AirflowClient) -> None:
    known = (200, fill(DAGResponse, dag_id="retraining"))
    airflow.answers["GET /api/v2/dags/retraining"] = [(404, {}), (404, {}), known]
    client.wait_for_dag("retraining")
    assert [call for call, _ in airflow.requests].count("GET /api/v2/dags/retraining") == 3


def test_a_dag_that_cannot_be_imported_is_named_with_the_error(
    airflow: Any, client: AirflowClient
) -> None:
    error = fill(ImportErrorResponse, stack_trace="ImportError: no module named x")
    answer = {"import_errors": [error], "total_entries": 1}
    airflow.answers["GET /api/v2/importErrors"] = [(200, answer)]
    with pytest.raises(ServiceError, match=r"does not know the DAG 'lost' \(ImportError: no mod"):
        client.wait_for_dag("lost", timeout_s=0.05)


def test_a_run_is_triggered_with_the_values_of_the_form(
    airflow: Any, client: AirflowClient
) -> None:
    airflow.answers["POST /api/v2/dags/retraining/dagRuns"] = [(200, make_run("queued"))]
    airflow.answers["PATCH /api/v2/dags/retraining"] = [(200, fill(DAGResponse))]
    client.unpause("retraining")
    assert client.trigger("retraining", {"epochs": 2}) == RUN
    (_, unpaused), (_, triggered) = airflow.requests[-2:]
    assert unpaused == {"is_paused": False}
    assert triggered == {"conf": {"epochs": 2}, "logical_date": None}


def test_a_run_is_followed_and_each_task_told_once_when_it_has_ended(
    airflow: Any, client: AirflowClient
) -> None:
    states = ("running", "running", "success")
    airflow.answers[f"GET {RUN_PATH}"] = [(200, make_run(state)) for state in states]
    airflow.answers[f"GET {RUN_PATH}/taskInstances"] = [
        (200, make_tasks(first="running", second=None, third=None)),
        (200, make_tasks(first="success", second="running", third=None)),
        (200, make_tasks(first="success", second="skipped", third="upstream_failed")),
    ]
    told: list[tuple[str, str]] = []
    state = client.follow(
        "retraining", RUN, lambda task: told.append((task["task_id"], task["state"]))
    )
    assert state == "success"
    assert told == [("first", "success"), ("second", "skipped"), ("third", "upstream_failed")]


def test_an_answer_is_what_airflow_has_sent(airflow: Any, client: AirflowClient) -> None:
    airflow.answers[f"GET {RUN_PATH}"] = [(200, make_run("failed") | {"note": None})]
    airflow.answers[f"GET {RUN_PATH}/taskInstances"] = [
        (200, make_tasks(first="success", second=None))
    ]
    run = client.get_run("retraining", RUN)
    assert (run["state"], run["note"], run["dag_run_id"]) == ("failed", None, RUN)
    first, second = client.list_tasks("retraining", RUN)
    assert (first["start_date"], second["start_date"]) == ("2026-01-02T03:04:00Z", None)


def test_a_run_that_takes_too_long_is_named(airflow: Any, client: AirflowClient) -> None:
    airflow.answers[f"GET {RUN_PATH}"] = [(200, make_run("running"))]
    airflow.answers[f"GET {RUN_PATH}/taskInstances"] = [(200, make_tasks())]
    with pytest.raises(ServiceError, match=r"retraining/manual__.* has not ended after 0.05 s"):
        client.follow("retraining", RUN, lambda _: None, timeout_s=0.05)


def test_a_token_that_has_expired_is_replaced(airflow: Any, client: AirflowClient) -> None:
    airflow.answers[f"GET {RUN_PATH}"] = [(200, make_run("running"))]
    airflow.bearer = "second"
    airflow.answers["POST /auth/token"] = [(201, {"access_token": "second"})]
    assert client.get_run("retraining", RUN)["state"] == "running"


@pytest.mark.parametrize("status", [404, 409, 500])
def test_what_airflow_refuses_is_told_with_its_words(
    airflow: Any, client: AirflowClient, status: int
) -> None:
    airflow.answers[f"GET {RUN_PATH}"] = [(status, {"detail": "so it is"})]
    with pytest.raises(ServiceError, match=rf"Airflow answered {status} to get_dag_run.*so it is"):
        client.get_run("retraining", RUN)


def test_a_wrong_password_is_refused(airflow: Any) -> None:
    airflow.answers["POST /auth/token"] = [(401, {"detail": "Invalid credentials"})]
    with pytest.raises(ServiceError, match=r"refused the log-in: .*Invalid credentials"):
        AirflowClient(airflow.url, "admin", "wrong")
