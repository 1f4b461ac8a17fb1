"""Ports on localhost: free, taken, answered."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from image_classification.local.ports import (
    PortTakenError,
    ServiceError,
    check_port,
    find_port,
    is_served,
)

LISTENER = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_port_that_is_taken_is_named_with_the_remedy(taken: int) -> None:
    with pytest.raises(ServiceError, match=f"Port {taken} for MLflow is taken.*MLFLOW_PORT=<port>"):
        check_port("MLflow", taken)


def test_the_next_free_port_is_found(taken: int) -> None:
    found = find_port(taken)
    assert taken < found < taken + 200
    check_port("MLflow", found)


@pytest.fixture
def child() -> Iterator[tuple[psutil.Process, int]]:
    """A process that this one has started, and the port on which it listens."""
    command = [sys.executable, "-S", "-c", LISTENER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield psutil.Process(process.pid), int(process.stdout.readline())


def test_a_port_is_served_by_the_process_that_listens_and_by_the_one_that_started_it(
    child: tuple[psutil.Process, int],
) -> None:
    process, port = child
    assert is_served(process, "127.0.0.1", port)
    assert is_served(psutil.Process(os.getpid()), "127.0.0.1", port)


def test_a_port_on_which_nobody_listens_is_not_served_yet(taken: int) -> None:
    assert not is_served(psutil.Process(), "127.0.0.1", find_port(taken))


def test_a_port_on_which_another_program_listens_is_taken(
    taken: int, child: tuple[psutil.Process, int]
) -> None:
    for process in (child[0], None):  # None: ours has ended meanwhile, as one whose port is taken
        with pytest.raises(PortTakenError, match=f"Another program listens on port {taken}"):
            is_served(process, "127.0.0.1", taken)


def test_the_service_of_another_user_is_believed(
    taken: int, child: tuple[psutil.Process, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "net_connections", refuse)
    assert is_served(child[0], "127.0.0.1", taken)
