"""A LocalExecutor whose tasks start with the heavy libraries already imported."""

from __future__ import annotations

from image_classification.machine.process import end_with
from image_classification.orchestration.workers.preload import (
    count_tasks_per_worker,
    is_wanted,
    preload_modules,
)
from image_classification.vendor.airflow.executor import RenewingLocalExecutor


class PreloadedLocalExecutor(RenewingLocalExecutor):
    """LocalExecutor that imports TensorFlow, MLflow and Kedro once, before it forks its workers.

    Importing them takes most of the time of a small task. Options, of the section
    `image_classification` of Airflow's configuration:

    - `preload`: false for the stock behaviour.
    - `tasks_per_worker`: a worker ends after this many tasks, and a new one is forked in its place,
      so that nothing that a worker gathers in memory stays for good.
    """

    def start(self) -> None:
        """Import the libraries, then start the workers.

        Where an import has left something that does not survive a fork, workers are fresh
        processes instead, and each task imports what it uses.
        """
        self.tasks_per_worker = count_tasks_per_worker()
        self.end_with = end_with
        if self.forks and is_wanted():
            preload = preload_modules()
            for sentence in preload.describe():
                self.log.warning(sentence)
            if preload.unsafe:
                self.log.warning("Workers are spawned, not forked: every task imports what it uses")
                self.spawn_from_now_on()
        super().start()
