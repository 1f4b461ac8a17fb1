"""Airflow for the tests: a home and a database of its own, named before Airflow is imported."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG
    from kedro.pipeline import Pipeline

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


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """An empty Airflow database."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def load_dag() -> Callable[[str], DAG]:
    """A new DAG object out of a file of `dags/`, by the pipeline's name."""

    def load(pipeline: str) -> DAG:
        suffix = "" if pipeline == "__default__" else f"_{pipeline}"
        name = f"image_classification{suffix}_dag"
        spec = importlib.util.spec_from_file_location(name, PROJECT / "dags" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        dag: DAG = module.dag
        return dag

    return load


@pytest.fixture(scope="session")
def registered() -> dict[str, Pipeline]:
    """The registered pipelines."""
    from image_classification.pipeline_registry import register_pipelines

    return register_pipelines()
