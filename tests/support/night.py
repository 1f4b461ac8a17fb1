"""Runs the tasks of the DAG `retraining` in an executor's own workers: `night.py <executor class>`.

A program of its own, since nothing may be imported before the executor is started. A worker forks a
process for each task, as Airflow's supervisor does, and the task does what its operator does; the
scheduler, which starts them one after another, and Airflow's API alone are left out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.executors.base_executor import BaseExecutor
from airflow.executors.local_executor import LocalExecutor
from dag_file import load_dag

from image_classification.orchestration.task_log import keep_log_handlers

PROJECT = Path(__file__).resolve().parents[2]
DAG_FILE = PROJECT / "dags" / "image_classification_retraining_dag.py"
STEPS: dict[str, Callable[[Any], Any]] = {
    "OpenRunOperator": lambda run: run.open_mlflow_run(),
    "LogModelOperator": lambda run: run.log_model(),
    "MeasurePackageOperator": lambda run: run.aftermath.measure(),
    "ChooseChampionOperator": lambda run: run.aftermath.decide(),
}
"""What an operator asks of the Kedro side; other operators are left out."""

ASIDE = ("plot_", "score_newest", "watch_", "choose_later", "score_past", "judge_past")
"""Nodes that the result does not depend on."""


@dataclass
class Workload:
    """As much of one as LocalExecutor looks at."""

    key: str
    operator: str
    running_state: None = None
    success_state: str = "success"
    failure_state: str = "failed"

    @property
    def display_name(self) -> str:
        return self.key


def run_step(workload: Workload) -> None:
    """Do what the operator does."""
    keep_log_handlers()
    from image_classification.orchestration.kedro_run import KedroRun

    kept = Path(os.environ["IMAGE_CLASSIFICATION_STORAGE"], "mlflow_run_id")
    known = kept.read_text() if kept.exists() else None
    run = KedroRun(PROJECT, "retraining", "retraining", "night", "http://dag.run", {}, known)
    if workload.operator == "KedroNodeOperator":
        run.run_node(workload.key)
    elif workload.operator == "OpenRunOperator":
        kept.write_text(run.open_mlflow_run())
    else:
        STEPS[workload.operator](run)


def run_workload(workload: Workload, **_: Any) -> None:
    """Run a task in a process forked from the worker."""
    process = os.fork()
    if process == 0:
        try:
            there = "tensorflow" in sys.modules
            sys.stdout.write(f"{workload.key}: TensorFlow was there: {there}\n")
            sys.stdout.flush()
            run_step(workload)
        except BaseException:  # noqa: BLE001 - the forked process must not go on
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if os.waitpid(process, 0)[1]:
        raise RuntimeError(f"{workload.key} failed.")


def list_tasks() -> list[Workload]:
    """Return the tasks of the DAG file, each after those that it depends on."""
    sorted_tasks = load_dag(DAG_FILE).topological_sort()
    tasks = [Workload(task.task_id, type(task).__name__) for task in sorted_tasks]
    return [
        task
        for task in tasks
        if task.operator in {"KedroNodeOperator", *STEPS} and not task.key.startswith(ASIDE)
    ]


def run_night(executor: Any) -> None:
    """Run all tasks, one after another."""
    executor.start()
    try:
        for task in list_tasks():
            executor.queued_tasks[task.key] = task
            executor._process_workloads([task])
            while not (events := executor.get_event_buffer()):
                executor.sync()
                time.sleep(0.02)
            if events[task.key][0] != "success":
                raise SystemExit(f"{task.key} failed.")
    finally:
        executor.end()  # else its workers keep this process from ending


if __name__ == "__main__":
    from image_classification.orchestration.executor import PreloadedLocalExecutor

    BaseExecutor.run_workload = staticmethod(run_workload)  # type: ignore[method-assign]
    executors = {"stock": LocalExecutor, "preloaded": PreloadedLocalExecutor}
    run_night(executors[sys.argv[1]](parallelism=1))
