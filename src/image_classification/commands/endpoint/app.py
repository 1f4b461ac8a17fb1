"""The app: one address that takes images, one that tells that it lives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from image_classification.commands.endpoint.message import Limits, RefusedError, read_images
from image_classification.commands.endpoint.worker import Answer, Worker, WorkerError
from image_classification.gate.prediction import PROBABILITY_PREFIX

logger = logging.getLogger(__name__)

BUSY = "The server is busy: ask again later."


class Endpoint:
    """What the app does: takes requests, has their images scored, answers.

    Args:
        workers: each scores the images of one request at a time.
        class_names: the classes, in the order of the network's outputs.
        version: of the model, which every answer names.
        limits: what a request may cost.
    """

    def __init__(
        self, workers: Sequence[Worker], class_names: Sequence[str], version: str, limits: Limits
    ) -> None:
        self._workers = workers
        self._class_names = class_names
        self._version = version
        self._limits = limits
        self._held_bytes = 0
        self._closed = False
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(len(workers), "score")

    def make_app(self) -> Starlette:
        """Return the app, for any server of ASGI."""
        return Starlette(
            routes=[
                Route("/invocations", self.answer, methods=["POST"]),
                *(Route(path, self.tell_health, methods=["GET"]) for path in ("/health", "/ping")),
            ],
            exception_handlers={HTTPException: _answer_http_error, Exception: _answer_fault},
            lifespan=self._live,
        )

    async def answer(self, request: Request) -> Response:
        """Answer the images of a request: a row for each, in order."""
        body = bytearray()
        try:
            await self._receive(request, body)
            rows = await self._answer_body(bytes(body))
        except RefusedError as refused:
            return _tell(refused.status, refused.reason)
        except ClientDisconnect:
            return Response(status_code=400)
        finally:
            self._held_bytes -= len(body)
        status = 200 if any("error" not in row for row in rows) else 422
        return JSONResponse({"predictions": rows, "model_version": self._version}, status)

    async def tell_health(self, _: Request) -> Response:
        """Tell that the server lives and can score."""
        return JSONResponse({"model_version": self._version})

    async def _receive(self, request: Request, body: bytearray) -> None:
        limit = self._limits.request_bytes
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(415, "The content type must be application/json.")
        length = request.headers.get("content-length", "0")
        try:
            async with asyncio.timeout(self._limits.seconds):
                if length.isdecimal() and len(length) < 20 and int(length) > limit:
                    raise RefusedError(413, f"The body is larger than {limit} bytes.")
                async for chunk in request.stream():
                    if self._held_bytes + len(chunk) > self._limits.held_bytes:
                        raise RefusedError(503, BUSY)
                    body += chunk
                    self._held_bytes += len(chunk)
                    if len(body) > limit:
                        raise RefusedError(413, f"The body is larger than {limit} bytes.")
        except TimeoutError:
            raise RefusedError(
                408, f"The body did not come within {self._limits.seconds:g} s."
            ) from None

    async def _answer_body(self, body: bytes) -> list[dict[str, Any]]:
        names, contents = await asyncio.to_thread(read_images, body, self._limits)
        late = threading.Event()
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._threads, self._ask, contents, late)
        try:
            answers = await asyncio.wait_for(asked, 2 * self._limits.seconds)
        except TimeoutError:
            late.set()
            raise RefusedError(503, BUSY) from None
        except WorkerError as error:
            raise RefusedError(422, f"These images could not be scored: {error}.") from None
        return [self._describe(name, answer) for name, answer in zip(names, answers, strict=True)]

    def _ask(self, contents: list[bytes], late: threading.Event) -> list[Answer]:
        worker = self._idle.get()
        try:
            return [] if late.is_set() else worker.ask(contents)
        finally:
            if worker.ready:
                self._idle.put(worker)
            else:
                threading.Thread(target=self._bring_back, args=(worker,), daemon=True).start()

    def _bring_back(self, worker: Worker) -> None:
        """Give the worker that took the place of another no request before it can score."""
        while not worker.ready and not self._closed:
            with contextlib.suppress(WorkerError, OSError):
                worker.wait()
        self._idle.put(worker)

    def _describe(self, name: str, answer: Answer) -> dict[str, Any]:
        if answer.error:
            return {"image_name": name, "error": answer.error}
        named = zip(self._class_names, answer.probabilities, strict=True)
        probabilities = {f"{PROBABILITY_PREFIX}{label}": value for label, value in named}
        best = answer.probabilities.index(max(answer.probabilities))
        row = {"image_name": name, **probabilities, "category": self._class_names[best]}
        return row | ({"warning": answer.warning} if answer.warning else {})

    @contextlib.asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        try:
            await asyncio.gather(*(asyncio.to_thread(worker.wait) for worker in self._workers))
            yield
        finally:
            self._closed = True
            self._threads.shutdown(wait=False, cancel_futures=True)
            for worker in self._workers:
                worker.stop()


def _tell(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)


async def _answer_http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _tell(status, "POST images to /invocations; GET /health tells that the server lives.")


async def _answer_fault(_: Request, error: Exception) -> Response:
    logger.error("A request failed by a fault of the server", exc_info=error)
    return _tell(500, "The server failed to answer; its log says why.")
