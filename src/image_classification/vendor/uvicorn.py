"""uvicorn: connections that say nothing, or half a request, are closed.

Relied on, tried with uvicorn 0.54.0: `H11Protocol` with its attributes `loop`, `transport` and
`cycle` (the request being answered, with `response_complete`). uvicorn waits for ever for the first
request of a connection, and for the rest of its header. It can go when there is a setting for that.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""Within so long the header of a request must have come."""


class PunctualProtocol(H11Protocol):
    """A connection that is closed where the header of a request does not come in time."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a header, and no longer once there is a request."""
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()
        elif self._due is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._due = self.loop.call_later(HEADER_SECONDS, self._close)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _close(self) -> None:
        self._due = None
        if not self._is_answering():
            self.transport.close()
