"""Something that has arrived: a folder or zip of the incoming folder."""

from __future__ import annotations

import errno
import hashlib
import io
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

import fsspec

from image_classification.datasets.archive import Archive, open_archive
from image_classification.datasets.budget import BudgetError
from image_classification.datasets.file import (
    NotRegularError,
    encode_name,
    exists,
    is_local,
    list_entries,
    read_file,
    read_in_parts,
    restore_name,
)
from image_classification.datasets.guarded import open_guarded, read_guarded
from image_classification.datasets.taken import Delivery
from image_classification.intake.limit import DEFAULT_LIMITS, ArrivalLimits, find_excess

READERS = 16
"""Batches that are looked at at the same time in an object store."""

READY = "_READY"
"""A file of this name in a batch, or ``<batch>.zip._READY`` beside a zip: it is complete."""

MANIFEST = "_BATCH.json"
"""Written last into the folder of a batch that is taken in: a folder without it is not whole."""

MARKERS = (READY, MANIFEST)
"""Files in the folder of a batch that are not files of the batch."""

LONGEST_NAME = 100
"""A batch is called by so many letters at most: files, runs and links are named after it, and they
say more than its name."""


@dataclass(frozen=True)
class IncomingBatch:
    """A folder or zip in the incoming folder.

    Attributes:
        name: what it is called once taken in: letters, digits, ``._-``.
        delivered_as: the folder's or zip's own name.
        path: of the folder or zip.
        files: size in bytes of each file below the folder, or of the zip itself; no markers.
        left: those that were taken in before and still lie here, which `files` lacks.
        carried: the time that each file carries, in seconds since 1970; None where there is none.
        changed_at: the newest time that a file carries; None where the filesystem does not tell.
        is_ready: it carries the marker.
        seen: a digest of all that is seen of it: names, sizes and times of files and folders.
        touched_at: the newest time that the file system itself gives to a change, in seconds since
            1970: no program can set it; None where it gives none.
        unchanged_since: when it came to look as it does now; None if nobody has looked.
        known: what is remembered of it; None where nothing is.
        limits: what it may hold, and what it may cost to take in.
        is_zip: it is a zip file, and no folder of such a name.
        others: what lies below the folder and is no regular file, by path: a pipe, a link out of
            the batch, a folder that cannot be opened. Nothing of it is read.
    """

    name: str
    delivered_as: str
    path: str
    filesystem: fsspec.AbstractFileSystem
    files: dict[str, int]
    changed_at: datetime | None
    is_ready: bool
    is_zip: bool = False
    others: dict[str, str] = field(default_factory=dict)
    carried: dict[str, float | None] = field(default_factory=dict)
    seen: str = ""
    touched_at: float | None = None
    unchanged_since: datetime | None = None
    known: Delivery | None = None
    left: dict[str, int] = field(default_factory=dict)
    limits: ArrivalLimits = field(default_factory=lambda: DEFAULT_LIMITS)

    @property
    def digest(self) -> str:
        """Tells this delivery from another one of the same name, by file names, sizes and time."""
        facts = sorted(self.files.items())
        return hashlib.sha256(repr((facts, self.changed_at)).encode()).hexdigest()

    @property
    def digest_of_name(self) -> str:
        """Tells what lies at one place of the incoming folder from what lies at another."""
        return hashlib.sha256(repr((self.delivered_as, self.is_zip)).encode()).hexdigest()

    @property
    def is_left(self) -> bool:
        """All of it was taken in before, and still lies here."""
        return self.known is not None and bool(self.known.files) and not self.files

    @property
    def is_stuck(self) -> bool:
        """An intake could not take it in, or remove it, and nothing in it has changed since."""
        return self.known is not None and self.known.fault != "" and self.known.seen == self.seen

    def is_complete(self, settle_minutes: float | None, now: datetime) -> bool:
        """Return whether it counts as complete: by the marker, or by the time without a change.

        The times that its files carry do not matter: a copy may keep them. A copy that was
        interrupted and lies unchanged cannot be told from one that is done: only the marker can.
        """
        if self.is_left:
            return False
        if self.is_ready:
            return True
        if settle_minutes is None or self.unchanged_since is None or not self.files:
            return False
        return (now - self.unchanged_since).total_seconds() >= 60 * settle_minutes

    def describe_stay(self) -> str:
        """Say why a batch is still here, although an intake has taken it in or tried to."""
        fault = self.known.fault if self.known is not None else ""
        if self.is_left and self.known is not None:
            why = f" and cannot be removed from here: {fault}" if fault else " and is still here"
            return f"It was taken in as '{self.known.batch}'{why}."
        return f"It could not be taken in: {fault}. The next intake tries again."

    def describe_wait(self, settle_minutes: float | None, now: datetime) -> str:
        """Say why a batch lies here; "" for one that the next intake takes in."""
        if self.is_left or self.is_stuck:
            return self.describe_stay()
        if self.is_complete(settle_minutes, now):
            return ""
        marker = f"{self.delivered_as}.{READY}" if self.is_zip else READY
        if not self.files:
            return "It holds no file."
        if settle_minutes is None or self.unchanged_since is None:
            return f"It waits for the marker {marker}."
        passed = max(0.0, (now - self.unchanged_since).total_seconds() // 60)
        return (
            f"It carries no marker {marker} and was unchanged for {passed:.0f} minutes: after "
            f"{settle_minutes:g} it counts as complete."
        )

    def read_files(self) -> Iterator[tuple[str, bytes | NotRegularError]]:
        """Yield path and content of each file; those of a zip are unpacked.

        Instead of the content of what is no regular file, or too large, comes the reason.

        Raises:
            ArchiveError: the zip cannot be unpacked.
            OSError: a file cannot be read, or changes meanwhile.
        """
        if self.is_zip:
            yield from self._read_members()
            return
        for path, size in self.files.items():
            try:
                content = self._read_file(path)
            except NotRegularError as error:
                yield path, error
                continue
            # A store may not know the size.
            if len(content) != size and (size or is_local(self.filesystem)):
                raise OSError(errno.EAGAIN, f"'{path}' changes while it is copied")
            yield path, content

    def _read_file(self, path: str) -> bytes:
        if is_local(self.filesystem):
            return read_guarded(posixpath.join(self.path, restore_name(path)), self.path)
        return read_file(self.filesystem, posixpath.join(self.path, path))

    def measure(self) -> int:
        """Return how many bytes its files have together, unpacked.

        Raises:
            ArchiveError: the zip cannot be unpacked, or holds more than is allowed.
            BudgetError: the folder holds more than is allowed.
        """
        if self.is_zip:
            with self._open() as archive:
                archive.check()
                return sum(info.file_size for _, info, _ in archive.members)
        path, reason = find_excess({restore_name(p): n for p, n in self.files.items()}, self.limits)
        if reason:
            raise BudgetError(f"{f'{encode_name(path)!r}: ' if path else ''}{reason}")
        return sum(self.files.values())

    @contextmanager
    def _open(self) -> Iterator[Archive]:
        local = is_local(self.filesystem)
        opened = open_guarded(self.path, self.path) if local else self._open_remote()
        with opened as file, open_archive(file, self.delivered_as, self.limits) as archive:
            yield archive

    @contextmanager
    def _open_remote(self) -> Iterator[BinaryIO]:
        with self.filesystem.open(self.path, "rb") as file:
            yield io.BufferedReader(file)

    def _read_members(self) -> Iterator[tuple[str, bytes | NotRegularError]]:
        with self._open() as archive:
            archive.check()
            # The markers of the system are its own: a zip may not bring them.
            members = [member for member in archive.members if member.path not in MARKERS]
            for path, _, _ in filter(lambda member: member.is_link, members):
                yield path, NotRegularError("it is a link, packed without the file it leads to")
            members = [member for member in members if not member.is_link]
            for member, content in zip(members, archive.read(members), strict=True):
                yield member.path, content


def list_taken(filesystem: fsspec.AbstractFileSystem, root: str) -> list[str]:
    """Return the names of the batches that were taken in, sorted: whole folders, with a manifest.

    `glob` would look at every file below to match two levels.
    """

    def have_manifests(names: Sequence[str]) -> list[bool]:
        return [exists(filesystem, posixpath.join(root, name, MANIFEST)) for name in names]

    entries = list_entries(filesystem, root)
    names = [
        posixpath.basename(entry["name"])
        for entry in entries
        if entry.get("type", "directory") == "directory"
    ]
    names = [name for name in names if not name.startswith(".")]
    taken = read_in_parts(have_manifests, names, READERS, alone=is_local(filesystem))
    return [name for name, is_taken in zip(names, taken, strict=True) if is_taken]


def clean_name(name: str) -> str:
    """Return a batch's name in letters, digits and ``._-`` alone, for file names and addresses."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return cleaned[:LONGEST_NAME].rstrip("-.") or "batch"
