"""A person decides, in a real browser: asks for a promotion, approves it, reads why, takes it back.

Airflow's trigger form, its page of required actions, and MLflow's page of the version.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browser import PATIENCE_MS, answer, close_assistant, keep_picture, leave, open_section
from nights import DAG_ID, PROJECT, Nights
from playwright.sync_api import Locator, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.slow]

MODEL = "test-classifier"
# What somebody types is text: neither the configuration nor Jinja evaluates it.
WHY = "Looked at the patients one by one. ${env:PATH} {{ dag.fileloc }}"
WHY_BACK = "Misses the ring forms of the new clinic. ${env:PATH} {{ dag.fileloc }}"


@dataclass(frozen=True)
class Journey:
    """What a person did, step by step, and what the registry said after each.

    Attributes:
        nights: the stack.
        before: the champion at the beginning.
        asked: the DAG run that the form started.
        approved: the champion after the approval.
        scored: the DAG run that the new champion started.
        rolled_back: the DAG run of the rollback.
        restored: the champion after it.
    """

    nights: Nights
    before: str
    asked: dict[str, Any]
    approved: str
    scored: dict[str, Any]
    rolled_back: dict[str, Any]
    restored: str


def read_champion(nights: Nights) -> str:
    path = f"api/2.0/mlflow/registered-models/alias?name={MODEL}&alias=champion"
    answer = nights.ask_mlflow(path)
    answer.raise_for_status()
    return str(answer.json()["model_version"]["version"])


def open_form(airflow: Page, nights: Nights, dag_id: str) -> Locator:
    """Open the trigger form of a DAG, as far down as its fields."""
    airflow.goto(f"{nights.stack.airflow_url}/dags/{dag_id}")
    airflow.get_by_role("button", name="Trigger").first.click()
    form = airflow.get_by_role("dialog").filter(has_text="Trigger Dag").last
    expect(form.locator("input[name^=element_]").first).to_be_attached(timeout=PATIENCE_MS)
    return form


def choose(page: Page, form: Locator, field: str, value: str) -> None:
    """Choose a value of a field that has a list of them."""
    form.locator(f"#element_{field} input:not([type=hidden])").first.click()
    page.get_by_role("option", name=value, exact=True).click()
    expect(form.locator(f"input[name=element_{field}]")).to_have_value(value)


def submit(page: Page, form: Locator, nights: Nights, dag_id: str) -> str:
    """Send the form; return the id of the DAG run that it started."""
    known = {run["dag_run_id"] for run in list_runs(nights, dag_id)}
    form.get_by_role("button", name="Trigger", exact=True).last.click()
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        page.wait_for_timeout(500)
        for run in list_runs(nights, dag_id):
            if run["dag_run_id"] not in known:
                return str(run["dag_run_id"])
    raise AssertionError(f"the form started no run of '{dag_id}'")


def list_runs(nights: Nights, dag_id: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = nights.ask(f"/dags/{dag_id}/dagRuns")["dag_runs"]
    return runs


def wait_for_task(nights: Nights, run_id: str, task: str, states: set[str]) -> None:
    deadline = time.monotonic() + 600
    state: str | None = None
    while time.monotonic() < deadline:
        tasks = nights.client.list_tasks(DAG_ID, run_id)
        state = {each["task_id"]: each["state"] for each in tasks}[task]
        if state in states:
            return
        assert state not in {"failed", "skipped", "upstream_failed"}, state
        time.sleep(1)
    raise AssertionError(f"{task} is {state}")


def ask_for_a_challenger(airflow: Page, nights: Nights) -> str:
    """Fill in the form: train, and ask a person before the champion is replaced."""
    form = open_form(airflow, nights, DAG_ID)
    open_section(form, "If the challenger is better", "With care")
    choose(airflow, form, "mode", "approve")
    form.locator("input[name=element_minimum_gain]").fill("-1")
    form.locator("label:has(input[name=element_force])").click()
    keep_picture(airflow, "airflow-trigger-approve")
    open_section(form, "Seed", "What is trained")
    form.locator("input[name=element_seed]").fill("7")
    return submit(airflow, form, nights, DAG_ID)


def approve(airflow: Page, nights: Nights, run_id: str) -> None:
    """Read the evidence on Airflow's page, say why, and approve."""
    task = f"/dags/{DAG_ID}/runs/{quote(run_id)}/tasks/ask_approver"
    airflow.set_viewport_size({"width": 1440, "height": 1800})
    airflow.goto(f"{nights.stack.airflow_url}{task}/required_actions")
    airflow.get_by_role("button", name="grid").first.click()
    expect(airflow.get_by_text("May the challenger become champion?").first).to_be_visible(
        timeout=PATIENCE_MS
    )
    for text in ("95 % CI", "believed gain", "sensitivity", "champion v"):
        expect(airflow.get_by_text(text).first).to_be_attached()
    airflow.locator("input[name=element_reason]").fill(WHY)
    keep_picture(airflow, "airflow-approval")
    answer(airflow, "Approve")
    airflow.set_viewport_size({"width": 1440, "height": 900})


