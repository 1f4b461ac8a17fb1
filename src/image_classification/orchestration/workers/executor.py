"""A LocalExecutor whose tasks start with the heavy libraries already imported."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from multiprocessing import SimpleQueue
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor

from image_classification.orchestration.workers.preload import (
    count_tasks_per_worker,
    is_wanted,
    preload_modules,
)

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload


class PreloadedLocalExecutor(LocalExecutor):
    """LocalExecutor that imports TensorFlow, MLflow and Kedro once, before it forks its workers.

    Importing them takes most of the time of a small task. Options, of the section
    `image_classification` of Airflow's configuration:

    - `preload`: false for the stock behaviour.
    - `tasks_per_worker`: a worker ends after so many, and a new one is forked in its place, so that
      nothing that a worker gathers stays for good.
    """

    def start(self) -> None:
        """Import, then start the workers.

        Where an import has left something that does not survive a fork, workers are fresh
        processes instead, and tasks import what they use.
        """
        self._tasks_per_worker = count_tasks_per_worker()
        if self.is_mp_using_fork and is_wanted():
            preload = preload_modules()
            for sentence in preload.describe():
                self.log.warning(sentence)
            if preload.unsafe:
                self.log.warning("Workers are spawned, not forked: every task imports what it uses")
                multiprocessing.set_start_method("spawn", force=True)
                self.is_mp_using_fork = False
        super().start()

    def _check_workers(self) -> None:
        super()._check_workers()
        missing = self.parallelism - len(self.workers)
        if self.is_mp_using_fork and missing:
            self._spawn_workers_with_gc_freeze(missing)

    def _spawn_worker(self) -> None:
        queue = self.activity_queue
        ration: Any = _Ration(queue, self._tasks_per_worker)
        self.activity_queue = ration
        try:
            super()._spawn_worker()
        finally:
            self.activity_queue = queue


@dataclass
class _Ration:
    """The queue as one worker sees it: empty for good once the worker has had its share.

    A worker that is told so ends between two workloads; what waits stays for the others.
    """

    queue: SimpleQueue[ExecutorWorkload | None]
    left: int

    def get(self) -> ExecutorWorkload | None:
        """Return the next workload, or None where this worker has to end."""
        if self.left <= 0:
            return None
        self.left -= 1
        return self.queue.get()
