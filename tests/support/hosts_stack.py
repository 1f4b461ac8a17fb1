"""Airflow on PostgreSQL and Redis, with Celery workers on hosts that share nothing."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from celery_stack import CeleryStack
from hosts import Network
from nights import PROJECT

from image_classification.machine.process import locate_command

READY_S = 300
"""So long a worker may take to import the libraries, where another one does so at the same time."""


@dataclass
class HostsStack(CeleryStack):
    """The services on this machine, and a worker on each host, which runs one task at a time.

    Attributes:
        network: of the hosts.
        names: of the hosts.
    """

    network: Network = field(default_factory=lambda: Network(PROJECT))
    names: tuple[str, ...] = ("host-1", "host-2")
    concurrency: int = 1

    @property
    def host(self) -> str:
        return self.network.gateway

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            # A host that was lost is noticed sooner than the page advises. A task that lives tells
            # of it each second.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow.utils.net.get_host_ip_address",
        }

    def describe_host(self) -> dict[str, str]:
        """Return the environment of a host: what the page about hosts names, and nothing else."""
        page = (PROJECT / "docs" / "workers.md").read_text()
        chapter = page.split("## What a host needs\n")[1].split("\n##")[0]
        names = {*re.findall(r"^([A-Z_]+)=", chapter, re.MULTILINE), "AWS_ENDPOINT_URL", "PATH"}
        return {name: value for name, value in self.environment().items() if name in names}

    def start_host(self, name: str) -> None:
        """Start a host with empty folders, and a worker on it."""
        worker = [locate_command("airflow"), "celery", "worker", "--celery-hostname", name]
        with self._log(name).open("ab") as log:
            self.network.start(name, worker, self.describe_host(), log)

    def await_host(self, name: str) -> None:
        """Wait until the worker on a host takes tasks."""
        log, process = self._log(name), self.network.hosts[name].process
        deadline = time.monotonic() + READY_S
        while " ready." not in (said := log.read_text()):
            assert process.poll() is None, f"{name} is gone:\n{said[-2000:]}"
            assert time.monotonic() < deadline, f"{name} takes no tasks:\n{said[-2000:]}"
            time.sleep(0.2)

    def find_host(self, task: dict[str, Any]) -> str:
        """Return the name of the host that a task runs on."""
        places = {host.address: name for name, host in self.network.hosts.items()}
        return places[task["hostname"]]

    def lose_host(self, name: str) -> None:
        """Lose a host; another one of its name may start, and writes a log of its own."""
        self.network.lose(name)
        self._log(name).rename(self._log(f"{name}-lost-{time.time():.0f}"))

    def find_worker(self) -> psutil.Process:
        (first,) = psutil.Process(self.network.hosts[self.names[0]].process.pid).children()
        return first

    def stop(self) -> None:
        for name in list(self.network.hosts):
            self.network.lose(name)
        super().stop()

    def _start_worker(self) -> None:
        for name in self.names:
            self.start_host(name)
        for name in self.names:
            self.await_host(name)

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
