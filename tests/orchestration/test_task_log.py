"""How Kedro logs inside a task."""

from __future__ import annotations

import logging.config
import os
from pathlib import Path

import pytest
import yaml

from image_classification.orchestration import task_log
from image_classification.orchestration.task_log import keep_log_handlers


def test_the_handlers_stay_whatever_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "conf/logging.yml")
    keep_log_handlers()
    handlers = list(logging.getLogger().handlers)
    file = Path(os.environ["KEDRO_LOGGING_CONFIG"])
    logging.config.dictConfig(yaml.safe_load(file.read_text()))
    assert handlers
    assert logging.getLogger().handlers == handlers


def test_the_settings_are_found_where_they_lay_before() -> None:
    """An Airflow that was set up by hand may name that place in its environment."""
    before = Path(__file__).parents[2] / "airflow" / "kedro_logging.yml"
    assert before.read_bytes() == task_log.CONFIGURATION.read_bytes()
