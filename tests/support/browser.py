"""What the tests of the pages share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
PATIENCE_MS = 30_000


def close_assistant(page: Page) -> None:
    """Close MLflow's side panel, which is open at the first visit."""
    close = page.get_by_role("button", name="Close", exact=True)
    if page.get_by_text("MLflow Assistant").count() and close.count():
        close.last.click()


def keep_picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOT_FOLDER")
    if folder:
        page.wait_for_timeout(2500)  # let charts and transitions settle
        page.screenshot(path=Path(folder) / f"{name}.png")
