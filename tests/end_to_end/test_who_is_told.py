"""The notices of a real Airflow: from its tasks, and from its dag processor."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest
from nights import DAG_ID, Nights

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

HEAD = "[image-classification]"


def read_log(nights: Nights, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
    path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/1"
    lines: list[dict[str, Any]] = nights.ask(f"{path}?full_content=true")["content"]
    return [line for line in lines if line["event"].startswith(HEAD)]


def test_night_without_new_images_says_so_in_the_log_of_its_task(nights: Nights) -> None:
    run = nights.runs[1]
    (notice,) = read_log(nights, DAG_ID, run["dag_run_id"], "check_new_images")
    assert notice["level"] == "info"
    assert notice["event"].startswith(f"{HEAD} retraining skipped: No new images\n\nNo new images:")
    assert f"DAG run: {nights.stack.airflow_url}/dags/retraining/runs/" in notice["event"]


def test_held_batch_calls_for_a_person_in_the_log_of_its_task(nights: Nights) -> None:
    (notice,) = read_log(nights, "review", "review__blank", "ask_reviewer")
    assert notice["level"] == "warning"
    assert notice["event"].startswith(f"{HEAD} batch 'blank' is held and needs you\n\n")
    page = "/dags/review/runs/review__blank/tasks/ask_reviewer/required_actions"
    assert f"Answer: {nights.stack.airflow_url}{page}" in notice["event"]


def test_failed_run_is_told_by_the_dag_processor_once_with_its_error(nights: Nights) -> None:
    run_id = nights.client.trigger("review", {"batch": "no-such-batch"})
    assert nights.client.follow("review", run_id, lambda _: None, timeout_s=300) == "failed"
    logs = nights.stack.folder / "airflow" / "logs" / "dag_processor"
    deadline, told = time.monotonic() + 120, 0
    while not told and time.monotonic() < deadline:
        time.sleep(1)
        texts = [path.read_text() for path in logs.rglob("*review_dag.py.log")]
        told = sum(text.count(f"{HEAD} review failed: describe_batch") for text in texts)
    assert told == 1
    (text,) = [text for text in texts if HEAD in text]
    assert "describe_batch: ConfigurationError: " in text
    assert "Log of describe_batch: " in text
