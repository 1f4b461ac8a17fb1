"""The pages in a real browser: readable for everybody, on a phone, in the dark, on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from night_pages import RUN, make_catalog, promote
from playwright.sync_api import Browser, Page

from image_classification import tracking
from image_classification.champion import registry
from image_classification.configuration import names
from image_classification.pages import night

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a night, and of all nights, in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "log_page", lambda *_: None)
        patch.setattr(tracking, "locate_run", lambda run_id, _=None: f"http://mlflow/{run_id}")
        patch.setattr(registry, "locate_version", lambda *_: "http://mlflow/version")
        patch.setattr(night, "read_entries", lambda *_: [promote()])
        catalog: dict[str, Any] = make_catalog()
        night.write_night(catalog, RUN, "promoted v4: better")
    made = tmp_path_factory.mktemp("pages")
    for name, page in catalog[names.PAGES].value.items():
        (made / name).write_text(page)
    return made


def open_page(browser: Browser, path: Path, **options: Any) -> tuple[Page, list[str]]:
    """Return a page, and what the browser asked for or complained of."""
    page = browser.new_context(**options).new_page()
    heard: list[str] = []
    page.on("request", lambda request: heard.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.goto(path.as_uri())
    return page, heard


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["r1.html", "index.html"])
def test_no_barrier_is_found_by_axe(
    chromium: Browser, folder: Path, name: str, scheme: Any
) -> None:
    # axe is a script, which the page itself allows no one to run.
    page, _ = open_page(chromium, folder / name, color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", ["r1.html", "index.html"])
def test_nothing_is_fetched_and_nothing_is_refused(
    chromium: Browser, folder: Path, name: str
) -> None:
    _, heard = open_page(chromium, folder / name)
    asked = [said for said in heard if not said.startswith("data:")]
    assert asked == [(folder / name).as_uri()]


@pytest.mark.parametrize("name", ["r1.html", "index.html"])
def test_a_phone_shows_it_without_a_sideways_scroll(
    chromium: Browser, folder: Path, name: str
) -> None:
    page, _ = open_page(chromium, folder / name, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".on-phone svg").first.is_visible()
    assert not page.locator(".on-desk svg").first.is_visible()


def test_paper_shows_what_is_folded_on_the_screen(chromium: Browser, folder: Path) -> None:
    page, _ = open_page(chromium, folder / "r1.html")
    told = page.get_by_text("training.epochs")
    assert not told.is_visible()
    page.emulate_media(media="print")
    assert told.is_visible()


def test_all_nights_lead_to_a_night_and_back(chromium: Browser, folder: Path) -> None:
    page, _ = open_page(chromium, folder / "index.html")
    page.get_by_role("link", name="Version 4 is now in use").click()
    assert page.url == (folder / "r1.html").as_uri()
    page.get_by_role("link", name="All nights").first.click()
    assert page.url == (folder / "index.html").as_uri()
