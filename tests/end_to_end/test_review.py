"""A batch that is held: a person answers on Airflow's page, and training follows the answer."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import pytest
from browser import PATIENCE_MS, answer, keep_picture
from nights import DAG_ID, Nights
from playwright.sync_api import Page, expect

from image_classification.intake.index import settle_index

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.slow]

RUN = "review__blank"
REASON = "Empty fields of a control slide, kept on purpose. ${env:PATH} {{ dag.fileloc }}"


def wait_for_run(nights: Nights, run_type: str, timeout_s: float = 300) -> dict[str, Any]:
    """Return the first run of `retraining` of a type, once there is one."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        runs = nights.ask(f"/dags/{DAG_ID}/dagRuns")["dag_runs"]
        for run in runs:
            if run["run_type"] == run_type:
                return dict(run)
        time.sleep(1)
    pytest.fail(f"No run of '{DAG_ID}' was {run_type} within {timeout_s} s.")


@pytest.fixture(scope="module")
def answered(airflow: Page, nights: Nights) -> Nights:
    """The person has read the evidence, given a reason and accepted."""
    airflow.goto(
        f"{nights.stack.airflow_url}/dags/review/runs/{RUN}/tasks/ask_reviewer/required_actions"
    )
    airflow.get_by_role("button", name="grid").first.click()
    expect(airflow.get_by_text("May batch 'blank' join the training set?").first).to_be_visible(
        timeout=PATIENCE_MS
    )
    expect(airflow.get_by_text("8 of 8 images (100%) are blank").first).to_be_visible()
    expect(airflow.get_by_role("link", name="Contact sheet").first).to_be_visible()
    keep_picture(airflow, "airflow-review")
    airflow.locator("input[name=element_reason]").fill(REASON)
    answer(airflow, "Accept")
    nights.client.follow("review", RUN, lambda _: None, timeout_s=180)
    return nights


def test_the_answer_is_in_the_index_with_the_name_and_the_reason(answered: Nights) -> None:
    run = answered.client.get_run("review", RUN)
    assert run["state"] == "success"
    assert run["note"].startswith(f"accepted 'blank', by admin: {REASON}")
    followed = wait_for_run(answered, "asset_triggered")
    state = answered.client.follow(DAG_ID, followed["dag_run_id"], lambda _: None, timeout_s=600)
    assert state == "success"
    folder = answered.stack.storage / "index" / "images"
    log = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])
    rows = settle_index(log)
    rows = rows[rows["batch"] == "blank"]
    assert len(rows) == 8
    assert set(rows["status"]) == {"accepted"}
    assert set(rows["reviewed_by"]) == {"admin"}
    assert set(rows["review_reason"]) == {REASON}


def test_training_follows_the_answer_by_itself(answered: Nights) -> None:
    run = wait_for_run(answered, "asset_triggered")
    tasks = {
        task["task_id"]: task["state"]
        for task in answered.client.list_tasks(DAG_ID, run["dag_run_id"])
    }
    assert tasks["train_network"] == "success"
    note = answered.client.get_run(DAG_ID, run["dag_run_id"])["note"]
    assert "blank" not in note
