"""The note of a DAG run, against a server that answers as Airflow's API does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from image_classification.orchestration.note import write_dag_run_note

RUN_ID = "manual__2026-01-02T03:04:05+00:00"


@dataclass
class Api:
    """What the server answers, by method, and what it was asked."""

    token: tuple[int, Any] = (201, {"access_token": "the-token"})
    note: tuple[int, Any] = (200, {})
    requests: list[tuple[str, str, Any, str | None]] = field(default_factory=list)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An API server, named in Airflow's configuration, with credentials for it."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            api.requests.append((self.command, self.path, body, self.headers.get("Authorization")))
            status, content = api.token if self.command == "POST" else api.note
            self.send_response(status)
            self.end_headers()
            self.wfile.write(
                content if isinstance(content, bytes) else json.dumps(content).encode()
            )

        do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("AIRFLOW_API_USERNAME", "writer")
    monkeypatch.setenv("AIRFLOW_API_PASSWORD", "secret")
    yield api
    server.shutdown()
    thread.join()
    server.server_close()


def test_note_is_written_with_a_token_got_for_the_credentials(api: Api) -> None:
    assert write_dag_run_note("retraining", RUN_ID, "promoted v3")
    assert api.requests == [
        ("POST", "/auth/token", {"username": "writer", "password": "secret"}, None),
        (
            "PATCH",
            "/api/v2/dags/retraining/dagRuns/manual__2026-01-02T03%3A04%3A05%2B00%3A00",
            {"note": "promoted v3"},
            "Bearer the-token",
        ),
    ]


def test_long_note_is_cut_to_airflows_limit(api: Api) -> None:
    assert write_dag_run_note("retraining", RUN_ID, "x" * 1001)
    assert api.requests[1][2] == {"note": "x" * 1000}


@pytest.mark.parametrize(
    "answers",
    [
        {"token": (401, {"detail": "Invalid credentials"})},
        {"token": (201, {})},
        {"token": (201, b"<html>")},
        {"note": (404, {"detail": "Not found"})},
        {"note": (500, b"")},
    ],
    ids=["credentials refused", "no token", "no JSON", "no such run", "server error"],
)
def test_refusal_is_a_warning_and_the_task_goes_on(
    api: Api, answers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for name, answer in answers.items():
        setattr(api, name, answer)
    assert write_dag_run_note("retraining", RUN_ID, "promoted v3") is False
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "was not written" in record.getMessage()
    assert "secret" not in caplog.text


def test_server_that_is_down_is_a_warning_and_the_task_goes_on(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:9")
    assert write_dag_run_note("retraining", RUN_ID, "promoted v3") is False
    assert "was not written" in caplog.text
    assert api.requests == []


@pytest.mark.parametrize("missing", ["AIRFLOW_API_USERNAME", "AIRFLOW_API_PASSWORD"])
def test_without_credentials_nothing_is_asked(
    api: Api, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    assert write_dag_run_note("retraining", RUN_ID, "promoted v3") is False
    assert api.requests == []


def test_address_of_a_dag_run_is_that_of_its_page(api: Api) -> None:
    from image_classification.orchestration.operators import locate_dag_run

    address = locate_dag_run("retraining", RUN_ID)
    assert address.endswith("/dags/retraining/runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00")
    assert address.startswith("http://127.0.0.1:")
    assert "//dags" not in address
