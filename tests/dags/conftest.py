"""Airflow for the tests: a home and a database of its own, named before Airflow is imported."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from arrivals import deliver_cells

if TYPE_CHECKING:
    from airflow.sdk import DAG
    from dag_nights import Laboratory
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


@pytest.fixture(scope="module")
def laboratory(
    tmp_path_factory: pytest.TempPathFactory, cells: Path, load_dag: Callable[[str], DAG]
) -> Iterator[Laboratory]:
    from dag_nights import Laboratory

    folder = tmp_path_factory.mktemp("laboratory")
    deliver_cells(cells, folder / "storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEDRO_LOGGING_CONFIG", str(PROJECT / "airflow" / "kedro_logging.yml"))
        from image_classification.orchestration import kedro_run

        patch.setenv("IMAGE_CLASSIFICATION_STORAGE", str(folder / "storage"))
        patch.setenv("KEDRO_ENV", "test")
        notes: list[tuple[str, str, str]] = []
        patch.setattr(
            "image_classification.orchestration.notices.note.write_dag_run_note",
            lambda *note: notes.append(note),
        )
        # Half a second at each task below pytest: Kedro's settings walk the whole stack.
        patch.setattr(kedro_run, "bootstrap_project", cache(kedro_run.bootstrap_project))
        yield Laboratory(folder / "storage", load_dag, notes)


