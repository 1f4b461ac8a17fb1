"""Connections that say nothing, or half a request, are closed; others are not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from image_classification.vendor.uvicorn import PunctualProtocol

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer after longer than a header may take."""
    await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch, socket.socket() as listener:
        patch.setattr("image_classification.vendor.uvicorn.HEADER_SECONDS", 0.2)
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, http=PunctualProtocol, ws="none", lifespan="off", log_level="error"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join(10)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", WHOLE[:-2]])
def test_a_header_that_does_not_come_ends_its_connection(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


def test_a_request_that_takes_long_is_answered_and_the_next_header_is_waited_for(
    port: int,
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(WHOLE)
            assert connection.recv(1000).startswith(b"HTTP/1.1 204")
        connection.sendall(WHOLE[:10])
        assert connection.recv(100) == b""
