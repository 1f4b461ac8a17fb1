"""A process for code that came with a model: it sees little, reaches nothing, and ends in time.

On Linux, `unshare`, `setpriv` and `prlimit` of util-linux give it no network, no other processes,
no right to undo that, empty folders where data and secrets lie, and a limit of memory. Where the
machine refuses (most containers do), it is an ordinary process with a bare environment.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

MEMORY_BYTES = 8 * 1024**3
"""What it may hold; a packaged model that is loaded and asked takes about a tenth of it."""

PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
)
"""The environment that it gets, if the caller has it: no credentials, no addresses."""

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}

PASSWORDS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
"""Airflow's variable for a file of passwords; `make up` keeps its other secrets beside it."""

_UNSHARE = ("--net", "--ipc", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
_LIMITS = f"prlimit --core=0 --data={MEMORY_BYTES}"
_DROP = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all"

_hidden: set[Path] = set()


def hide(storage_root: str, private_key: str) -> None:
    """Let processes that are confined from now on see nothing of the storage, and not the key.

    Args:
        storage_root: a folder of this machine; on an object store, nothing is there to be hidden.
        private_key: a file, whose folder is hidden; "" for none.
    """
    _hidden.clear()
    if "://" not in storage_root:
        _hidden.add(Path(storage_root))
    if private_key:
        _hidden.add(Path(private_key).parent)


def confine(command: Sequence[str], *folders: str) -> list[str]:
    """Return the command that runs another one confined, as far as this machine allows.

    Args:
        command: a program and its arguments.
        folders: that it works in; they stay visible.
    """
    if not can_confine():
        return list(command)
    kept = [Path(place).resolve() for place in (*folders, sys.prefix, sys.base_prefix)]
    mounts = [
        f"mount -t tmpfs -o mode=000,size=4k none {shlex.quote(str(place))}"
        for place in _find_hidden(kept)
    ]
    steps = [*mounts, f"exec {_DROP} {_LIMITS} {shlex.join(command)}"]
    return [*_enter(), "sh", "-c", " && ".join(steps)]


def make_environment(home: str) -> dict[str, str]:
    """Return the environment of a confined process.

    Args:
        home: its home folder.
    """
    given = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return given | QUIET | {"HOME": home}


@cache
def can_confine() -> bool:
    """Return whether this machine lets a process be confined; say it once where not."""
    command = [*_enter(), "sh", "-c", f"mount -t tmpfs none /tmp && exec {_DROP} {_LIMITS} true"]
    needed = ("unshare", "setpriv", "prlimit", "mount")
    if not all(map(shutil.which, needed)):
        reason = f"not all of {', '.join(needed)} are installed"
    else:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own command
        reason = done.stderr.strip() if done.returncode else ""
    if reason:
        logger.warning("Code of a model runs with a bare environment, but not confined: %s", reason)
    return not reason


def _enter() -> list[str]:
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ["unshare", *user, *_UNSHARE]


def _find_hidden(kept: Iterable[Path]) -> list[Path]:
    """Return the folders to hide; none holds a folder that is needed, or another of them."""
    secrets = [os.environ.get("AIRFLOW_HOME", ""), *map(os.path.expanduser, ("~/.ssh", "~/.aws"))]
    if passwords := os.environ.get(PASSWORDS):
        secrets.append(str(Path(passwords).parent))
    places = {place.resolve() for place in (*_hidden, *map(Path, filter(None, secrets)))}
    found = [
        place
        for place in places
        if place.is_dir() and not any(needed.is_relative_to(place) for needed in kept)
    ]
    return sorted(
        place
        for place in found
        if not any(place.is_relative_to(other) for other in found if other != place)
    )
