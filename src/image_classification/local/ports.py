"""Ports on this machine."""

from __future__ import annotations

import socket

import psutil

from image_classification.errors import ImageClassificationError
from image_classification.machine.process import list_descendants
from image_classification.machine.stack import HOST


class ServiceError(ImageClassificationError):
    """A service cannot be started or reached."""


class PortTakenError(ServiceError):
    """Another program listens where a service was to."""


def find_port(first: int) -> int:
    """Return the first free port on localhost from `first` on."""
    for port in range(first, first + 200):
        if _is_free(port):
            return port
    raise ServiceError(f"No free port on localhost from {first} to {first + 199}.")


def check_port(service: str, port: int) -> None:
    """Check that a port on localhost is free.

    Raises:
        PortTakenError: it is taken.
    """
    if not _is_free(port):
        raise PortTakenError(
            f"Port {port} for {service} is taken by another program. Stop that, or choose another: "
            f"make up {service.upper()}_PORT=<port>"
        )


def is_served(process: psutil.Process | None, host: str, port: int) -> bool:
    """Return whether a process, or one that it has started, listens on a port.

    Two programs may find the same port free, and the first one that listens has it. The other one
    ends, seconds later; until then it seems to answer.

    Raises:
        PortTakenError: another program listens there.
    """
    if not _is_answered(host, port):
        return False
    # Looked for after it has answered: a service that began to listen meanwhile is seen.
    family = [process, *list_descendants(process)] if process else []
    if not any(_listens(each, port) for each in family):
        raise PortTakenError(f"Another program listens on port {port} of {host}.")
    return True


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        sockets = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's: it is believed
        return True
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        for each in sockets
    )


def _is_answered(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
