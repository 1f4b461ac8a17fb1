"""The executor imports before it forks, and replaces its workers without losing a task."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
from airflow.executors.base_executor import BaseExecutor
from airflow.executors.local_executor import LocalExecutor

from image_classification.orchestration.executor import PreloadedLocalExecutor
from image_classification.orchestration.workers import executor as module
from image_classification.orchestration.workers.preload import Preload

PATIENCE_S = 60


@dataclass
class Workload:
    """As much of one as LocalExecutor looks at."""

    key: int
    deadly: bool = False
    display_name: str = "a task"
    running_state: None = None
    success_state: str = "success"
    failure_state: str = "failed"


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PreloadedLocalExecutor]:
    """An executor of two workers that end after two tasks each; a task notes who ran it."""

    def run(workload: Workload, **_: object) -> None:
        if workload.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / f"{workload.key}").write_text(str(os.getpid()))

    monkeypatch.setattr(BaseExecutor, "run_workload", staticmethod(run))
    monkeypatch.setenv("AIRFLOW__IMAGE_CLASSIFICATION__TASKS_PER_WORKER", "2")
    monkeypatch.setattr(module, "preload_modules", Preload)
    started = PreloadedLocalExecutor(parallelism=2)
    started.start()
    yield started
    started.end()


def run_workloads(
    executor: PreloadedLocalExecutor, count: int, deadly: frozenset[int] = frozenset()
) -> dict[int, str]:
    """Let tasks run, as the scheduler does; return what became of those that live."""
    workloads = [Workload(key, key in deadly) for key in range(count)]
    queued: dict[Any, Any] = executor.queued_tasks
    queued.update({workload.key: workload for workload in workloads})
    executor._process_workloads(workloads)
    states: dict[Any, str] = {}
    deadline = time.monotonic() + PATIENCE_S
    while len(states) < count - len(deadly) and time.monotonic() < deadline:
        executor.sync()
        states |= {key: str(state) for key, (state, _) in executor.get_event_buffer().items()}
        time.sleep(0.02)
    return states


def start_stock() -> mock._patch:  # type: ignore[type-arg]
    return mock.patch.object(LocalExecutor, "start")


def test_every_task_runs_once_though_its_worker_is_replaced(
    executor: PreloadedLocalExecutor, tmp_path: Path
) -> None:
    assert run_workloads(executor, 11) == dict.fromkeys(range(11), "success")
    runs = Counter(path.read_text() for path in tmp_path.iterdir())
    assert sum(runs.values()) == 11
    assert max(runs.values()) == 2
    assert executor._unread_messages.value == 0


def test_a_worker_that_has_ended_is_replaced_though_nothing_waits(
    executor: PreloadedLocalExecutor,
) -> None:
    before = set(executor.workers)
    run_workloads(executor, 4)
    deadline = time.monotonic() + PATIENCE_S
    while before & set(executor.workers) and time.monotonic() < deadline:
        executor.sync()
        time.sleep(0.02)
    assert len(executor.workers) == 2
    assert not before & set(executor.workers)
    assert all(worker.is_alive() for worker in executor.workers.values())


def test_a_worker_that_dies_in_a_task_is_replaced(executor: PreloadedLocalExecutor) -> None:
    states = run_workloads(executor, 6, deadly=frozenset({0}))
    assert states == dict.fromkeys(range(1, 6), "success")
    executor.sync()
    assert len(executor.workers) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do so")
def test_workers_end_with_the_scheduler_that_started_them_however_that_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "preload_modules", Preload)
    ours, theirs = multiprocessing.Pipe()

    def schedule() -> None:
        started = PreloadedLocalExecutor(parallelism=2)
        started.start()
        theirs.send(list(started.workers))
        signal.pause()

    scheduler = multiprocessing.get_context("fork").Process(target=schedule)
    scheduler.start()
    workers = [psutil.Process(pid) for pid in ours.recv()]
    assert len(workers) == 2
    scheduler.kill()
    scheduler.join()
    deadline = time.monotonic() + PATIENCE_S
    try:
        while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in workers):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        for each in workers:
            with suppress(psutil.NoSuchProcess):
                each.kill()


def test_modules_are_imported_before_the_workers_are_forked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = []
    monkeypatch.setattr(module, "preload_modules", lambda: steps.append("import") or Preload())
    with start_stock() as start:
        start.side_effect = lambda: steps.append("fork")
        PreloadedLocalExecutor().start()
    assert steps == ["import", "fork"]


def test_workers_are_spawned_where_a_fork_is_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    unsafe = Preload(unsafe={"some.library": "a thread running ('pool')"})
    monkeypatch.setattr(module, "preload_modules", lambda: unsafe)
    before = multiprocessing.get_start_method()
    try:
        with start_stock(), mock.patch.object(PreloadedLocalExecutor, "log", create=True) as log:
            executor = PreloadedLocalExecutor()
            executor.start()
        assert not executor.is_mp_using_fork
        assert multiprocessing.get_start_method() == "spawn"
    finally:
        multiprocessing.set_start_method(before, force=True)
    sentences = [call.args[0] for call in log.warning.mock_calls]
    assert "some.library has left a thread running ('pool')" in sentences[0]
    assert "spawned, not forked" in sentences[1]


def test_nothing_is_imported_where_the_configuration_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__IMAGE_CLASSIFICATION__PRELOAD", "False")
    with start_stock(), mock.patch.object(module, "preload_modules") as imports:
        PreloadedLocalExecutor().start()
    imports.assert_not_called()
