"""Starts again what has died of a stack: ``python -m image_classification.local.watcher main``."""

from __future__ import annotations

import math
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from image_classification.local.services import Stack, read_stack
from image_classification.machine.stack import WATCHER, find_process

LOOK_EVERY_S = 5
LONGEST_PAUSE_S = 300
"""A service that dies again and again is started after pauses that double up to this."""

KEPT_RESTARTS = 50


class Watcher:
    """Looks after one stack."""

    def __init__(self, name: str, project: Path) -> None:
        self._name = name
        self._project = project
        self._started: dict[str, float] = {}
        self._pauses: dict[str, int] = {}

    def watch(self) -> None:
        """Look again and again, until the stack is stopped or another watcher has taken over."""
        while (stack := read_stack(self._name, self._project)) is not None:
            known = stack.processes.get(WATCHER)
            if known is None or not (mine := find_process(known)) or mine.pid != os.getpid():
                return
            self.look(stack, time.monotonic())
            time.sleep(LOOK_EVERY_S)

    def look(self, stack: Stack, now: float) -> list[str]:
        """Start again what has died, unless it has just been; return the names.

        Args:
            stack: as it was written down last.
            now: in seconds, of a clock that only goes forward.
        """
        again = []
        for name, known in list(stack.processes.items()):
            if name == WATCHER or find_process(known):
                continue
            since, pause = now - self._started.get(name, -math.inf), self._pauses.get(name, 0)
            if since < pause:
                continue
            self._started[name] = now
            has_recovered = since > 2 * LONGEST_PAUSE_S
            self._pauses[name] = LOOK_EVERY_S if has_recovered else min(2 * pause, LONGEST_PAUSE_S)
            again.append(name)
            when = datetime.now(UTC).isoformat(timespec="seconds")
            stack.restarts = [*stack.restarts, (when, name)][-KEPT_RESTARTS:]
            print(f"{when} {name} had died: it is started again", flush=True)
            stack.start_service(name)
        return again


if __name__ == "__main__":
    Watcher(sys.argv[1], Path.cwd()).watch()
