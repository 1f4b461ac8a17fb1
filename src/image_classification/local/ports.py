"""Ports on this machine."""

from __future__ import annotations

import socket

from image_classification.errors import ImageClassificationError
from image_classification.machine.stack import HOST


class ServiceError(ImageClassificationError):
    """A service cannot be started or reached."""


def find_port(first: int) -> int:
    """Return the first free port on localhost from `first` on."""
    for port in range(first, first + 200):
        if _is_free(port):
            return port
    raise ServiceError(f"No free port on localhost from {first} to {first + 199}.")


def check_port(service: str, port: int) -> None:
    """Check that a port on localhost is free.

    Raises:
        ServiceError: it is taken.
    """
    if not _is_free(port):
        raise ServiceError(
            f"Port {port} for {service} is taken by another program. Stop that, or choose another: "
            f"make up {service.upper()}_PORT=<port>"
        )


def is_answered(port: int) -> bool:
    """Return whether somebody listens on a port on localhost."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
