"""One writer at a time: a lock of the operating system on a disk, a lease on an object store."""

from __future__ import annotations

import json
import logging
import posixpath
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import fsspec
from filelock import FileLock, Timeout

from image_classification.datasets.file import (
    create_file,
    is_local,
    list_entries,
    open_filesystem,
    read_file,
    write_whole,
)
from image_classification.errors import StorageError

logger = logging.getLogger(__name__)

LEASE_S = 60.0
"""So long a lease holds that is not renewed."""

KEPT = 100
"""Leases that are kept, so that nobody who reads an old list can take one anew."""


class Turn(Protocol):
    """The right to write, which one process has at a time."""

    def take(self) -> None:
        """Wait for it, however long."""

    def check(self) -> None:
        """Make sure that it is still ours.

        Raises:
            StorageError: it is not.
        """

    def give_back(self) -> None:
        """Let others have it."""


def open_turn(place: str, lease_s: float = LEASE_S) -> Turn:
    """Return the right to write that is kept at a place.

    Args:
        place: a local path or an fsspec URL.
        lease_s: how long others wait for a holder on an object store that does not answer.
    """
    filesystem, path = open_filesystem(place)
    return LockFile(path) if is_local(filesystem) else Lease(filesystem, path, lease_s)


class LockFile:
    """A lock of the operating system: it is free when the process ends, however it ends."""

    def __init__(self, path: str) -> None:
        """Prepare; nothing is written yet."""
        self._lock = FileLock(path, thread_local=False)

    def take(self) -> None:
        """Wait until no other process has it."""
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            logger.info("Another run writes the index: waiting for it (%s)", self._lock.lock_file)
            self._lock.acquire()

    def check(self) -> None:
        """Do nothing: it is never lost."""

    def give_back(self) -> None:
        """Let others have it; without it, do nothing."""
        self._lock.release()


class Lease:
    """A numbered file per holder: who creates the next number has the lease.

    A holder renews its file; whoever waits takes the next number when the file is marked as free,
    or has stayed the same for the time of a lease, by the waiter's own clock. So no two clocks are
    compared, a list that lags behind costs a try, and a dead holder costs the time of a lease.
    """

    def __init__(
        self, filesystem: fsspec.AbstractFileSystem, folder: str, lease_s: float = LEASE_S
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            filesystem: the store.
            folder: where the files lie.
            lease_s: how long a lease holds that is not renewed, in seconds.
        """
        self._filesystem, self._folder, self._lease_s = filesystem, folder, lease_s
        self._holder = f"{socket.gethostname()} {uuid4().hex}"
        self._number = 0
        self._beat = 0
        self._renewed_at = 0.0
        self._renewing = threading.Lock()
        self._ended: threading.Event | None = None

    def take(self) -> None:
        """Wait until the holder gives it back, or has not renewed it for the time of a lease."""
        highest, seen, since, waits = 0, b"", 0.0, False
        while True:
            highest = max(highest, self._find_highest())
            content, now = self._read(highest), time.monotonic()
            if content != seen:
                seen, since = content, now
            if not highest or _is_free(content) or now - since > self._lease_s:
                if self._create(highest + 1):
                    return
                highest += 1  # a list may lag behind
                continue
            if not waits:
                logger.info("Another run writes: waiting for it (%s)", self._locate(highest))
            waits = True
            time.sleep(self._lease_s / 20)

    def check(self) -> None:
        """Renew the lease if that was not done lately.

        Raises:
            StorageError: another process has it, since this one was held up for too long.
            OSError: it cannot be told.
        """
        if time.monotonic() - self._renewed_at > self._lease_s / 2:
            self._renew()
        if not self._number:
            raise StorageError(
                f"Another run has taken the right to write in '{self._folder}', since this one was "
                f"held up for more than {self._lease_s:g} s. Nothing was written. Run this again."
            )

    def give_back(self) -> None:
        """Let others have it; without it, do nothing."""
        if self._ended is not None:
            self._ended.set()
        with self._renewing:
            if self._number:
                with suppress(OSError):  # then it ends by itself
                    self._write(is_free=True)
            self._number = 0

    def _create(self, number: int) -> bool:
        now = time.monotonic()
        content = self._encode()
        try:
            create_file(self._filesystem, self._locate(number), content)
        except FileExistsError:
            if self._read(number) != content:  # else the answer to our own try got lost
                return False
        self._number, self._renewed_at = number, now
        self._ended = threading.Event()
        threading.Thread(target=self._keep, args=(self._ended,), daemon=True).start()
        if number > KEPT:
            with suppress(OSError):
                self._filesystem.rm_file(self._locate(number - KEPT))
        return True

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(self._lease_s / 4):
            try:
                self._renew()
            except Exception as error:  # noqa: BLE001 - the next try, or `check`, tells
                logger.warning("The lease in '%s' is not renewed: %s", self._folder, error)
            if not self._number:
                return

    def _renew(self) -> None:
        with self._renewing:
            if not self._number:
                return
            now = time.monotonic()
            self._write()
            if self._read(self._number + 1):
                self._number = 0
            else:
                self._renewed_at = now

    def _write(self, *, is_free: bool = False) -> None:
        self._beat += 1
        content = self._encode(is_free=is_free)
        write_whole(self._filesystem, self._locate(self._number), content)

    def _encode(self, *, is_free: bool = False) -> bytes:
        facts = {"holder": self._holder, "beat": self._beat, "free": is_free}
        return json.dumps(facts).encode()

    def _find_highest(self) -> int:
        names = (
            posixpath.basename(e["name"]) for e in list_entries(self._filesystem, self._folder)
        )
        stems = (name.removesuffix(".json") for name in names)
        return max((int(stem) for stem in stems if stem.isdigit()), default=0)

    def _read(self, number: int) -> bytes:
        """Return the content of a holder's file; nothing of number 0, or where there is none."""
        try:
            return read_file(self._filesystem, self._locate(number))
        except FileNotFoundError:
            return b""

    def _locate(self, number: int) -> str:
        return posixpath.join(self._folder, f"{number:08d}.json")


def _is_free(content: bytes) -> bool:
    try:
        return bool(json.loads(content)["free"])
    except (ValueError, KeyError, TypeError):
        return False
