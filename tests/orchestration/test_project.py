"""Which configuration the tasks of a DAG read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_classification.configuration.location import (
    VARIABLE,
    find_configuration,
    find_project_path,
)
from image_classification.orchestration.project import enter_project

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEDRO_ENV", VARIABLE):
        monkeypatch.setenv(name, "")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another project."""
    (tmp_path / "conf" / "base").mkdir(parents=True)
    return tmp_path


def test_the_project_that_the_worker_was_started_in_needs_no_name() -> None:
    enter_project(str(PROJECT))
    assert os.environ[VARIABLE] == ""
    assert os.environ["KEDRO_ENV"] == ""


def test_places_of_another_project_lie_below_it(other: Path) -> None:
    enter_project(str(other), environment="production")
    assert find_configuration() == other / "conf"
    assert find_project_path() == other
    assert os.environ["KEDRO_ENV"] == "production"


def test_what_a_dag_file_names_holds_over_what_the_process_names(
    other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "/opt/blood")
    enter_project(str(other))
    assert os.environ[VARIABLE] == "/opt/blood"
    monkeypatch.setenv("KEDRO_ENV", "staging")
    enter_project(str(other), "conf", "production")
    assert os.environ[VARIABLE] == str(other / "conf")
    assert os.environ["KEDRO_ENV"] == "production"


def test_a_folder_without_a_configuration_is_passed_over(tmp_path: Path) -> None:
    enter_project(str(tmp_path))
    assert os.environ[VARIABLE] == ""
