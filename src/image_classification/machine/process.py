"""Processes of this machine."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2): a signal that this process gets when its parent ends."""


def end_with(parent: int) -> bool:
    """Let this process be asked to end (SIGTERM) when the one that started it ends, however.

    Only Linux can do so. Elsewhere, ask again with `has_lost`.

    Args:
        parent: the id of the process that started this one.

    Returns:
        Whether that one still runs.
    """
    # A process that was forked has the handler of its parent, which may do nothing here.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return not has_lost(parent)


def has_lost(parent: int) -> bool:
    """Return whether the process that started this one has ended."""
    return os.getppid() != parent


def find_start(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; "" if it does not run.

    An id may be another process's by now: a container that was started again gives the same ones,
    and its host name and its namespaces may be those of before, too. Only Linux tells.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return told.rpartition(")")[2].split()[19]


def locate_command(name: str) -> str:
    """Return the program that is installed beside Python, or any of that name."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def list_descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return the processes that a process has started, and those that these have started."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end_families(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    """End processes that each lead a group, and what they have started.

    Args:
        processes: asked to end (SIGTERM).
        timeout_s: those that have not ended by then are killed.
    """
    descended = {each for process in processes for each in list_descendants(process)}
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(processes, timeout=timeout_s)
    descended |= {each for process in stubborn for each in list_descendants(process)}
    for process in stubborn:
        _signal_group(process, signal.SIGKILL)
    # A task runs in a session of its own, and would go on after its service has ended.
    for process in descended:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _signal_group(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
