"""A bucket on an S3 interface of this process, with faults between the client and the store."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import fsspec
import pytest

Environ = dict[str, Any]
Fault = Callable[[str, str], str]
"""What goes wrong with a request, by its method and path: a key of `ANSWERS`, or "" for nothing."""

ANSWERS = {
    "slow down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    "error": ("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    "lost answer": ("500 Internal Server Error", "InternalError", "It was done all the same."),
    "refused": ("403 Forbidden", "AccessDenied", "Access Denied"),
}

READ, WRITTEN = "read", "written"


def pass_all(_method: str, _path: str) -> str:
    """Let nothing go wrong."""
    return ""


class Gate:
    """Stands before the store: counts what passes, and lets some of it go wrong.

    Attributes:
        fault: asked about each request.
        delay_s: how long the store takes to answer.
        lag_s: what was written later than this is in no list yet.
        keeps_conditions: whether a write "only if there is none" is refused where there is one.
        requests: how many of each kind have passed: the method, LIST for a list, COPY for a copy.
        bytes: how many bytes of content were read and written.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.forget()

    def forget(self) -> None:
        """Begin to count anew, and let nothing go wrong any more."""
        self.fault: Fault = pass_all
        self.delay_s, self.lag_s = 0.0, 0.0
        self.keeps_conditions = True
        self.requests.clear()
        self.bytes.clear()

    def __call__(self, environ: Environ, start: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        is_list = method == "GET" and "list-type=2" in environ.get("QUERY_STRING", "")
        kind = "LIST" if is_list else "COPY" if "HTTP_X_AMZ_COPY_SOURCE" in environ else method
        with self._lock:
            self.requests[kind] += 1
        time.sleep(self.delay_s)
        fault = self.fault(kind, path)
        if fault and fault != "lost answer":
            return self._refuse(environ, start, fault)
        if not self.keeps_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        sent = int(environ.get("CONTENT_LENGTH") or 0)
        told: list[Any] = []
        body = b"".join(self._store(environ, lambda *what: told.append(what)))
        if fault:
            return self._refuse(environ, start, fault, is_read=True)
        status, headers, *more = told[0]
        with self._lock:
            if method == "PUT":
                self._written.setdefault(path.lstrip("/"), time.monotonic())
                self.bytes[WRITTEN] += sent
            elif method == "GET" and not is_list:
                self.bytes[READ] += len(body)
        if is_list and self.lag_s:
            body = self._let_lag(path.strip("/"), body)
            headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
        start(status, headers, *more)
        return [body]

    def _let_lag(self, bucket: str, body: bytes) -> bytes:
        since = time.monotonic() - self.lag_s

        def keep(found: re.Match[str]) -> str:
            key = re.search("<Key>(.*?)</Key>", found[0])
            place = f"{bucket}/{key[1] if key else ''}"
            return "" if self._written.get(place, since) > since else found[0]

        return re.sub("<Contents>.*?</Contents>", keep, body.decode(), flags=re.DOTALL).encode()

    @staticmethod
    def _refuse(
        environ: Environ, start: Any, fault: str, *, is_read: bool = False
    ) -> Iterable[bytes]:
        if not is_read:
            with suppress(OSError):
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, code, said = ANSWERS[fault]
        body = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()
        start(status, [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
        return [body]


@contextmanager
def serve_store(patch: pytest.MonkeyPatch, host: str = "127.0.0.1") -> Iterator[Gate]:
    """Start a store, and let all clients of this process and its children use it."""
    import logging

    import s3fs
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            """Say nothing."""

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server(host, 0, gate, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{server.server_port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "tests")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()  # clients of an earlier store
    try:
        yield gate
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.shutdown()
        server.server_close()


def make_bucket() -> str:
    """Make a bucket; return its address."""
    name = f"cells-{uuid4().hex[:12]}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"
