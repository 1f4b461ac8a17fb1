"""Batches that have arrived and are not taken in yet."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Never

import fsspec
from kedro.io import DatasetError

from image_classification.datasets.archive import open_archive
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import (
    FilesystemDataset,
    encode_name,
    is_local,
    name_kind,
    open_filesystem,
    read_file,
)
from image_classification.datasets.folder import FOLDER, find_files
from image_classification.datasets.look import compare_looks, read_looks, write_looks

logger = logging.getLogger(__name__)

READY = "_READY"
"""A file of this name in a batch, or ``<batch>.zip._READY`` beside a zip: it is complete."""

MANIFEST = "_BATCH.json"
"""Written last into the folder of a batch that is taken in: a folder without it is not whole."""

MARKERS = (READY, MANIFEST)
"""Files in the folder of a batch that are not files of the batch."""

LOOKS = ".looks.json"
"""Keeps the last look at each batch that may not be complete yet."""

MODIFIED_KEYS = ("mtime", "LastModified", "updated", "last_modified", "created")
"""What filesystems call the time of a change: local, S3, Google, Azure, memory."""

EARLIEST_S, LATEST_S = -(2.0**31), 2.0**37
"""Between these times, in seconds since 1970, a date has a year of four digits."""


@dataclass(frozen=True)
class IncomingBatch:
    """A folder or zip in the incoming folder.

    Attributes:
        name: what it is called once taken in: letters, digits, ``._-``.
        delivered_as: the folder's or zip's own name.
        path: of the folder or zip.
        files: size in bytes of each file below the folder, or of the zip itself; no markers.
        changed_at: the newest time that a file carries; None where the filesystem does not tell.
        is_ready: it carries the marker.
        seen: a digest of all that is seen of it: names, sizes and times of files and folders.
        touched_at: the newest time that the file system itself gives to a change, in seconds since
            1970: no program can set it; None where it gives none.
        unchanged_since: when it came to look as it does now; None if nobody has looked.
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
    seen: str = ""
    touched_at: float | None = None
    unchanged_since: datetime | None = None

    @property
    def digest(self) -> str:
        """Tells this delivery from another one of the same name, by file names, sizes and time."""
        facts = sorted(self.files.items())
        return hashlib.sha256(repr((facts, self.changed_at)).encode()).hexdigest()

    @property
    def digest_of_name(self) -> str:
        """Tells what lies at one place of the incoming folder from what lies at another."""
        return hashlib.sha256(repr((self.delivered_as, self.is_zip)).encode()).hexdigest()

    def is_complete(self, settle_minutes: float | None, now: datetime) -> bool:
        """Return whether it counts as complete: by the marker, or by the time without a change.

        The times that its files carry do not matter: a copy may keep them. A copy that was
        interrupted and lies unchanged cannot be told from one that is done: only the marker can.
        """
        if self.is_ready:
            return True
        if settle_minutes is None or self.unchanged_since is None or not self.files:
            return False
        return (now - self.unchanged_since).total_seconds() >= 60 * settle_minutes

    def describe_wait(self, settle_minutes: float | None, now: datetime) -> str:
        """Say what a batch that is not complete waits for."""
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

    def read_files(self) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of each file; those of a zip are unpacked.

        Raises:
            ArchiveError: the zip cannot be unpacked.
        """
        if self.is_zip:
            yield from self._read_members()
        else:
            for path in self.files:
                yield path, read_file(self.filesystem, posixpath.join(self.path, path), self.path)

    def read_raw(self) -> Iterator[tuple[str, bytes]]:
        """Yield a zip's own name and content."""
        yield posixpath.basename(self.path), self.filesystem.cat_file(self.path)

    def _read_members(self) -> Iterator[tuple[str, bytes]]:
        with (
            self.filesystem.open(self.path, "rb") as file,
            open_archive(io.BufferedReader(file), self.delivered_as) as archive,
        ):
            archive.check()
            # The markers of the system are its own: a zip may not bring them.
            members = [member for member in archive.members if member.path not in MARKERS]
            for member, content in zip(members, archive.read(members), strict=True):
                yield member.path, content


@dataclass(frozen=True)
class Inbox:
    """What lies in the incoming folder.

    Attributes:
        batches: folders and zips, by name.
        stray: images that lie in no batch's folder.
        aside: what is left alone, with the reason, by name: links, pipes, what cannot be looked at.
    """

    batches: list[IncomingBatch] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)


