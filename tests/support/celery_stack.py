"""Airflow on PostgreSQL, all data in a bucket, and a Celery worker that Redis brings tasks to."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from nights import IDLE, PROJECT

from image_classification.local.services import Stack, find_port
from image_classification.machine.stack import STACK_VARIABLE

PROGRAMS = ("redis-server", "initdb", "postgres")

ELSEWHERE = (
    "SQL_ALCHEMY_CONNECT_ARGS",  # of SQLite
    "IMAGE_CLASSIFICATION_INCOMING",  # below the storage of a folder
    "IMAGE_CLASSIFICATION_IMAGES",
    STACK_VARIABLE,  # for tasks on the machine of the services
)
"""Variables of a plain stack that say nothing here, by their ends."""


def find_missing() -> list[str]:
    """Return the names of the programs that are not on this machine."""
    return [name for name in PROGRAMS if find_program(name) is None]


def find_program(name: str) -> str | None:
    """Return the path of a program; Debian keeps those of PostgreSQL off the PATH."""
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *debian]))


@dataclass
class CeleryStack(Stack):
    """A stack with the settings of the chapter on Celery in airflow/README.md.

    Attributes:
        data: a folder for Redis and PostgreSQL.
        root: of the storage, a URL.
        concurrency: how many tasks the worker runs at once.
    """

    data: str = ""
    root: str = ""
    concurrency: int = 2
    redis_port: int = field(default_factory=lambda: find_port(26379))
    postgres_port: int = field(default_factory=lambda: find_port(25432))

    # It would start a plain stack's services.
    is_watched = False

    @property
    def address(self) -> str:
        return f"postgresql://airflow@{self.host}:{self.postgres_port}/postgres"

    def environment(self) -> dict[str, str]:
        concurrency = {"AIRFLOW__CELERY__WORKER_CONCURRENCY": str(self.concurrency)}
        given = {
            name: value
            for name, value in super().environment().items()
            if not name.endswith(ELSEWHERE)
        }
        storage = {"IMAGE_CLASSIFICATION_STORAGE": self.root}
        return given | self._read_settings() | IDLE | concurrency | storage

    def find_worker(self) -> psutil.Process:
        """Return the first process of a worker."""
        return psutil.Process(self.processes["worker"][0])

    def find_pool(self) -> list[psutil.Process]:
        """Return the processes that this worker has forked, before they have run any task."""
        forked = self.find_worker().children()
        return [each for each in forked if "ForkPoolWorker" in " ".join(each.cmdline())]

    def _read_settings(self) -> dict[str, str]:
        manual = (PROJECT / "airflow" / "README.md").read_text()
        chapter = manual.split("### Celery workers\n")[1].split("\n##")[0]
        ours = {
            "redis.example.org:6379": f"{self.host}:{self.redis_port}",
            "airflow:...@db.example.org/airflow": self.address.split("//")[1],
        }
        for theirs, address in ours.items():
            chapter = chapter.replace(theirs, address)
        return dict(re.findall(r"^(AIRFLOW__\w+)=(\S+)", chapter, re.MULTILINE))

    def _start_all(self) -> None:
        self._start_redis()
        self._start_postgres()
        super()._start_all()
        self._start_worker()

    def _start_worker(self) -> None:
        self._spawn("worker", ["airflow", "celery", "worker", "--skip-serve-logs"])
        log = self.logs / "worker.log"
        self._wait("The worker", ["worker"], lambda: " ready." in log.read_text())

    def _start_redis(self) -> None:
        where = ["--bind", self.host, "--port", str(self.redis_port), "--dir", self.data]
        self._spawn("redis", ["redis-server", *where, "--save", "", "--protected-mode", "no"])
        self._wait("Redis", ["redis"], lambda: self._is_listening(self.redis_port))

    def _start_postgres(self) -> None:
        folder = f"{self.data}/postgres"
        where = ["-D", folder, "-h", self.host, "-p", str(self.postgres_port), "-k", ""]
        as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to be run by root
            shutil.chown(self.data, "postgres", "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        initdb, postgres = ([*as_user, find_program(name) or name] for name in PROGRAMS[1:])
        made = ["--username=airflow", "--auth=trust", "--no-sync", "-D", folder]
        subprocess.run([*initdb, *made], check=True, cwd=self.data)
        with Path(folder, "pg_hba.conf").open("a") as trusted:
            trusted.write(f"host all airflow {self.host}/24 trust\n")
        self._spawn("postgres", [*postgres, *where, "-F"])
        self._wait("PostgreSQL", ["postgres"], lambda: self._is_listening(self.postgres_port))

    def _is_listening(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.host, port)) == 0
