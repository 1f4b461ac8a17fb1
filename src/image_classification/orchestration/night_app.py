"""What serves the pages of the nights in Airflow's api-server, to who is logged in there."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from image_classification.configuration import names
from image_classification.configuration.plain import PlainConfiguration
from image_classification.configuration.scope import Scope
from image_classification.datasets.file import open_filesystem
from image_classification.datasets.page import Pages
from image_classification.datasets.record import Records
from image_classification.errors import DataError
from image_classification.orchestration.project import Project, list_projects
from image_classification.orchestration.run_name import name_run
from image_classification.pages import INDEX, POLICY, name_page
from image_classification.vendor.airflow.login import require_reader

logger = logging.getLogger(__name__)

READ_BY = "retraining"
"""Whoever may see the runs of this DAG may see the pages of the nights."""

PAGE = re.compile(r"index\.html|[0-9a-f]{32}\.html")
"""Names of pages: that of all nights, and those of MLflow's runs."""

SANDBOX = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'"
)
"""What a page may do beyond being looked at: open a link. No script runs in it, so that the same
origin means no more than that a link from page to page goes on being logged in."""

HEADERS = {
    "Content-Security-Policy": f"{POLICY}; {SANDBOX}",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}

MESSAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 1rem/1.5 system-ui, sans-serif; \
max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>
<h1>{title}</h1><p>{text}</p></html>"""
NO_NIGHT = ("No night yet", "The first run of the DAG retraining writes a page here.")
NO_PAGE = ("No page", "There is no page of this night: it may be older than the pages are.")
NOT_A_NIGHT = ("No page of this run", "Runs that compare a challenger with the champion have one.")
DAMAGED = (
    "No page of this run is known",
    "What is kept of some nights is damaged, and does not tell their runs. Look among all nights.",
)
NAMED_ALIKE = (
    "Two projects are called '%s', those of '%s' and '%s': they share DAGs, models and a folder of "
    "the storage, and the pages are those of the first. Give one of them another name in its "
    "conf/base/project.yml."
)
STRANGER = ("Log in first", "These pages are for who is logged in to Airflow. Log in, and reload.")


def make_app() -> FastAPI:
    """Return the app: the pages of the project of this process, and below it those of all others.

    What begins with the name of a project and an environment, as DAGs do, is theirs. A DAG run
    leads to its page where the note of the run does, whosever it is.
    """
    app = _make_app()
    own, *all_of_them = list_projects()
    scopes: dict[Scope, Project] = {}
    for project in all_of_them:
        first = scopes.setdefault(project.scope, project) if project.scope.prefix else project
        if first.configuration != project.configuration:
            logger.error(NAMED_ALIKE, project.scope.prefix, first.place, project.place)
    # The longest first: leaves-production-retraining begins with the name of leaves, too.
    for scope in sorted(scopes, key=lambda scope: len(scope.prefix), reverse=True):
        _lead_to_night(app, scopes[scope], scope.name(""), f"{scope.prefix}/")
    _lead_to_night(app, own, "", "")
    for scope, project in scopes.items():
        app.mount(f"/{scope.prefix}", make_pages(project))
    app.mount("/", make_pages(own))
    return app


def make_pages(project: Project) -> FastAPI:
    """Return the app of a project, which answers nobody who may not read its nightly DAG."""
    app = _make_app(_require_reader(project))
    pages = _ProjectPages(project)
    app.get("/", response_class=Response)(pages.show_index)
    app.get("/{name}", response_class=Response)(pages.show_page)
    return app


def _make_app(*asked: Any) -> FastAPI:
    app = FastAPI(dependencies=asked, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(HTTPException, _refuse)
    return app


def _require_reader(project: Project) -> Any:
    return require_reader(project.scope.name(READ_BY))


def _lead_to_night(app: FastAPI, project: Project, begins: str, folder: str) -> None:
    """Lead from DAG runs to their pages, who may read them.

    Args:
        app: that of all pages.
        project: whose runs they are.
        begins: how the ids of its DAGs do.
        folder: of its pages.
    """
    pages = _ProjectPages(project)

    def show_run(dag_id: str, run_id: str) -> Response:
        page = pages.find_page(f"{begins}{dag_id}", run_id)
        return page if isinstance(page, Response) else _lead_to(f"../../{folder}{page}")

    app.get(
        f"/run/{begins}{{dag_id}}/{{run_id}}",
        response_class=Response,
        dependencies=[_require_reader(project)],
    )(show_run)


class _ProjectPages:
    """The pages of one project in one environment."""

    def __init__(self, project: Project) -> None:
        """Read where they lie."""
        with project.enter():
            catalog = PlainConfiguration(project.configuration, project.environment)["catalog"]
        self._pages, self._records = (
            str(catalog[name]["filepath"]) for name in (names.PAGES, names.NIGHT_RECORDS)
        )

    def show_index(self) -> Response:
        """Lead to the page of all nights."""
        return _lead_to(INDEX)

    def find_page(self, dag_id: str, run_id: str) -> str | Response:
        """Return the name of the page of a DAG run, or the answer that says why there is none."""
        filesystem, root = open_filesystem(self._records)
        records = Records(root, filesystem)
        runs = {name: _read_run(records, name) for name in records}
        found = [name for name, run in runs.items() if run == name_run(dag_id, run_id)]
        if not found:
            return _answer(DAMAGED if None in runs.values() else NOT_A_NIGHT, 404)
        return name_page(found[-1])

    def show_page(self, request: Request, name: str) -> Response:
        """Show a page."""
        page = Pages(self._pages).read(name) if PAGE.fullmatch(name) else None
        if page is None:
            return _answer(NO_NIGHT if name == INDEX else NO_PAGE, 404)
        if request.headers.get("sec-fetch-dest") == "iframe":
            # Airflow's frame lets no link out: the addresses are then shown, to be copied.
            page = page.replace("<body>", '<body class="framed">', 1)
        return HTMLResponse(page, headers=HEADERS)


def _read_run(records: Records, name: str) -> str | None:
    """Return the DAG run of a night, "" for none; None where what is kept of it is damaged."""
    try:
        return str(records[name]["airflow_run"])
    except (DataError, OSError, KeyError, TypeError) as error:
        logger.warning("What is kept of the night %s is damaged: %s", name, error)
        return None


def _lead_to(address: str) -> Response:
    return RedirectResponse(address, headers=HEADERS)


def _refuse(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return _answer(STRANGER if status in (401, 403) else NO_PAGE, status)


def _answer(message: tuple[str, str], status: int) -> Response:
    title, text = message
    return HTMLResponse(MESSAGE.format(title=title, text=text), status, HEADERS)
