"""The pages that people look at, in a real browser.

With SCREENSHOT_FOLDER set, the pictures of the documentation are written there.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
import requests
from browser import PATIENCE_MS, close_assistant, keep_picture, open_groups, open_section
from nights import DAG_ID, Nights
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.slow]

MODEL = "test-classifier"


def test_the_grid_shows_every_night_and_task(airflow: Page, nights: Nights) -> None:
    airflow.goto(f"{nights.stack.airflow_url}/dags/{DAG_ID}")
    open_groups(airflow)
    for task in ("open_run", "train_network", "choose_champion", "close_run"):
        expect(airflow.get_by_text(task, exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    # By the clock, and when images are announced.
    expect(airflow.get_by_text("02:00:00").first).to_be_visible()
    expect(airflow.get_by_text("new_images").first).to_be_visible()
    keep_picture(airflow, "airflow-grid")


def test_the_trigger_form_offers_the_typed_parameters(airflow: Page, nights: Nights) -> None:
    airflow.goto(f"{nights.stack.airflow_url}/dags/{DAG_ID}")
    airflow.get_by_role("button", name="Trigger").first.click()
    form = airflow.get_by_role("dialog").filter(has_text="Trigger Dag").last
    for field, section in (
        ("Learning rate", "What is trained"),
        ("New images", "When it trains"),
        ("If the challenger is better", "With care"),
        ("Train without new images", "With care"),
    ):
        open_section(form, field, section)
    expect(form.get_by_text("-1 to 1 of accuracy, where 0.01 is one point.")).to_be_visible()
    keep_picture(airflow, "airflow-trigger-form")
    airflow.keyboard.press("Escape")


def zoom_in(page: Page, text: str) -> None:
    """Turn the wheel of the mouse over a task of the graph."""
    place = page.locator(".react-flow").get_by_text(text, exact=True).first.bounding_box()
    assert place is not None
    page.mouse.move(place["x"], place["y"])
    for _ in range(4):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(200)


def test_the_graph_shows_the_branch_with_its_labels(airflow: Page, nights: Nights) -> None:
    run_id = quote(nights.runs[0]["dag_run_id"])
    airflow.set_viewport_size({"width": 2400, "height": 760})
    airflow.goto(f"{nights.stack.airflow_url}/dags/{DAG_ID}/runs/{run_id}")
    airflow.get_by_role("button", name="graph").first.click()
    for part in ("Intake", "Training", "Promotion", "Watching"):
        expect(airflow.get_by_text(part, exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    keep_picture(airflow, "airflow-parts")
    open_groups(airflow)
    for text in (
        *("choose_champion", "promote_challenger", "keep_champion", "refuse_challenger"),
        *("ask_approver", "better: ask a person", "not better, or dry run", "approved"),
        *("rejected, or no answer", "not a fair comparison"),
    ):
        expect(airflow.get_by_text(text).first).to_be_visible(timeout=PATIENCE_MS)
    keep_picture(airflow, "airflow-graph")
    zoom_in(airflow, "ask_approver")
    keep_picture(airflow, "airflow-branch")
    airflow.set_viewport_size({"width": 1440, "height": 900})


def test_the_note_of_a_run_says_what_was_decided(airflow: Page, nights: Nights) -> None:
    run_id = quote(nights.runs[0]["dag_run_id"])
    airflow.goto(f"{nights.stack.airflow_url}/dags/{DAG_ID}/runs/{run_id}")
    expect(airflow.get_by_text("promoted v1: first champion").first).to_be_visible(
        timeout=PATIENCE_MS
    )


def find_night(nights: Nights) -> str:
    """Return the MLflow run of the first night, by the link in the note of its DAG run."""
    note = str(nights.runs[0]["note"])
    (found,) = set(re.findall(r"/nights/([0-9a-f]{32})\.html", note))
    return found


def test_the_history_is_one_click_away_in_airflow(airflow: Page, nights: Nights) -> None:
    airflow.goto(nights.stack.airflow_url)
    airflow.get_by_text("Nights", exact=True).first.click(timeout=PATIENCE_MS)
    expect(airflow.locator("iframe[title=Nights]")).to_be_visible(timeout=PATIENCE_MS)
    airflow.wait_for_url("**/nights/index.html")  # Airflow follows what its frame shows
    keep_picture(airflow, "airflow-nights")


def test_the_pages_are_for_who_is_logged_in(airflow: Page, nights: Nights) -> None:
    night = f"{nights.stack.airflow_url}/nights/{find_night(nights)}.html"
    for page in (f"{nights.stack.airflow_url}/nights/index.html", night):
        stranger = requests.get(page, timeout=30)
        assert stranger.status_code == 401
        assert "Version 1" not in stranger.text
        seen = airflow.request.get(page)
        assert seen.status == 200
        assert "sandbox" in seen.headers["content-security-policy"]
        assert "Version 1 is " in seen.text()
    run_id = quote(nights.runs[0]["dag_run_id"], safe="")
    by_run = f"{nights.stack.airflow_url}/nights/run/{DAG_ID}/{run_id}"
    led_to = airflow.request.get(by_run)
    assert led_to.status == 200
    assert led_to.url == night  # as the note says
    assert requests.get(by_run, timeout=30, allow_redirects=False).status_code == 401


def test_mlflow_shows_the_page_of_a_night(page: Page, nights: Nights) -> None:
    address = f"{nights.stack.mlflow_url}/#/experiments/1/runs/{find_night(nights)}/artifacts"
    page.goto(f"{address}/night.html")
    expect(page.get_by_text("night.html").first).to_be_visible(timeout=PATIENCE_MS)
    shown = page.frame_locator("iframe")
    expect(shown.get_by_text("Version 1 is now in use").first).to_be_visible(timeout=PATIENCE_MS)
    # MLflow's frame lets no link out: the address of all nights is shown, to be copied.
    home = shown.get_by_role("link", name="All nights").first
    expect(home).to_have_attribute("href", f"{nights.stack.airflow_url}/nights/index.html")
    expect(home).to_have_css("pointer-events", "none")


def test_mlflow_shows_the_run_with_its_plots(page: Page, nights: Nights) -> None:
    found = nights.ask_mlflow("api/2.0/mlflow/model-versions/search").json()
    versions = found["model_versions"]
    run_id = max(versions, key=lambda version: int(version["version"]))["run_id"]
    address = f"{nights.stack.mlflow_url}/#/experiments/1/runs/{run_id}"
    page.goto(address)
    expect(page.get_by_text("Finished").first).to_be_visible(timeout=PATIENCE_MS)
    close_assistant(page)
    keep_picture(page, "mlflow-run")
    page.goto(f"{address}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("validation_accuracy")
    expect(page.get_by_text("validation_accuracy").first).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{address}/artifacts/plots/confusion_matrix.png")
    expect(page.get_by_text("plots/confusion_matrix.png").first).to_be_visible(timeout=PATIENCE_MS)
    keep_picture(page, "mlflow-artifacts")


def test_mlflow_shows_what_was_decided_about_a_version(page: Page, nights: Nights) -> None:
    page.goto(f"{nights.stack.mlflow_url}/#/models/{MODEL}/versions/2")
    expect(page.get_by_text("Promoted").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("champion v1").first).to_be_visible()
    keep_picture(page, "mlflow-version")
