"""What the tests of the pages share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
PATIENCE_MS = 30_000


def keep_picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOT_FOLDER")
    if folder:
        page.wait_for_timeout(2500)  # let charts and transitions settle
        page.screenshot(path=Path(folder) / f"{name}.png")
