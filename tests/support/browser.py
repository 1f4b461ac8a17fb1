"""What the tests of the pages share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
PATIENCE_MS = 90_000


def leave(page: Page) -> None:
    """Let a page ask for nothing and draw nothing, while others work."""
    page.goto("about:blank")


def answer(page: Page, choice: str) -> None:
    """Press a button of Airflow's question to a person; leave when Airflow has the answer."""
    with page.expect_response(lambda response: response.request.method == "PATCH") as answered:
        page.get_by_role("button", name=choice, exact=True).first.click()
    assert answered.value.ok, answered.value.text()
    leave(page)


def close_assistant(page: Page) -> None:
    """Close MLflow's side panel, which is open at the first visit."""
    close = page.get_by_role("button", name="Close", exact=True)
    if page.get_by_text("MLflow Assistant").count() and close.count():
        close.last.click()


def open_section(form: Locator, field: str, title: str) -> None:
    """Open the group of a trigger form that a field stands in, where it is not open."""
    if not form.get_by_text(field).first.is_visible():
        form.get_by_role("button", name=title).first.click()
    expect(form.get_by_text(field).first).to_be_visible(timeout=PATIENCE_MS)


def open_groups(page: Page) -> None:
    """Open the task groups of a DAG."""
    opener = page.get_by_role("button", name="Expand all task groups").first
    expect(opener).to_be_visible(timeout=PATIENCE_MS)
    if opener.is_enabled():
        opener.click()


def keep_picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOT_FOLDER")
    if folder:
        page.wait_for_timeout(2500)  # let charts and transitions settle
        page.screenshot(path=Path(folder) / f"{name}.png")
