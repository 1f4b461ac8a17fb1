"""The notices of a real Airflow: from its tasks, and from its dag processor."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from browser import PATIENCE_MS, keep_picture, leave
from nights import DAG_ID, Nights
from playwright.sync_api import Page, expect

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


@dataclass(frozen=True)
class Failed:
    """A run that failed, and what the dag processor has told of it: each text that tells it."""

    run_id: str
    told: list[str]


@pytest.fixture(scope="module")
def failed(nights: Nights) -> Failed:
    run_id = nights.client.trigger("review", {"batch": "no-such-batch"})
    assert nights.client.follow("review", run_id, lambda _: None, timeout_s=300) == "failed"
    logs = nights.stack.folder / "airflow" / "logs" / "dag_processor"
    head = f"{HEAD} review failed: describe_batch"
    deadline, told = time.monotonic() + 120, list[str]()
    while not told and time.monotonic() < deadline:
        time.sleep(1)
        texts = [path.read_text() for path in logs.rglob("*review_dag.py.log")]
        lines = (line for text in texts for line in text.splitlines() if head in line)
        told = [line for line in lines if quote(run_id) in line]
    return Failed(run_id, told)


def test_failed_run_is_told_by_the_dag_processor_once_with_its_error(failed: Failed) -> None:
    (text,) = failed.told
    assert "describe_batch: ConfigurationError: " in text
    assert "Log of describe_batch: " in text


@pytest.mark.browser
def test_an_operator_comes_from_the_notice_to_the_remedy_in_three_clicks(
    airflow: Page, nights: Nights, failed: Failed
) -> None:
    (log,) = re.findall(r"Log of describe_batch: (http\S+?)\\n", failed.told[0])
    airflow.goto(log)
    for line in (
        "What happened: ConfigurationError: There is no batch 'no-such-batch' to review.",
        "The champion: nothing was changed",
        "What to do: correct it, clear the task.",
    ):
        expect(airflow.get_by_text(line).first).to_be_visible(timeout=PATIENCE_MS)
    keep_picture(airflow, "airflow-failed")
    airflow.get_by_role("button", name="to clear").click()
    airflow.get_by_role("button", name="Confirm").click()
    task = f"/dags/review/dagRuns/{quote(failed.run_id, safe='')}/taskInstances/describe_batch"
    deadline = time.monotonic() + 60
    while nights.ask(task)["try_number"] < 2 and time.monotonic() < deadline:
        time.sleep(1)
    assert nights.ask(task)["try_number"] == 2
    leave(airflow)
