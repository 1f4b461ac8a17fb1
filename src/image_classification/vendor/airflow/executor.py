"""A LocalExecutor that replaces each of its workers after a number of tasks.

Relied on, of `airflow.executors.local_executor.LocalExecutor`: the attributes `activity_queue`,
`is_mp_using_fork` and `workers`; the methods `_check_workers`, which runs at each heartbeat and
starts workers only where tasks wait; `_spawn_worker`, which hands `activity_queue` to the process
that it starts; `_spawn_workers_with_gc_freeze`, which forks several; and that a worker ends when
the queue gives it None.

We know of no issue about it. It can go when LocalExecutor has what Celery calls
`worker_max_tasks_per_child`, and lets a subclass choose between fork and spawn.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import SimpleQueue
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload


class RenewingLocalExecutor(LocalExecutor):
    """LocalExecutor whose workers end after a number of tasks, and are replaced at once.

    Attributes:
        tasks_per_worker: how many tasks a worker runs; to be set before `start`.
        end_with: lets the process that calls it end with the one of this id, and returns whether
            that one still runs: so a worker ends with its scheduler; to be set before `start`.
    """

    tasks_per_worker: int
    end_with: Callable[[int], bool]

    @property
    def forks(self) -> bool:
        """Whether workers are forked from this process, and so find in memory what it imported."""
        return bool(self.is_mp_using_fork)

    def spawn_from_now_on(self) -> None:
        """Let workers be fresh processes; to be called before `start`."""
        multiprocessing.set_start_method("spawn", force=True)
        self.is_mp_using_fork = False

    def _check_workers(self) -> None:
        super()._check_workers()
        missing = self.parallelism - len(self.workers)
        if self.is_mp_using_fork and missing:
            self._spawn_workers_with_gc_freeze(missing)

    def _spawn_worker(self) -> None:
        queue = self.activity_queue
        ration: Any = _Ration(queue, self.tasks_per_worker, self.end_with)
        self.activity_queue = ration
        try:
            super()._spawn_worker()
        finally:
            self.activity_queue = queue


@dataclass
class _Ration:
    """The queue as one worker sees it: empty for good once the worker has had its share.

    A worker that is told so ends between two tasks. The tasks that wait are left to the others.
    With the scheduler that has started it a worker ends, too, and so does the task that it runs,
    since the supervisor of the task hands the signal on.
    """

    queue: SimpleQueue[ExecutorWorkload | None]
    left: int
    end_with: Callable[[int], bool]
    scheduler: int = field(default_factory=os.getpid)

    def get(self) -> ExecutorWorkload | None:
        """Return the next task, or None where this worker has to end."""
        if self.left <= 0:
            return None
        self.left -= 1
        if os.getpid() != self.scheduler and not self.end_with(self.scheduler):
            return None
        return self.queue.get()
