"""Whether a service on this machine answers, and what it said last if it does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from image_classification.local.ports import ServiceError

TIMEOUT_S = 180
LOOK_EVERY_S = 0.5
LOG_LINES = 20


def wait_until(
    service: str,
    processes: Sequence[str],
    healthy: Callable[[], bool],
    running: Callable[[], list[str]],
    logs: Path,
) -> None:
    """Wait until a service is healthy.

    Args:
        service: what people call it.
        processes: the names of what it consists of.
        healthy: tells whether it is; an error of a request says that it does not listen yet. It is
            asked before it is looked what runs, and so may tell why something has ended.
        running: tells the names of what runs.
        logs: the folder with a log of each process.

    Raises:
        ServiceError: one of the processes has ended, or it was not healthy in time.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            is_healthy = healthy()
        except (requests.RequestException, KeyError, ValueError):
            is_healthy = False  # not listening yet
        for name in set(processes) - set(running()):
            log = logs / f"{name}.log"
            end = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise ServiceError(f"{service}: '{name}' stopped. The end of {log}:\n{end}")
        if is_healthy:
            return
        time.sleep(LOOK_EVERY_S)
    raise ServiceError(f"{service} was not healthy after {TIMEOUT_S} s. See {logs}")


def is_mlflow_healthy(url: str) -> bool:
    """Ask MLflow at its address."""
    return requests.get(f"{url}/health", timeout=5).ok


def is_airflow_healthy(url: str) -> bool:
    """Ask Airflow at its address for all of its parts."""
    parts = requests.get(f"{url}/api/v2/monitor/health", timeout=5).json()
    wanted = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    return all(parts[part]["status"] == "healthy" for part in wanted)
