"""compose.yaml, the values for Airflow's chart and the Containerfile name what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import airflow_home  # noqa: F401 - before Airflow is imported
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CHART = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((PROJECT / "airflow" / "helm").glob("*.yaml"))
}
OURS = [name for name, service in SERVICES.items() if "image-classification" in service["image"]]
PROVIDED = {
    "airflow.providers.celery": "celery",
    "airflow.providers.cncf.kubernetes": "kubernetes_executor",
}
"""Packages of an extra of this project, each with the section of Airflow's configuration it has."""


def list_variables(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield each variable that a file sets, with its value."""
    if isinstance(content, list):
        for each in content:
            yield from list_variables(each)
    elif isinstance(content, dict):
        if isinstance(name := content.get("name"), str) and name.isupper():
            yield name, content.get("value")
        for name, value in content.items():
            if isinstance(name, str) and name.isupper():
                yield name, value
            yield from list_variables(value)


def list_all_variables() -> dict[str, set[str]]:
    """Return the names that each file sets."""
    lines = re.findall(r"\b([A-Z_]+)=", (PROJECT / "Containerfile").read_text())
    charts = {name: {each for each, _ in list_variables(chart)} for name, chart in CHART.items()}
    return {"Containerfile": set(lines), "compose": dict(list_variables(SERVICES)).keys(), **charts}


@pytest.fixture(scope="module")
def known_options() -> dict[str, set[str]]:
    from airflow.configuration import conf

    described = dict(conf.configuration_description)
    for name in PROVIDED:
        with suppress(ModuleNotFoundError):  # the extra is not installed
            described |= import_module(f"{name}.get_provider_info").get_provider_info()["config"]
    return {section: set(each["options"]) for section, each in described.items()}


def test_every_option_of_airflow_is_one(known_options: dict[str, set[str]]) -> None:
    named = {
        (parts[1].lower(), parts[2].lower())
        for names in list_all_variables().values()
        for name in names
        if len(parts := name.split("__")) == 3 and parts[0] == "AIRFLOW"
    }
    for chart in CHART.values():
        for section, options in chart.get("config", {}).items():
            named |= {(section, option) for option in options}
    assert len(named) > 20
    unknown = {
        (section, option)
        for section, option in named
        if option not in known_options.get(section, ())
        and not (section in PROVIDED.values() and section not in known_options)
    }
    assert unknown == set()


def test_every_variable_of_ours_is_in_the_table_of_settings() -> None:
    told = (PROJECT / "docs" / "settings.md").read_text()
    named = {
        name
        for names in list_all_variables().values()
        for name in names
        if name.startswith("IMAGE_CLASSIFICATION_")
    }
    assert {"IMAGE_CLASSIFICATION_STORAGE", "IMAGE_CLASSIFICATION_CONFIGURATION"} < named
    assert {name for name in named if f"`{name}`" not in told} == set()


def test_every_class_that_is_named_lies_in_a_module_that_is_there() -> None:
    text = "\n".join(
        file.read_text()
        for file in [PROJECT / "compose.yaml", *(PROJECT / "airflow" / "helm").glob("*.yaml")]
    )
    named = set(re.findall(r"\b((?:airflow|image_classification)(?:\.\w+){3,})\b", text))
    named = {
        name for name in named if ".org" not in name and not name.startswith("airflow.example")
    }
    assert len(named) >= 3
    missing = set()
    for name in named:
        provider = re.match(r"airflow\.providers\.(\w+)", name)
        if provider and find_spec(provider[0]) is None:
            continue  # of an extra that is not installed
        if find_spec(name.rpartition(".")[0]) is None:
            missing.add(name)
    assert missing == set()


@pytest.mark.parametrize(
    "name",
    # Importing MLflow's commands takes seconds.
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "mlflow")) for name in OURS],
)
def test_a_service_starts_a_program_of_the_image(name: str) -> None:
    from airflow.cli.cli_config import core_commands

    command = SERVICES[name]["command"]
    words = re.split(r"\s+", command[2].split("&& exec ")[-1]) if command[0] == "sh" else command
    scripts = {script.name for script in entry_points(group="console_scripts")}
    assert words[0] in {*scripts, "python"}
    if words[0] == "airflow":
        assert words[1] in {*(each.name for each in core_commands), "celery"}
    if words[0] == "mlflow":
        from mlflow.cli import server

        options = {option for param in server.params for option in param.opts}
        assert {word.partition("=")[0] for word in words[2:]} <= options


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "healthcheck" in service or service["restart"] == "on-failure"
    if name in OURS:
        assert service["cap_drop"] == ["ALL"]
        assert service["user"].endswith(":0")


def test_no_secret_is_in_a_file_or_has_a_default() -> None:
    secret = re.compile(r"PASSWORD|SECRET|_KEY\b|SQL_ALCHEMY_CONN|RESULT_BACKEND|BROKER_URL")
    given = {name: str(value) for name, value in list_variables(SERVICES) if secret.search(name)}
    places = {name: re.findall(r"\$\{(\w+)([^}]*)\}", value) for name, value in given.items()}
    assert len(places) > 10
    files = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"}
    assert {name for name, found in places.items() if not found} <= files
    assert not [rest for found in places.values() for _, rest in found if rest.startswith(":-")]
    # Where a variable is first used, it is required.
    text = (PROJECT / "compose.yaml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert {variable for found in places.values() for variable, _ in found} <= required


def test_charts_are_laid_over_one_another_without_hiding_what_lies_below() -> None:
    for name, chart in CHART.items():
        if name != "values":
            lists = {key for key, value in chart.items() if isinstance(value, list)}
            assert lists & CHART["values"].keys() == set()
