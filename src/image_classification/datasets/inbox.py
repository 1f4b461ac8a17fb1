"""Batches that have arrived and are not taken in yet."""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Never

import fsspec
from kedro.io import DatasetError

from image_classification.datasets.archive import open_archive
from image_classification.datasets.file import FilesystemDataset, encode_name, read_file
from image_classification.datasets.folder import find_files

READY = "_READY"
"""A file of this name in a batch, or ``<batch>.zip._READY`` beside a zip: it is complete."""

MANIFEST = "_BATCH.json"
"""Written last into the folder of a batch that is taken in: a folder without it is not whole."""

TAKEN = "_TAKEN.json"
"""Written into an incoming folder that was copied: lists the files to be removed from it."""

MARKERS = (READY, MANIFEST, TAKEN)
"""Files in the folder of a batch that are not files of the batch."""

MODIFIED_KEYS = ("mtime", "LastModified", "updated", "last_modified", "created")
"""What filesystems call the time of a change: local, S3, Google, Azure, memory."""


@dataclass(frozen=True)
class IncomingBatch:
    """A folder or zip in the incoming folder.

    Attributes:
        name: what it is called once taken in: letters, digits, ``._-``.
        delivered_as: the folder's or zip's own name.
        path: of the folder or zip.
        files: size in bytes of each file below the folder, or of the zip itself; no markers.
        changed_at: when its newest file was written; None where the filesystem does not tell.
        is_ready: it carries the marker.
        is_taken: it was copied already, and removing it was interrupted.
        is_zip: it is a zip file, and no folder of such a name.
    """

    name: str
    delivered_as: str
    path: str
    filesystem: fsspec.AbstractFileSystem
    files: dict[str, int]
    changed_at: datetime | None
    is_ready: bool
    is_taken: bool = False
    is_zip: bool = False

    @property
    def digest(self) -> str:
        """Tells this delivery from another one of the same name, by file names, sizes and time."""
        facts = sorted(self.files.items())
        return hashlib.sha256(repr((facts, self.changed_at)).encode()).hexdigest()

    def is_complete(self, settle_minutes: float | None, now: datetime) -> bool:
        """Return whether nothing more will come: by the marker, or by the time since a change."""
        if self.is_ready or self.is_taken:
            return True
        if settle_minutes is None or self.changed_at is None or not self.files:
            return False
        return (now - self.changed_at).total_seconds() >= 60 * settle_minutes

    def read_files(self) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of each file; those of a zip are unpacked.

        Raises:
            ArchiveError: the zip cannot be unpacked.
        """
        if self.is_zip:
            yield from self._read_members()
        else:
            for path in self.files:
                yield path, read_file(self.filesystem, posixpath.join(self.path, path))

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
    """

    batches: list[IncomingBatch] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)


class InboxDataset(FilesystemDataset[Never, Inbox]):
    """The incoming folder: one folder or zip per batch."""

    def load(self) -> Inbox:
        """List what has arrived; a folder that does not exist yet is empty."""
        self._filesystem.invalidate_cache()
        if not self._filesystem.isdir(self._root):
            return Inbox()
        entries = {
            posixpath.basename(entry["name"].rstrip("/")): entry
            for entry in self._filesystem.ls(self._root, detail=True)
        }
        batches, stray = [], []
        for name in sorted(entries):
            entry = entries[name]
            if name.startswith(".") or name.endswith(READY):
                continue
            if entry["type"] == "directory":
                batches.append(self._describe_folder(name))
            elif entry["type"] == "file" and name.lower().endswith(".zip"):
                batches.append(self._describe_zip(name, entry, f"{name}.{READY}" in entries))
            else:
                stray.append(name)
        return Inbox(batches, stray)

    def _describe_folder(self, name: str) -> IncomingBatch:
        path = posixpath.join(self._root, name)
        entries = find_files(self._filesystem, path)
        files = {file: info for file, info in entries.items() if file not in MARKERS}
        return IncomingBatch(
            name=clean_name(name),
            delivered_as=encode_name(name),
            path=path,
            filesystem=self._filesystem,
            files={file: int(info["size"] or 0) for file, info in files.items()},
            changed_at=max(filter(None, map(_changed_at, files.values())), default=None),
            is_ready=READY in entries,
            is_taken=TAKEN in entries,
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
        )

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: batches are put there by people, and by `image-classification deliver`."""
        raise DatasetError("The incoming folder is filled by `image-classification deliver`.")


def clean_name(name: str) -> str:
    """Return a batch's name in letters, digits and ``._-`` alone, for file names and addresses."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "batch"


def _changed_at(info: dict[str, Any]) -> datetime | None:
    changed = next((info[key] for key in MODIFIED_KEYS if info.get(key)), None)
    if isinstance(changed, int | float):
        return datetime.fromtimestamp(changed, UTC)
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed.replace("Z", "+00:00"))
    if isinstance(changed, datetime):
        return changed if changed.tzinfo else changed.replace(tzinfo=UTC)
    return None
