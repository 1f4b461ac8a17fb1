"""A night through Celery, Redis and PostgreSQL, beside the same night in one process."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import psycopg2
import pytest
from arrivals import deliver_cells
from celery_stack import CeleryStack, find_missing
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from nights import DAG_ID, PROJECT

from image_classification import tracking
from image_classification.champion import registry
from image_classification.intake.index import settle_index
from image_classification.local.airflow_api import AirflowClient

MISSING = find_missing()
MODEL = "test-classifier"
PATIENCE_S = 90
TIMES = ["first_seen", "recorded_at"]
"""Columns of the index that differ between two intakes of the same images."""

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING) and not os.environ.get("CI"),
        reason=f"not on this machine: {', '.join(MISSING)} "
        "(Debian: apt-get install redis-server postgresql)",
    ),
]


@dataclass(frozen=True)
class Night:
    """What a run of `retraining` left."""

    index: pd.DataFrame
    splits: pd.DataFrame
    decision: dict[str, Any]
    champion: str | None


@dataclass(frozen=True)
class CeleryNight:
    """A DAG run on Celery, and the processes that its worker had forked before."""

    stack: CeleryStack
    state: str
    tasks: dict[str, dict[str, Any]]
    pool: list[psutil.Process]
    left: Night


def look(storage: Path, mlflow: str) -> Night:
    rows = pd.concat(map(pd.read_parquet, sorted((storage / "index" / "images").glob("*.parquet"))))
    (decision,) = (storage / "runs").rglob("decision.json")
    tracking.connect(mlflow)
    return Night(
        settle_index(rows).drop(columns=TIMES),
        pd.read_parquet(decision.with_name("image_splits.parquet")).drop(columns=TIMES[:1]),
        json.loads(decision.read_text()),
        registry.find_champion(MODEL),
    )


@pytest.fixture(scope="module")
def on_celery(cells: Path) -> Iterator[CeleryNight]:
    """One night; the services run on, to be looked at."""
    assert not MISSING
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as data:
        patch.setenv("KEDRO_ENV", "test")
        stack = CeleryStack("end-to-end-celery", PROJECT, data=data)
        shutil.rmtree(stack.folder, ignore_errors=True)
        stack.start()
        try:
            deliver_cells(cells, stack.storage)
            pool = stack.find_pool()
            client = AirflowClient(stack.airflow_url, "admin", stack.password)
            client.wait_for_dag(DAG_ID)
            client.unpause(DAG_ID)
            run_id = client.trigger(DAG_ID)
            state = client.follow(DAG_ID, run_id, lambda _: None, timeout_s=600)
            tasks = {task["task_id"]: task for task in client.list_tasks(DAG_ID, run_id)}
            for name, value in stack.accounts.log_tasks_in().items():
                patch.setenv(name, value)
            yield CeleryNight(stack, state, tasks, pool, look(stack.storage, stack.mlflow_url))
        finally:
            stack.stop()


@pytest.fixture
def in_one_process(storage: Path) -> Night:
    """The same night by `kedro run`."""
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        session.run(pipeline_names=[DAG_ID])
    return look(storage, f"sqlite:///{storage}/mlflow/mlflow.db")


def has_tensorflow(process: psutil.Process) -> bool:
    return any("libtensorflow" in mapped.path for mapped in process.memory_maps())


def list_ended(stack: CeleryStack) -> set[str]:
    """Return the tasks that Celery has noted as ended well."""
    with closing(psycopg2.connect(stack.address)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT instance.task_id FROM task_instance AS instance JOIN celery_taskmeta AS result "
            "ON result.task_id = instance.external_executor_id WHERE result.status = 'SUCCESS'"
        )
        return {task_id for (task_id,) in cursor.fetchall()}


def test_every_task_that_ran_was_brought_by_celery_and_ended_well(on_celery: CeleryNight) -> None:
    assert on_celery.state == "success"
    ran = {name for name, task in on_celery.tasks.items() if task["pid"]}
    assert {"train_network", "promote_challenger", "close_run"} < ran
    assert {on_celery.tasks[name]["state"] for name in ran} == {"success"}
    deadline = time.monotonic() + PATIENCE_S  # Celery notes a task's end after Airflow
    while (brought := list_ended(on_celery.stack)) != ran and time.monotonic() < deadline:
        time.sleep(0.2)
    assert brought == ran


def test_tasks_are_forked_from_processes_that_have_tensorflow_from_their_parent(
    on_celery: CeleryNight,
) -> None:
    worker = psutil.Process(on_celery.stack.processes["worker"][0])
    assert has_tensorflow(worker)
    assert len(on_celery.pool) == on_celery.stack.concurrency
    assert all(has_tensorflow(process) for process in on_celery.pool)
    # The same processes were there to the end.
    assert all(process.is_running() for process in on_celery.pool)


def test_the_scheduler_reads_the_same_configuration_and_imports_nothing(
    on_celery: CeleryNight,
) -> None:
    scheduler = psutil.Process(on_celery.stack.processes["scheduler"][0])
    assert not has_tensorflow(scheduler)


def test_index_splits_decision_and_champion_are_those_of_kedro_run(
    on_celery: CeleryNight, in_one_process: Night
) -> None:
    ours = on_celery.left
    pd.testing.assert_frame_equal(ours.index, in_one_process.index)
    pd.testing.assert_frame_equal(ours.splits, in_one_process.splits)
    for key in ("verdict", "promote", "reason", "challenger", "champion"):
        assert ours.decision[key] == in_one_process.decision[key], key
    assert ours.champion == in_one_process.champion == "1"
