"""Airflow for the tests: a home and a database of its own, named before Airflow is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_home  # noqa: F401 - before Airflow is imported
import dag_file
import pytest
from arrivals import deliver_cells
from shortcuts import quick_dag_runs, quick_sessions
from storage_root import put_in_force

if TYPE_CHECKING:
    from airflow.sdk import DAG
    from dag_nights import Laboratory
    from kedro.pipeline import Pipeline

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def airflow_database() -> Iterator[None]:
    """An empty Airflow database, which the first DAG run fills with all DAGs."""
    from airflow.utils.db import initdb

    initdb()
    with quick_dag_runs():
        yield


@pytest.fixture(scope="session")
def load_dag() -> Callable[[str], DAG]:
    """A new DAG object out of a file of `dags/`, by the pipeline's name."""

    def load(pipeline: str) -> DAG:
        suffix = "" if pipeline == "__default__" else f"_{pipeline}"
        return dag_file.load_dag(PROJECT / "dags" / f"image_classification{suffix}_dag.py")

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
    with pytest.MonkeyPatch.context() as patch, quick_sessions():
        put_in_force(patch, folder / "storage")
        notes: list[tuple[str, str, str]] = []
        patch.setattr(
            "image_classification.orchestration.notices.note.write_dag_run_note",
            lambda *note: notes.append(note),
        )
        yield Laboratory(folder / "storage", load_dag, notes)
