"""Batches that have arrived and are not taken in yet."""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import fsspec

from image_classification.datasets.arrival import MARKERS, READY, IncomingBatch, clean_name
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import (
    encode_name,
    is_local,
    list_entries,
    name_kind,
    open_filesystem,
)
from image_classification.datasets.folder import FOLDER, find_files, read_change
from image_classification.datasets.look import compare_looks, read_looks, write_looks
from image_classification.datasets.neighbour import MARK
from image_classification.datasets.taken import Deliveries, leave_out_taken
from image_classification.errors import DataError

logger = logging.getLogger(__name__)

LOOKS = ".looks.json"
"""Keeps the last look at each batch that may not be complete yet."""

GIVE_ACCESS = "give read access (chmod -R a+rX)"


OF_ANOTHER = (
    "it is the folder of another project, which has a name and shares this incoming folder: name "
    "another one for this project (IMAGE_CLASSIFICATION_INCOMING), or give it a name, too"
)
OF_BATCHES = (
    "it holds no batch but folders with a marker of their own, such as '{}': each of these is a "
    "batch. Deliver it by itself, or, where they are another project's, do not share this folder"
)


class NeighbourError(DataError):
    """A folder in the incoming folder is not for this project."""


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


class IncomingFolder:
    """The incoming folder: one folder or zip per batch."""

    def __init__(
        self, filesystem: fsspec.AbstractFileSystem, root: str, notes: str | None = None
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            filesystem: where the folder lies.
            root: the folder.
            notes: the folder of the batches taken in, where looks and what could not be moved are
                remembered: a local path or an fsspec URL. Without it, each look is the first one.
        """
        self._filesystem, self._root = filesystem, root
        self._notes = open_filesystem(f"{notes}/{LOOKS}") if notes else None
        self._deliveries = Deliveries(*open_filesystem(notes)) if notes else None

    def look(self) -> Inbox:
        """List what has arrived; a folder that does not exist yet is empty."""
        now = datetime.now(UTC)
        inbox = self._list()
        return replace(inbox, batches=self._look(inbox.batches, now))

    def _look(self, batches: list[IncomingBatch], now: datetime) -> list[IncomingBatch]:
        """Say of each batch since when it has not changed, and remember the look."""
        known = read_looks(*self._notes) if self._notes else {}
        if self._deliveries:
            batches = [leave_out_taken(batch, self._deliveries.read(batch)) for batch in batches]
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
        batches, stray, aside = [], [], {}
        entries = self._list_entries()
        for name in sorted(entries):
            entry = entries[name]
            is_marker = f".{name}".endswith(f".{READY}") and entry["type"] != "directory"
            if name.startswith(".") or is_marker:
                continue
            try:
                if reason := self._refuse(entry):
                    aside[encode_name(name)] = reason
                elif entry["type"] == "directory":
                    batches.append(self._describe_folder(name))
                elif name.lower().endswith(".zip"):
                    batches.append(self._describe_zip(name, entry, f"{name}.{READY}" in entries))
                else:
                    stray.append(encode_name(name))
            except NeighbourError as error:
                aside[encode_name(name)] = str(error)
            except Exception as error:
                logger.warning("'%s' cannot be looked at", encode_name(name), exc_info=True)
                aside[encode_name(name)] = f"it cannot be looked at: {describe_error(error)}"
        return Inbox(batches, stray, aside)

    def _list_entries(self) -> dict[str, dict[str, Any]]:
        """Return what lies directly in the incoming folder, by name. No link is followed."""
        if not is_local(self._filesystem):
            listed = list_entries(self._filesystem, self._root)
            return {posixpath.basename(entry["name"]): entry for entry in listed}
        found: dict[str, dict[str, Any]] = {}
        try:
            listing = os.scandir(self._root)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except PermissionError as error:
            raise DataError(
                f"The incoming folder '{self._root}' cannot be opened: {describe_error(error)}. "
                f"{GIVE_ACCESS.capitalize()} to the user of the intake, or name another folder "
                "(IMAGE_CLASSIFICATION_INCOMING)."
            ) from error
        with listing:
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
                    elif not os.access(entry.path, os.R_OK | os.X_OK, effective_ids=True):
                        found[entry.name]["closed"] = True
        return found

    @staticmethod
    def _refuse(entry: Mapping[str, Any]) -> str:
        """Return why something in the incoming folder is left alone, "" if it is not."""
        if kind := entry.get("kind"):
            return f"it is a {kind}: deliver the folder or zip itself"
        closed = entry["type"] == "directory" and entry.get("closed")
        return f"it is a folder that cannot be opened: {GIVE_ACCESS}" if closed else ""

    def _describe_folder(self, name: str) -> IncomingBatch:
        path = posixpath.join(self._root, name)
        entries = find_files(self._filesystem, path, folders=True)
        if reason := _explain_neighbour(entries):
            raise NeighbourError(reason)
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
            changed_at=max(filter(None, map(read_change, files.values())), default=None),
            carried={file: _carried_at(info) for file, info in files.items()},
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
            changed_at=read_change(entry),
            carried={name: _carried_at(entry)},
            is_ready=ready,
            is_zip=True,
            **_describe_look({name: entry}),
        )


def _explain_neighbour(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why a folder is another project's, or no batch but a folder of some; "" if it is one.

    Args:
        entries: what lies below the folder, by path.
    """
    if MARK in entries:
        return OF_ANOTHER
    # A marker beside images is only misplaced. Beside folders it is that of a batch.
    markers = [] if READY in entries else [path for path in entries if path.endswith(READY)]
    for marker in markers:
        folder, _, _ = marker.rpartition(READY)
        of_folder = folder.count("/") == 1 and any(
            path.startswith(folder) and "/" in path.removeprefix(folder) for path in entries
        )
        if of_folder or marker.endswith(f".zip.{READY}"):
            return OF_BATCHES.format(marker)
    return ""


def _describe_look(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is seen of a batch as a digest, and when the file system saw the last change."""
    seen = hashlib.sha256()
    touched: list[float] = []
    for path, info in sorted(entries.items()):
        carried = _carried_at(info)
        # A store gives each file the time at which it came, and no program can set it.
        at = info.get("ctime", carried)
        touched += [] if at is None else [at]
        seen.update(repr((path, info["size"], info.get("kind"), carried, at)).encode())
    return {"seen": seen.hexdigest(), "touched_at": max(touched, default=None)}


def _carried_at(info: Mapping[str, Any]) -> float | None:
    """Return the time that a file carries, in seconds since 1970."""
    changed = read_change(info)
    return None if changed is None else changed.timestamp()
