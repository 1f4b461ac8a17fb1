"""The note of a DAG run, against a server that answers as Airflow's API does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from receiver import Receiver, Request, receive

from image_classification.orchestration.notices.note import (
    read_dag_run_note,
    read_error,
    write_dag_run_note,
)

RUN_ID = "manual__2026-01-02T03:04:05+00:00"
RUN_PATH = "/api/v2/dags/retraining/dagRuns/manual__2026-01-02T03%3A04%3A05%2B00%3A00"


class Api(Receiver):
    """Airflow's API: its answers to a log-in, and to all else."""

    token: tuple[int, Any] = (201, {"access_token": "the-token"})
    note: tuple[int, Any] = (200, {})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An API server, named in Airflow's configuration, with credentials for it."""
    with receive(lambda asked: api.token if asked.method == "POST" else api.note, Api) as api:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{api.url}/")
        monkeypatch.setenv("AIRFLOW_API_USERNAME", "writer")
        monkeypatch.setenv("AIRFLOW_API_PASSWORD", "secret")
        yield api


def test_note_is_written_with_a_token_got_for_the_credentials(api: Api) -> None:
    assert write_dag_run_note("retraining", RUN_ID, "promoted v3")
    assert api.requests == [
        Request("POST", "/auth/token", {"username": "writer", "password": "secret"}, None),
        Request("PATCH", RUN_PATH, {"note": "promoted v3"}, "Bearer the-token"),
    ]


def test_long_note_is_cut_to_airflows_limit(api: Api) -> None:
    assert write_dag_run_note("retraining", RUN_ID, "x" * 1001)
    assert api.requests[1].body == {"note": "x" * 1000}


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


@pytest.mark.parametrize(("held", "note"), [("promoted v3", "promoted v3"), (None, "")])
def test_note_is_read(api: Api, held: str | None, note: str) -> None:
    api.note = (200, {"note": held})
    assert read_dag_run_note("retraining", RUN_ID) == note
    assert api.requests[1] == Request("GET", RUN_PATH, None, "Bearer the-token")


@pytest.mark.parametrize("answer", [(404, {}), (200, {}), (200, b"<html>")])
def test_note_that_cannot_be_read_is_none(api: Api, answer: tuple[int, Any]) -> None:
    api.note = answer
    assert read_dag_run_note("retraining", RUN_ID) is None


def test_note_is_not_read_without_credentials(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_API_PASSWORD")
    assert read_dag_run_note("retraining", RUN_ID) is None
    assert api.requests == []


# The error in a log


def make_line(level: str, event: str, *errors: tuple[str, str]) -> dict[str, Any]:
    details = [{"exc_type": kind, "exc_value": text} for kind, text in errors]
    return {"level": level, "event": event} | ({"error_detail": details} if details else {})


FAILED = "Task failed with exception"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([], ""),
        ([make_line("info", "Epoch 1"), make_line("warning", "slow")], ""),
        ([make_line("error", FAILED, ("ValueError", "no cells"))], "ValueError: no cells"),
        (
            [
                make_line("error", "a first complaint"),
                make_line("error", FAILED, ("DataError", "outer"), ("KeyError", "cause")),
                make_line("info", "::endgroup::"),
            ],
            "DataError: outer",
        ),
        (
            [make_line("error", FAILED, ("AirflowFailException", "x"), ("ContractError", "x"))],
            "ContractError: x",
        ),
        (
            [make_line("error", FAILED, ("AirflowFailException", "alone"))],
            "AirflowFailException: alone",
        ),
        (
            [make_line("critical", "Process terminated by signal.")],
            "Process terminated by signal.",
        ),
    ],
    ids=["empty", "no error", "one", "with a cause", "wrapped", "wrapper alone", "killed"],
)
def test_error_of_a_log_is_the_last_one(api: Api, lines: list[dict[str, Any]], error: str) -> None:
    api.note = (200, {"content": lines})
    assert read_error("retraining", RUN_ID, "train_network", -1, 2) == error
    path = f"{RUN_PATH}/taskInstances/train_network/logs/2?map_index=-1&full_content=true"
    assert api.requests[1].path == path


@pytest.mark.parametrize(
    "answer",
    [(404, {}), (200, {}), (200, b"<html>"), (200, {"content": "text"}), (200, {"content": None})],
)
def test_log_that_cannot_be_read_is_no_error(api: Api, answer: tuple[int, Any]) -> None:
    api.note = answer
    assert read_error("retraining", RUN_ID, "train_network", -1, 2) == ""
