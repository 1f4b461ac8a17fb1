"""The services of this machine as `make up` wrote them down: which should run, and which do."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

STACKS = ("main", "demo", "replay")

HOST = "127.0.0.1"

STATE_FILE = "stack.json"

WATCHER = "watcher"
"""The process that starts again what has died."""


STACK_VARIABLE = "IMAGE_CLASSIFICATION_STACK"
"""Names to the tasks of a stack the folder of that stack."""


@dataclass
class StackState:
    """What was started, and what has happened since.

    Attributes:
        name: of `STACKS`.
        folder: where the services keep their state and logs.
        mlflow_port: on localhost.
        airflow_port: on localhost.
        database_port: on localhost; 0 where Airflow's database is no server.
        processes: by name: process id and creation time, so that another process that got the same
            id later is not taken for it.
        restarts: what had died and was started again: a time (ISO 8601, UTC) and a name each.
    """

    name: str
    folder: Path
    mlflow_port: int = 0
    airflow_port: int = 0
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)
    restarts: list[tuple[str, str]] = field(default_factory=list)
    database_port: int = 0

    def list_dead(self) -> list[str]:
        """Return the names of the services that should run and do not."""
        return [name for name, known in self.processes.items() if not find_process(known)]


def locate_stack(name: str, project: Path) -> Path:
    """Return the folder of a stack."""
    return project / ".local" / name


def read_state(name: str, project: Path) -> StackState | None:
    """Return a stack as it was last started, or None if it was stopped."""
    folder = locate_stack(name, project)
    try:
        state: dict[str, Any] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return StackState(
        name,
        folder,
        state["mlflow_port"],
        state["airflow_port"],
        {each: (pid, created) for each, (pid, created) in state["processes"].items()},
        [(when, each) for when, each in state.get("restarts", [])],
        state.get("database_port", 0),
    )


def describe_restarts(since: datetime) -> str:
    """Return what of the stack that this task belongs to has died since then, a sentence or ""."""
    folder = os.environ.get(STACK_VARIABLE, "")
    state = read_state(Path(folder).name, Path(folder).parents[1]) if folder else None
    found = [
        f"{name} ({when})"
        for when, name in (state.restarts if state else ())
        if datetime.fromisoformat(when) >= since
    ]
    return f"Died during this run, and was started again: {', '.join(found)}." if found else ""


def write_state(state: StackState) -> None:
    """Write a stack down; whoever reads meanwhile finds the old or the new."""
    part = state.folder / f"{STATE_FILE}.part"
    part.write_text(json.dumps(asdict(state) | {"folder": str(state.folder)}), encoding="utf-8")
    part.replace(state.folder / STATE_FILE)


def find_process(known: tuple[int, float]) -> psutil.Process | None:
    """Return a process that runs, by its id and the time at which it was made; or None."""
    pid, created = known
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
