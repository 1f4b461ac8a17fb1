"""Processes that score images: what ends one of them, or keeps it too long, ends nothing else."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

STARTS_WITHIN_S = 300.0
MORE_MEMORY_BYTES = 4 * 2**30
"""What a process may take beside what it has once the network is loaded."""


class Answer(NamedTuple):
    """What is answered for an image: a probability per class, or why there is none; a warning."""

    probabilities: list[float]
    error: str
    warning: str


class WorkerError(Exception):
    """A process that scored images has ended, or was ended since it took too long."""


@dataclass(frozen=True)
class Task:
    """What a process needs to score images.

    Attributes:
        network: the file of the network.
        image_pixels: an image of more is not decoded.
    """

    network: Path
    image_pixels: int


class Worker:
    """A process that scores images; another takes its place when it ends."""

    def __init__(self, task: Task, seconds: float) -> None:
        self._task = task
        self._seconds = seconds
        self._busy = threading.Lock()
        self._stopped = False
        self._start()

    @property
    def ready(self) -> bool:
        """Whether the process is known to be able to score."""
        return self._ready

    def wait(self) -> None:
        """Wait until the process can score.

        Raises:
            WorkerError: it cannot, or not in time.
        """
        if not self._ready and not self._receive_ready():
            self._restart()
            raise WorkerError("the network could not be loaded")

    def ask(self, contents: Sequence[bytes]) -> list[Answer]:
        """Score images.

        Raises:
            WorkerError: the process ended, or took too long and was ended.
        """
        with self._busy:
            self.wait()
            try:
                self._connection.send(list(contents))
                if self._connection.poll(self._seconds):
                    answers: list[Answer] = self._connection.recv()
                    return answers
                reason = f"scoring took more than {self._seconds:g} s"
            except (EOFError, OSError):
                reason = "the process that scored the images ended"
            logger.error("A worker is replaced: %s (%d images)", reason, len(contents))
            self._restart()
            raise WorkerError(reason)

    def stop(self) -> None:
        """End the process, for good."""
        self._stopped = True
        self._end()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve_requests, args=(theirs, self._task), name="scoring", daemon=True
        )
        self._process.start()
        theirs.close()
        self._ready = False
        self._started_at = time.monotonic()

    def _restart(self) -> None:
        self._end()
        if not self._stopped:
            self._start()

    def _end(self) -> None:
        self._ready = False
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _receive_ready(self) -> bool:
        left_s = max(0.0, self._started_at + STARTS_WITHIN_S - time.monotonic())
        with contextlib.suppress(EOFError, OSError):
            self._ready = self._connection.poll(left_s) and bool(self._connection.recv())
        return self._ready


def serve_requests(connection: Connection, task: Task) -> None:
    """Score what comes through the connection, until it is closed. This is all a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    from image_classification import vision  # seconds, and only here

    network = vision.load_network(task.network)
    _score(network, [], task.image_pixels)
    _limit_memory()
    connection.send("ready")
    while True:
        try:
            contents = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_score(network, contents, task.image_pixels))


def _score(network: object, contents: Sequence[bytes], image_pixels: int) -> list[Answer]:
    from image_classification import vision  # as above

    held = [_refuse_large(content, image_pixels) or content for content in contents]
    watch = vision.ColourWatch(network, len(held))
    probabilities, errors = vision.score_sound_images(
        network, len(held), held.__getitem__, look=watch
    )
    return [
        Answer([] if error else row.tolist(), error, "" if error else warning)
        for row, error, warning in zip(probabilities, errors, watch.warnings, strict=True)
    ]


def _refuse_large(content: bytes, image_pixels: int) -> str:
    from image_classification.intake.picture import read_header  # as above

    try:
        width, height, *_ = read_header(content)
    except ValueError:
        return ""  # the decoder says why
    if width * height <= image_pixels:
        return ""
    return f"{width} x {height} pixels: at most {image_pixels} pixels are allowed"


def _limit_memory() -> None:
    """Let a request that needs too much memory end this process, and not the machine's others."""
    import psutil

    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on every platform

        limit = psutil.Process().memory_info().vms + MORE_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
