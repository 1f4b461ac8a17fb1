"""A process for code that came with a model: it sees little, changes nothing, and ends in time.

On Linux, `unshare`, `setpriv` and `prlimit` of util-linux give it no network, no other processes,
no right to undo that, empty folders where data and secrets lie, one folder to write into, and a
limit of memory. What it could write elsewhere, as among the installed packages, would run later
outside. Where the machine refuses (most containers do), it is an ordinary process with a bare
environment.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

logger = logging.getLogger(__name__)

MEMORY_BYTES = 8 * 1024**3
"""What it may hold; a packaged model that is loaded and asked takes about a tenth of it."""

PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
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

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - it gets one of its own
_MOUNTS = Path("/proc/self/mountinfo")

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


def confine(command: Sequence[str], folder: str, *read: str) -> list[str]:
    """Return the command that runs another one confined, as far as this machine allows.

    Args:
        command: a program and its arguments.
        folder: that it works in, the only one that it can write into.
        read: folders that it reads; they stay visible.
    """
    if not can_confine():
        return list(command)
    kept = [Path(place).resolve() for place in (folder, *read, sys.prefix, sys.base_prefix)]
    return _confine(shlex.join(command), Path(folder).resolve(), _find_hidden(kept))


def make_environment(home: str) -> dict[str, str]:
    """Return the environment of a confined process.

    Args:
        home: its home folder.
    """
    given = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return given | QUIET | {"HOME": home, "TMPDIR": home}


@cache
def can_confine() -> bool:
    """Return whether this machine lets a process be confined; say it once where not."""
    needed = ("unshare", "setpriv", "prlimit", "mount")
    if not all(map(shutil.which, needed)):
        reason = f"not all of {', '.join(needed)} are installed"
    else:
        with TemporaryDirectory() as folder:
            command = _confine("true", Path(folder).resolve(), [])
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own command
        reason = (done.stderr.strip() or f"exit {done.returncode}") if done.returncode else ""
    if reason:
        logger.warning("Code of a model runs with a bare environment, but not confined: %s", reason)
    return not reason


def _confine(command: str, own: Path, hidden: Iterable[Path]) -> list[str]:
    """Return the command that runs another one in its folder, with all else closed or hidden."""
    # A mount that this user cannot even look at is nothing that it could write to.
    close = 'close() { mount -o remount,bind,ro "$1" || ! test -e "$1"; }'
    steps = [
        f"mount --bind {_quote(own)} {_quote(own)}",
        *(f"close {_quote(place)}" for place in _list_mounts()),
        *(f"mount -t tmpfs -o mode=000,size=4k none {_quote(place)}" for place in hidden),
        f"if test -d {_SHARED_MEMORY}; then mount -t tmpfs -o size=64m none {_SHARED_MEMORY}; fi",
        f"cd {_quote(own)}",
        f"exec {_DROP} {_LIMITS} {command}",
    ]
    return [*_enter(), "sh", "-c", f"{close}; {' && '.join(steps)}"]


def _quote(place: Path) -> str:
    return shlex.quote(str(place))


def _list_mounts() -> list[Path]:
    """Return where something is mounted on this machine; there is always the root."""
    places = [line.split()[4] for line in _MOUNTS.read_text().splitlines()]
    # The kernel writes blanks and backslashes in octal.
    return [
        Path(re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), place))
        for place in dict.fromkeys(places)
    ]


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
