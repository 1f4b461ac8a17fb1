"""Copy or unpack what has arrived into a folder: all of it, or nothing."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec

from image_classification.datasets.archive import ArchiveError, refuse_member
from image_classification.datasets.arrival import MARKERS, IncomingBatch
from image_classification.datasets.budget import Budget, BudgetError
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import (
    PIECE_BYTES,
    NotRegularError,
    exists,
    is_local,
    read_in_parts,
    restore_name,
    write_many,
    write_whole,
)
from image_classification.datasets.folder import CLOSED_FILE, CLOSED_FOLDER, READERS, find_files
from image_classification.datasets.guarded import open_guarded
from image_classification.datasets.spelling import Spellings
from image_classification.errors import DataError
from image_classification.text import escape_text

IMPOSSIBLE_NAMES = frozenset(
    {
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.EILSEQ,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
    }
)
"""Errors of a file system that cannot hold a file of this name."""


class Transfer:
    """Brings a batch into a folder, which is emptied before and does not stay half full."""

    def __init__(
        self, batch: IncomingBatch, filesystem: fsspec.AbstractFileSystem, folder: str
    ) -> None:
        self._batch, self._filesystem, self._folder = batch, filesystem, folder
        self._budget = Budget(batch.limits, filesystem, posixpath.dirname(folder))

    def run(self, total: int, fault: dict[str, str]) -> dict[str, Any]:
        """Copy or unpack the batch; a zip with a fault is kept as it is.

        Args:
            total: bytes that are to be written.
            fault: why it is not to be read, as `measure` says it.

        Returns:
            For the manifest: what it took (`spent_s`, seconds); or `fault`, if there is one; and
            `not_copied`, by path, what has no content to write, and why. The screening quarantines
            a batch with a fault, and so a person learns of it.

        Raises:
            DataError: a folder cannot be copied.
            OSError: the disk is full, or something cannot be read or written.
        """
        for path, kind in self._batch.others.items():
            if kind in (CLOSED_FOLDER, CLOSED_FILE):
                raise DataError(f"'{escape_text(path)}' is a {kind}")
        try:
            if fault:
                raise BudgetError(fault["fault"])
            with self._fresh_folder():
                skipped = self._write_files(total)
        except (ArchiveError, BudgetError) as error:
            if not self._batch.is_zip:
                raise
            with self._fresh_folder():
                self._keep_zip()
            return {"fault": str(error)}
        facts: dict[str, Any] = {"spent_s": round(self._budget.spent_s, 1)}
        return facts | {"not_copied": skipped} if skipped else facts

    def _write_files(self, total: int) -> dict[str, str]:
        self._budget.check_space(total)
        skipped = dict(self._batch.others)
        if is_local(self._filesystem):
            self._write_to_disk(skipped)
        elif self._batch.filesystem is self._filesystem and not self._batch.is_zip:
            self._copy_on_store()
        else:
            files = self._read_files(skipped)
            write_many(
                self._filesystem,
                ((posixpath.join(self._folder, path), content) for path, content in files),
            )
        return skipped

    def _read_files(self, skipped: dict[str, str]) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of each file; `skipped` gets those that have no content."""
        for path, content in self._batch.read_files():
            self._check_path(path)
            if isinstance(content, NotRegularError):
                skipped[path] = str(content)
                continue
            self._budget.spend(len(content))
            yield path, content

    def _check_path(self, path: str) -> None:
        if path.partition("/")[0] in MARKERS:
            raise self._refuse(path, "a folder has the name of a mark of the system: rename it")

    def _write_to_disk(self, skipped: dict[str, str]) -> None:
        spellings = Spellings(self._filesystem, self._folder)
        for path, content in self._read_files(skipped):
            name = restore_name(path)
            if other := spellings.find_other(name):
                raise self._refuse(path, f"this disk takes its name for '{other}'")
            try:
                write_whole(self._filesystem, posixpath.join(self._folder, name), content)
            except OSError as error:
                if error.errno in IMPOSSIBLE_NAMES:
                    raise self._refuse(path, describe_error(error)) from error
                raise

    def _copy_on_store(self) -> None:
        """Let an object store copy the files by itself: no content comes this way.

        Raises:
            OSError: a file changes meanwhile.
        """

        def copy(paths: Sequence[str]) -> list[None]:
            for path in paths:
                self._check_path(path)
                source, target = (posixpath.join(f, path) for f in (self._batch.path, self._folder))
                self._filesystem.cp_file(source, target)
                self._budget.spend(self._batch.files[path])
            return [None] * len(paths)

        read_in_parts(copy, list(self._batch.files), READERS)
        copied = find_files(self._filesystem, self._folder)
        for path, size in self._batch.files.items():
            if copied[path]["size"] != size:
                raise OSError(errno.EAGAIN, f"'{path}' changes while it is copied")

    def _keep_zip(self) -> None:
        source, files = self._batch.path, self._batch.filesystem
        place = posixpath.join(self._folder, posixpath.basename(source))
        if not (is_local(self._filesystem) and is_local(files)):
            write_whole(self._filesystem, place, files.cat_file(source))
            return
        Path(self._folder).mkdir(parents=True)
        if os.lstat(source).st_uid == os.geteuid():
            with suppress(OSError):  # on another disk
                os.link(source, place)
                return
        size = sum(self._batch.files.values())
        self._budget.check_space(size)
        with open_guarded(source, source) as file, Path(place).open("wb") as copy:
            while size > 0 and (piece := file.read(min(size, PIECE_BYTES))):  # it may be growing
                size -= copy.write(piece)

    def _refuse(self, path: str, reason: str) -> DataError:
        if self._batch.is_zip:
            return refuse_member(self._batch.delivered_as, path, reason)
        return DataError(f"'{escape_text(path)}' cannot be copied: {reason}")

    @contextmanager
    def _fresh_folder(self) -> Iterator[None]:
        self._clear()
        try:
            yield
        except BaseException:
            with suppress(OSError):
                self._clear()
            raise

    def _clear(self) -> None:
        if exists(self._filesystem, self._folder):
            self._filesystem.rm(self._folder, recursive=True)


def measure(batch: IncomingBatch) -> tuple[int, dict[str, str]]:
    """Return the bytes of a batch, and why it is not to be read, as `fault`; empty if it is."""
    try:
        return batch.measure(), {}
    except (ArchiveError, BudgetError) as error:
        return 0, {"fault": str(error)}
