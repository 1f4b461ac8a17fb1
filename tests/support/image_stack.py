"""The Celery stack with all of ours started from the image, as a user id that it does not know."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from celery_stack import CeleryStack

USER_ID = 12345
OURS = ("AIRFLOW", "MLFLOW_", "IMAGE_CLASSIFICATION_", "KEDRO_", "AWS_")
"""Of the variables that a stack sets, those that a container is given."""


@dataclass
class ImageStack(CeleryStack):
    """A stack whose components and worker run in containers of one image.

    Attributes:
        container: of the image, as `buildah from` made it.
        place: a folder of this machine that the containers see, and a temporary folder of theirs.
        task_logs: where in a bucket the logs of tasks are kept.
    """

    container: str = ""
    place: Path = field(default_factory=Path)
    task_logs: str = ""

    @property
    def folder(self) -> Path:
        return self.place / "stack"

    @property
    def temporary(self) -> Path:
        """The temporary folder of the containers."""
        return self.place / "tmp"

    def environment(self) -> dict[str, str]:
        given = {
            **super().environment(),
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": self.task_logs,
            "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "store",
            "AIRFLOW_CONN_STORE": "aws://",
        }
        # Where the image has its DAG files, it says itself.
        return {
            name: value
            for name, value in given.items()
            if name.startswith(OURS)
            and name not in ("AIRFLOW__CORE__DAGS_FOLDER", "KEDRO_LOGGING_CONFIG", "AWS_CA_BUNDLE")
        }

    def run(self, *command: str) -> str:
        """Run a command in a container; return what it prints."""
        wrapped = self._wrap(list(command), self.environment())
        done = subprocess.run(wrapped, check=False, text=True, capture_output=True)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def hand_over(self) -> None:
        """Let the user of the containers own all that was made for them."""
        for path in (self.folder, *self.folder.rglob("*")):
            shutil.chown(path, USER_ID, 0)

    def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> None:
        if command[0] not in ("airflow", "mlflow"):
            super()._spawn(name, command, dict(os.environ))
            return
        given = self.environment() if environment is None else environment
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self._wrap(command, given),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(process)
        self.processes[name] = (process.pid, psutil.Process(process.pid).create_time())

    def _migrate_database(self) -> None:
        self.run("airflow", "db", "migrate")

    def _wrap(self, command: list[str], environment: Mapping[str, str]) -> list[str]:
        self.hand_over()
        given = {name: each for name, each in environment.items() if name.startswith(OURS)}
        return [
            *("buildah", "run", "--user", f"{USER_ID}:0"),
            *("--volume", f"{self.temporary}:/tmp", "--volume", f"{self.folder}:{self.folder}"),
            *(part for name, value in given.items() for part in ("--env", f"{name}={value}")),
            *(self.container, "--", *command),
        ]
