"""Ports on localhost: free, taken, answered."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from image_classification.local.ports import ServiceError, check_port, find_port, is_answered


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


def test_a_port_is_answered_where_somebody_listens(taken: int) -> None:
    assert is_answered(taken)
    assert not is_answered(find_port(taken))
