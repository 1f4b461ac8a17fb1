"""Hosts that share nothing: each has a network, processes and folders of its own.

A host is a set of Linux namespaces. The network ends at a bridge, on which this machine has the
address `GATEWAY`; hosts reach each other and that, and nothing else. The project can be read there,
at the place where it lies here, and nothing in it can be written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

PROGRAMS = ("ip", "unshare", "mount")
NETWORK = "10.213.{}"
HOME = "/tmp/home"  # noqa: S108 - a folder of the host alone, as all of /tmp is
AIRFLOW_HOME = "/tmp/airflow"  # noqa: S108 - likewise
PATIENCE_S = 20.0

APART = ("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--mount-proc")

TRIAL = """
ip link add bridge type bridge && ip link add one type veth peer name two && hostname trial &&
mount -t tmpfs tmpfs /mnt
"""
"""What has to work in namespaces that end with it."""

SET_UP = r"""
set -e
hostname "$1"; address=$2; project=$3; python=$4; shift 4
ip link set lo up
until ip link set uplink up 2>/dev/null; do sleep 0.05; done
ip address add "$address/24" dev uplink
mount -t tmpfs tmpfs /mnt
printf '127.0.0.1 localhost\n%s %s\n' "$address" "$(hostname)" > /mnt/names
mount --bind /mnt/names /etc/hosts
mkdir /mnt/project /mnt/python
mount --bind "$project" /mnt/project
mount --bind "$python" /mnt/python
for folder in /tmp /var/tmp /dev/shm /root; do
    [ ! -d $folder ] || mount -t tmpfs tmpfs $folder
done
mkdir -p "$project" "$python" "$HOME" "$AIRFLOW_HOME"
for folder in project python; do
    eval "place=\$$folder"
    mount --bind /mnt/$folder "$place"
    mount -o remount,bind,ro "$place"
done
mount -t tmpfs tmpfs "$project/.local"
cd "$project"
exec "$@"
"""
"""What a host does before its process starts: it finds the checkout and Python, which it can only
read, and of all folders in which this machine or another host writes empty ones of its own."""


def find_obstacle() -> str:
    """Return why this machine can have no such hosts, or ""."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not on this machine: {', '.join(missing)} (Debian: apt-get install iproute2)"
    tried = subprocess.run(
        [*APART, "--fork", "sh", "-c", TRIAL],
        capture_output=True,
        text=True,
        check=False,
    )
    made = f"network namespaces cannot be made here, as root they can: {tried.stderr.strip()}"
    return made if tried.returncode else ""


@dataclass
class Host:
    """One host, as long as its first process runs.

    Attributes:
        name: of the host, and of its end of the bridge.
        address: of the host.
        process: which has the namespaces: all others end with it.
    """

    name: str
    address: str
    process: subprocess.Popen[bytes]

    def lose(self) -> None:
        """Cut the line, so that nobody hears of it, and end every process of the host at once."""
        subprocess.run(["ip", "link", "delete", self.name], check=False, capture_output=True)
        self.process.kill()
        self.process.wait()


class Network:
    """A bridge of this machine, and the hosts that hang on it."""

    def __init__(self, project: Path) -> None:
        """Prepare; nothing is made yet.

        Args:
            project: the checkout, which the hosts may read.
        """
        self.hosts: dict[str, Host] = {}
        self._project = project
        number = os.getpid() % 250 + 1  # of two test runs on one machine each has its own
        self._bridge = f"hosts{number}"
        self._prefix = NETWORK.format(number)
        self.gateway = f"{self._prefix}.1"

    def __enter__(self) -> Self:
        """Make the bridge."""
        self._run("link", "add", self._bridge, "type", "bridge")
        self._run("address", "add", f"{self.gateway}/24", "dev", self._bridge)
        self._run("link", "set", self._bridge, "up")
        return self

    def __exit__(self, *_: object) -> None:
        """Take all hosts away, and the bridge."""
        for name in list(self.hosts):
            self.lose(name)
        subprocess.run(["ip", "link", "delete", self._bridge], check=False)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]
    ) -> Host:
        """Start a host with empty folders, and a command as its only one.

        Args:
            name: such as ``host-1``: its number is that of its address, too.
            command: what runs there; with it the host ends.
            environment: all variables that there are, but those of the home folders.
            log: gets what the command prints.
        """
        address = f"{self._prefix}.{10 + int(name.rpartition('-')[2])}"
        process = subprocess.Popen(
            [
                *(*APART, "--fork", "--kill-child", "sh", "-c", SET_UP, "sh"),
                *(name, address, str(self._project), sys.base_prefix, *command),
            ],
            env={**environment, "HOME": HOME, "AIRFLOW_HOME": AIRFLOW_HOME},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._wait_for_namespace(process)
        self._run("link", "add", name, "type", "veth", "peer", "name", f"{name}-up")
        self._run("link", "set", f"{name}-up", "netns", str(process.pid), "name", "uplink")
        self._run("link", "set", name, "master", self._bridge, "up")
        self.hosts[name] = Host(name, address, process)
        return self.hosts[name]

    def lose(self, name: str) -> None:
        """Lose a host, as if its power had failed."""
        self.hosts.pop(name).lose()

    def _wait_for_namespace(self, process: subprocess.Popen[bytes]) -> None:
        here = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + PATIENCE_S
        while Path(f"/proc/{process.pid}/ns/net").readlink() == here:
            if time.monotonic() > deadline:
                raise TimeoutError("A host got no network of its own")
            time.sleep(0.02)

    @staticmethod
    def _run(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)
