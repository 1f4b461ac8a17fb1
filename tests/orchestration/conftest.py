"""Airflow for the tests: a home of its own, named before Airflow is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

if "TEST_AIRFLOW_HOME" not in os.environ:
    os.environ["TEST_AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["TEST_AIRFLOW_HOME"], ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=os.environ["TEST_AIRFLOW_HOME"],
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Airflow and MLflow, which run here whole, warn; our own code still may not."""
    ours_alone = pytest.mark.filterwarnings("ignore", "error:::(image_classification|test_)")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(ours_alone)
