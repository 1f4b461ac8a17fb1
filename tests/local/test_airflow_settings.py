"""What the Airflow of this machine is told."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from image_classification.local.airflow_settings import (
    AIRFLOW_COMPONENTS,
    EXECUTOR,
    configure_airflow,
)


def test_it_is_served_where_the_address_says(tmp_path: Path) -> None:
    told = configure_airflow(tmp_path, "http://127.0.0.1:8099")
    assert (told["API__HOST"], told["API__PORT"]) == ("127.0.0.1", "8099")
    assert told["CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8099/execution/"
    assert told["CORE__DAGS_FOLDER"] == str(tmp_path / "dags")


@pytest.mark.parametrize("theme", [None, '{"globalCss": {}}'])
def test_the_theme_of_the_project_is_used_where_there_is_one(
    tmp_path: Path, theme: str | None
) -> None:
    if theme:
        (tmp_path / "airflow").mkdir()
        (tmp_path / "airflow" / "theme.json").write_text(theme)
    assert configure_airflow(tmp_path, "http://127.0.0.1:1")["API__THEME"] == (theme or "{}")


def test_the_executor_is_there_under_the_name_that_users_have() -> None:
    module, _, name = EXECUTOR.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_no_log_server_is_started() -> None:
    """It would listen on every interface."""
    for component in ("triggerer", "scheduler"):
        assert "--skip-serve-logs" in AIRFLOW_COMPONENTS[component]
