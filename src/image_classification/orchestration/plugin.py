"""The pages of the nights in Airflow's own navigation.

Airflow imports this in each of its processes, so it imports next to nothing: what serves the pages
is imported in the api-server, as it is first asked for one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import urlparse

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from image_classification.pages import INDEX, NIGHTS

MOON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' "
    "stroke='{}' stroke-width='2' stroke-linejoin='round'%3E"
    "%3Cpath d='M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z'/%3E%3C/svg%3E"
)


class NightsApp:
    """The pages, as an app of ASGI that is made when it is first asked for."""

    def __init__(self) -> None:
        """Prepare; nothing is imported yet."""
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            self._app = import_module("image_classification.orchestration.night_app").make_app()
        await self._app(scope, receive, send)


def locate_below(path: str) -> str:
    """Return the path of a page on Airflow's host, which may serve Airflow below one of its own."""
    root = urlparse(str(conf.get("api", "base_url", fallback=""))).path.rstrip("/")
    return f"{root}{NIGHTS}/{path}"


class NightsPlugin(AirflowPlugin):
    """The history in the navigation, and the page of a night beside its DAG run."""

    name = "image_classification"
    fastapi_apps = [{"name": "nights", "url_prefix": NIGHTS, "app": NightsApp()}]
    external_views = [
        {
            "name": "Nights",
            "href": locate_below(INDEX),
            "url_route": "nights",
            "destination": "nav",
            "nav_top_level": True,
            "icon": MOON.format("%23333"),
            "icon_dark_mode": MOON.format("%23ddd"),
        },
        {
            "name": "Night",
            "href": locate_below("run/{DAG_ID}/{RUN_ID}"),
            "url_route": "night",
            "destination": "dag_run",
            "icon": MOON.format("%23333"),
            "icon_dark_mode": MOON.format("%23ddd"),
        },
    ]
