"""Copy or unpack what has arrived into a folder: all of it, or nothing."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterator
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
    is_local,
    restore_name,
    write_whole,
)
from image_classification.datasets.folder import CLOSED_FILE, CLOSED_FOLDER
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
        skipped, spellings = dict(self._batch.others), Spellings(self._filesystem, self._folder)
        for path, content in self._batch.read_files():
            if path.partition("/")[0] in MARKERS:
                raise self._refuse(path, "a folder has the name of a mark of the system: rename it")
            if isinstance(content, NotRegularError):
                skipped[path] = str(content)
                continue
            self._budget.spend(len(content))
            name = restore_name(path) if is_local(self._filesystem) else path
            if other := spellings.find_other(name):
                raise self._refuse(path, f"this disk takes its name for '{other}'")
            try:
                write_whole(self._filesystem, posixpath.join(self._folder, name), content)
            except OSError as error:
                if error.errno in IMPOSSIBLE_NAMES:
                    raise self._refuse(path, describe_error(error)) from error
                raise
        return skipped

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
        if self._filesystem.exists(self._folder):
            self._filesystem.rm(self._folder, recursive=True)


def measure(batch: IncomingBatch) -> tuple[int, dict[str, str]]:
    """Return the bytes of a batch, and why it is not to be read, as `fault`; empty if it is."""
    try:
        return batch.measure(), {}
    except (ArchiveError, BudgetError) as error:
        return 0, {"fault": str(error)}
