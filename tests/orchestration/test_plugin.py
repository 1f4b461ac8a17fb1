"""How the pages are found in Airflow."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest

from image_classification.orchestration.plugin import NightsApp, NightsPlugin

PROJECT = Path(__file__).resolve().parents[2]


def test_the_navigation_shows_the_history_and_a_run_its_night() -> None:
    history, one = NightsPlugin.external_views
    assert (history["destination"], history["href"]) == ("nav", "/nights/index.html")
    assert (one["destination"], one["href"]) == ("dag_run", "/nights/run/{DAG_ID}/{RUN_ID}")
    (app,) = NightsPlugin.fastapi_apps
    assert app["url_prefix"] == "/nights"
    assert isinstance(app["app"], NightsApp)


def test_airflow_finds_the_plugin_by_its_entry_point() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    (place,) = project["entry-points"]["airflow.plugins"].values()
    assert place == f"{NightsPlugin.__module__}:{NightsPlugin.__name__}"


@pytest.mark.slow
def test_the_plugin_costs_next_to_nothing_where_no_page_is_asked_for() -> None:
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); "
        "import image_classification.orchestration.plugin; "
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert imported.isdisjoint({"kedro", "mlflow", "tensorflow", "pandas", "jinja2", "omegaconf"})
