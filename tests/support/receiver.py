"""Servers on this machine that take what is sent, and remember it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeVar

HOST = "127.0.0.1"


class Request(NamedTuple):
    """What was asked; the body as it was before it became JSON."""

    method: str
    path: str
    body: Any
    authorization: str | None


@dataclass
class Receiver:
    """An HTTP server: what it answers, and what it was asked.

    Attributes:
        answer: the status and the content of the answer to a request.
        url: where it listens.
    """

    answer: Callable[[Request], tuple[int, Any]]
    url: str = ""
    requests: list[Request] = field(default_factory=list)


Kind = TypeVar("Kind", bound=Receiver)


@contextmanager
def receive(
    answer: Callable[[Request], tuple[int, Any]], kind: type[Kind] = Receiver
) -> Iterator[Kind]:
    """Serve HTTP on a free port for a while."""
    receiver = kind(answer)

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            asked = Request(self.command, self.path, body, self.headers.get("Authorization"))
            receiver.requests.append(asked)
            status, content = receiver.answer(asked)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(
                content if isinstance(content, bytes) else json.dumps(content).encode()
            )

        do_GET = do_POST = do_PATCH = reply  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    receiver.url = f"http://{HOST}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
