"""Where the seconds of a task, and of a whole run, go."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import psutil

PHASES = ("start", "session", "load", "compute", "save", "tracking")
"""The phases of a node's task: the process until Kedro begins; configuration and catalog; reading
the inputs; the node itself; writing the outputs, with the upload of artifacts; parameters, metrics
and the other hooks."""

COLUMNS = ("queue", *PHASES, "other")
"""What a profile tells of a task, in seconds: first the wait for a free slot, then the phases, and
last what nothing else accounts for."""


class Stopwatch:
    """Books the seconds of a task on phases; at each call, those since the last call."""

    _process: int | None = None

    def __init__(self) -> None:
        """Begin when the process began, or now if the process has measured something before."""
        now = time.time()
        is_new = Stopwatch._process != os.getpid()
        Stopwatch._process = os.getpid()
        self.began = psutil.Process().create_time() if is_new else now
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._last = min(self.began, now)
        self.book("start")

    def book(self, phase: str) -> None:
        """Book the time since the last call on a phase."""
        now = time.time()
        self.seconds[phase] += now - self._last
        self._last = now

    def describe(self, task: str, state: str) -> dict[str, Any]:
        """Return what was measured, as a record for JSON."""
        return {
            "task": task,
            "state": state,
            "began": _name_time(self.began),
            "ended": _name_time(self._last),
            "seconds": {phase: round(value, 4) for phase, value in self.seconds.items()},
        }


def tabulate_profile(profile: Mapping[str, Any]) -> pd.DataFrame:
    """Return where the seconds of a run went: a row per task, in the order of their start.

    Args:
        profile: `tasks`, as Airflow lists them (there may be none), with `task_id`, `state`,
            `queued_when`, `start_date` and `end_date`; `timings`, records of `Stopwatch.describe`.

    Returns:
        `task`, `state`, `at` (seconds since the first one began), `COLUMNS` and their sum `total`.
    """
    timings: Sequence[Mapping[str, Any]] = profile["timings"]
    tasks = [task for task in profile["tasks"] if task["start_date"]]
    seen = {task["task_id"] for task in tasks}
    rows = [_join_task(task, timings) for task in tasks]
    rows += [_read_timing(timing) for timing in timings if timing["task"] not in seen]
    table = pd.DataFrame(rows, columns=["task", "state", "at", *COLUMNS]).sort_values("at")
    table["at"] -= table["at"].min()
    table["total"] = table[list(COLUMNS)].sum(axis=1)
    return table.reset_index(drop=True)


def _join_task(task: Mapping[str, Any], timings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the row of a task, with what the task has measured itself in its last try."""
    began = _read_time(task["start_date"])
    # The task that closes the run has not ended yet when it asks.
    ended = _read_time(task["end_date"]) if task["end_date"] else began
    queued = _read_time(task["queued_when"]) if task["queued_when"] else began
    own = [
        timing
        for timing in timings
        if timing["task"] == task["task_id"] and _read_time(timing["ended"]) >= began
    ]
    seconds = own[-1]["seconds"] if own else {}
    return {
        "task": task["task_id"],
        "state": task["state"],
        "at": queued,
        "queue": max(began - queued, 0.0),
        **dict.fromkeys(PHASES, 0.0),
        **seconds,
        "other": max(ended - began - sum(seconds.values()), 0.0),
    }


def _read_timing(timing: Mapping[str, Any]) -> dict[str, Any]:
    facts = {"task": timing["task"], "state": timing["state"], "at": _read_time(timing["began"])}
    return {**facts, "queue": 0.0, **timing["seconds"], "other": 0.0}


def _name_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _read_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