def roll_back(airflow: Page, nights: Nights) -> str:
    """Ask for the version before, and say why."""
    form = open_form(airflow, nights, "rollback")
    form.locator("input[name=element_reason]").fill(WHY_BACK)
    keep_picture(airflow, "airflow-rollback-form")
    return submit(airflow, form, nights, "rollback")


def wait_for_scoring(nights: Nights) -> dict[str, Any]:
    """Return the run that the news of a new champion has started, once it is over."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for run in list_runs(nights, "inference"):
            if run["run_type"] == "asset_triggered":
                nights.client.follow("inference", run["dag_run_id"], lambda _: None, timeout_s=300)
                return dict(nights.client.get_run("inference", run["dag_run_id"]))
        time.sleep(1)
    raise AssertionError("a new champion started no scoring within 300 s")


@pytest.fixture(scope="module")
def journey(airflow: Page, nights: Nights) -> Journey:
    nights.client.unpause("inference")
    before = read_champion(nights)
    run_id = ask_for_a_challenger(airflow, nights)
    leave(airflow)
    wait_for_task(nights, run_id, "ask_approver", {"awaiting_input", "deferred"})
    assert read_champion(nights) == before
    approve(airflow, nights, run_id)
    assert nights.client.follow(DAG_ID, run_id, lambda _: None, timeout_s=600) == "success"
    approved, scored = read_champion(nights), wait_for_scoring(nights)
    nights.client.unpause("rollback")
    back = roll_back(airflow, nights)
    leave(airflow)
    assert nights.client.follow("rollback", back, lambda _: None, timeout_s=300) == "success"
    return Journey(
        nights,
        before,
        nights.client.get_run(DAG_ID, run_id),
        approved,
        scored,
        nights.client.get_run("rollback", back),
        read_champion(nights),
    )


def show_version(page: Page, journey: Journey, version: str) -> None:
    page.goto(f"{journey.nights.stack.mlflow_url}/#/models/{MODEL}/versions/{version}")
    expect(page.get_by_text("Promoted").first).to_be_visible(timeout=PATIENCE_MS)
    close_assistant(page)


def test_the_challenger_waited_for_the_person_and_was_promoted_in_their_name(
    journey: Journey,
) -> None:
    assert int(journey.approved) > int(journey.before)
    assert journey.asked["note"].startswith(
        f"promoted v{journey.approved}, approved by admin: challenger "
    )


def test_the_new_champion_scores_the_images_at_once(journey: Journey) -> None:
    assert journey.scored["state"] == "success"
    assert f" images with v{journey.approved}: " in journey.scored["note"]


def test_the_rollback_restored_the_champion_before_and_says_who_and_why(
    journey: Journey,
) -> None:
    assert journey.restored == journey.before
    assert journey.rolled_back["note"].startswith(
        f"rolled back to v{journey.before} from v{journey.approved}, by admin: {WHY_BACK}"
    )


def test_mlflow_shows_a_card_that_tells_all_of_it(page: Page, journey: Journey) -> None:
    show_version(page, journey, journey.approved)
    for text in (
        "Was champion until",
        f"then version {journey.before}",
        WHY_BACK,
        WHY,
        f"champion v{journey.before}",
        "How it was judged",
        "On what data",
    ):
        expect(page.get_by_text(text).first).to_be_attached()
    # The plots are shown, not only named.
    for name in ("comparison.png", "confusion_matrix.png", "roc_curve.png"):
        page.wait_for_function(
            "name => [...document.images].some(i => i.src.includes(name) && i.naturalWidth > 100)",
            arg=name,
        )
    keep_picture(page, "mlflow-card")


def test_the_restored_champion_says_by_whom_it_was_restored(page: Page, journey: Journey) -> None:
    page.goto(f"{journey.nights.stack.mlflow_url}/#/models/{MODEL}/versions/{journey.before}")
    expect(page.get_by_text("Restored, in place of version").first).to_be_visible(
        timeout=PATIENCE_MS
    )
    expect(page.get_by_text(WHY_BACK).first).to_be_visible()


def test_the_ledger_lists_every_step(journey: Journey) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("image-classification"), "explain", journey.approved],
        cwd=PROJECT,
        env=journey.nights.stack.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for text in (WHY, WHY_BACK, f"champion v{journey.before}", "believed gain"):
        assert text in done.stdout