class InboxDataset(FilesystemDataset[Never, Inbox]):
    """The incoming folder: one folder or zip per batch. Each load is a look at it."""

    def __init__(self, *, notes: str | None = None, **arguments: Any) -> None:
        """Make the dataset; nothing is read yet.

        Args:
            notes: a folder of the system, in which looks are remembered: a local path or an fsspec
                URL. Without it, each look is the first one.
            arguments: `filepath`, `credentials`, `metadata`.
        """
        super().__init__(**arguments)
        self._notes = open_filesystem(f"{notes}/{LOOKS}") if notes else None

    def load(self) -> Inbox:
        """List what has arrived; a folder that does not exist yet is empty."""
        now = datetime.now(UTC)
        inbox = self._list()
        return replace(inbox, batches=self._look(inbox.batches, now))

    def _look(self, batches: list[IncomingBatch], now: datetime) -> list[IncomingBatch]:
        """Say of each batch since when it has not changed, and remember the look."""
        known = read_looks(*self._notes) if self._notes else {}
        looks = {
            batch.digest_of_name: compare_looks(
                known.get(batch.digest_of_name), batch.seen, batch.touched_at, now.timestamp()
            )
            for batch in batches
        }
        if self._notes:
            lasting = {b.digest_of_name for b in batches if not b.is_ready}
            kept = {name: look for name, look in looks.items() if name in lasting}
            write_looks(*self._notes, kept, known)
        return [
            replace(
                batch,
                unchanged_since=datetime.fromtimestamp(
                    looks[batch.digest_of_name].unchanged_since, UTC
                ),
            )
            for batch in batches
        ]

    def _list(self) -> Inbox:
        self._filesystem.invalidate_cache()
        if not self._filesystem.isdir(self._root):
            return Inbox()
        batches, stray, aside = [], [], {}
        entries = self._list_entries()
        for name in sorted(entries):
            entry = entries[name]
            if name.startswith(".") or name.endswith(READY):
                continue
            try:
                if kind := entry.get("kind"):
                    aside[encode_name(name)] = f"it is a {kind}: deliver the folder or zip itself"
                elif entry["type"] == "directory":
                    batches.append(self._describe_folder(name))
                elif name.lower().endswith(".zip"):
                    batches.append(self._describe_zip(name, entry, f"{name}.{READY}" in entries))
                else:
                    stray.append(encode_name(name))
            except Exception as error:
                logger.warning("'%s' cannot be looked at", encode_name(name), exc_info=True)
                aside[encode_name(name)] = f"it cannot be looked at: {describe_error(error)}"
        return Inbox(batches, stray, aside)

    def _list_entries(self) -> dict[str, dict[str, Any]]:
        """Return what lies directly in the incoming folder, by name. No link is followed."""
        if not is_local(self._filesystem):
            listed = self._filesystem.ls(self._root, detail=True)
            return {posixpath.basename(entry["name"].rstrip("/")): entry for entry in listed}
        found: dict[str, dict[str, Any]] = {}
        with os.scandir(self._root) as listing:
            for entry in listing:
                with suppress(FileNotFoundError):  # it was there a moment ago
                    status = entry.stat(follow_symlinks=False)
                    found[entry.name] = {
                        "type": "directory" if stat.S_ISDIR(status.st_mode) else "file",
                        "size": status.st_size,
                        "mtime": status.st_mtime,
                        "ctime": status.st_ctime,
                    }
                    kind = "link" if entry.is_symlink() else name_kind(status.st_mode)
                    if kind not in ("", "folder"):
                        found[entry.name]["kind"] = kind
        return found

    def _describe_folder(self, name: str) -> IncomingBatch:
        path = posixpath.join(self._root, name)
        entries = find_files(self._filesystem, path, folders=True)
        files = {
            file: info
            for file, info in entries.items()
            if file not in MARKERS and "kind" not in info
        }
        return IncomingBatch(
            name=clean_name(name),
            delivered_as=encode_name(name),
            path=path,
            filesystem=self._filesystem,
            files={file: int(info["size"] or 0) for file, info in files.items()},
            others={
                file: info["kind"]
                for file, info in entries.items()
                if info.get("kind", FOLDER) != FOLDER
            },
            changed_at=max(filter(None, map(_changed_at, files.values())), default=None),
            is_ready=READY in entries,
            **_describe_look(entries),
        )

    def _describe_zip(self, name: str, entry: dict[str, Any], ready: bool) -> IncomingBatch:
        return IncomingBatch(
            name=clean_name(name[: -len(".zip")]),
            delivered_as=encode_name(name),
            path=posixpath.join(self._root, name),
            filesystem=self._filesystem,
            files={name: int(entry["size"] or 0)},
            changed_at=_changed_at(entry),
            is_ready=ready,
            is_zip=True,
            **_describe_look({name: entry}),
        )

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: batches are put there by people, and by `image-classification deliver`."""
        raise DatasetError("The incoming folder is filled by `image-classification deliver`.")


def clean_name(name: str) -> str:
    """Return a batch's name in letters, digits and ``._-`` alone, for file names and addresses."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "batch"


def _describe_look(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is seen of a batch as a digest, and when the file system saw the last change."""
    seen = hashlib.sha256()
    touched: list[float] = []
    for path, info in sorted(entries.items()):
        changed = _changed_at(info)
        # A store gives each file the time at which it came, and no program can set it.
        carried = changed.timestamp() if changed else None
        at = info.get("ctime", carried)
        touched += [] if at is None else [at]
        seen.update(repr((path, info["size"], info.get("kind"), carried, at)).encode())
    return {"seen": seen.hexdigest(), "touched_at": max(touched, default=None)}


def _changed_at(info: Mapping[str, Any]) -> datetime | None:
    changed = next((info[key] for key in MODIFIED_KEYS if info.get(key)), None)
    if isinstance(changed, int | float):
        # A disk may hold times of any year.
        return datetime.fromtimestamp(min(max(changed, EARLIEST_S), LATEST_S), UTC)
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed.replace("Z", "+00:00"))
    if isinstance(changed, datetime):
        return changed if changed.tzinfo else changed.replace(tzinfo=UTC)
    return None
