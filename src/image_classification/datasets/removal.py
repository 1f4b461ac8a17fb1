"""Remove from the incoming folder what was taken in, and nothing else."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import fsspec

from image_classification.datasets.arrival import MANIFEST, READY, IncomingBatch
from image_classification.datasets.file import is_local, read_file, read_in_parts, restore_name
from image_classification.datasets.folder import READERS
from image_classification.datasets.guarded import read_guarded, remove_guarded
from image_classification.datasets.taken import Delivery

CHANGED = "has changed since it was taken in"

TIME_TOLERANCE_S = 1e-3
"""What is lost of a time where it is written down."""


def remove_taken(
    batch: IncomingBatch, known: Delivery, copies: str | None = None
) -> dict[str, str]:
    """Remove what was taken in from the incoming folder, and nothing that came later.

    Args:
        batch: what lies there.
        known: what of it was taken in.
        copies: the local folder of the batch that it was taken in as, if there is one: what changed
            since may be removed if its content is still the one that lies there.

    Returns:
        Why what was taken in still lies there, by path.

    Raises:
        OSError: something cannot be removed.
    """
    taken = [
        path
        for path, size in sorted((batch.left | batch.files).items())
        if known.holds(path, size, batch.carried.get(path))
    ]
    if batch.is_zip:
        return _remove_zip(batch, taken)
    # The marker last: with it, the next intake sees what is left and goes on.
    left = {}
    gone = []
    for path in taken:
        place = _locate(batch, path)
        if path in known.kept:
            left[path] = f"was not taken in ({known.kept[path]}): take it away"
        elif _is_older(batch, place, known.before) or _is_copy(batch, place, path, copies):
            gone.append(place)
        else:
            left[path] = CHANGED
    _remove_files(batch, gone)
    for path in (MANIFEST, READY):
        _remove_file(batch, _locate(batch, path))
    if is_local(batch.filesystem):
        _remove_empty_folders(Path(batch.path))
    return left


def _remove_zip(batch: IncomingBatch, taken: Sequence[str]) -> dict[str, str]:
    # The zip first: a marker left alone does no harm, a zip left alone may be taken in again.
    for path in taken:
        # One that changes while it is taken in is looked at again before anything is removed.
        if path in batch.files and not _is_as_seen(batch, path):
            return {path: CHANGED}
        _remove_file(batch, batch.path)
        _remove_file(batch, f"{batch.path}.{READY}")
    return {}


def _is_as_seen(batch: IncomingBatch, path: str) -> bool:
    """Return whether a local zip has the size and the time that it had when it was looked at."""
    if not is_local(batch.filesystem):
        return True
    try:
        status = os.lstat(batch.path)
    except FileNotFoundError:
        return True
    moved_s = abs(status.st_mtime - (batch.carried.get(path) or 0.0))
    return status.st_size == batch.files[path] and moved_s < TIME_TOLERANCE_S


def _remove_files(batch: IncomingBatch, places: Sequence[str]) -> None:
    """Remove files of a batch, several at a time where each waits for an object store."""

    def remove(some: Sequence[str]) -> list[str]:
        for place in some:
            _remove_file(batch, place)
        return []

    read_in_parts(remove, places, 1 if is_local(batch.filesystem) else READERS)


def _locate(batch: IncomingBatch, path: str) -> str:
    below = restore_name(path) if is_local(batch.filesystem) else path
    return posixpath.join(batch.path, below)


def _is_older(batch: IncomingBatch, place: str, before: float) -> bool:
    """Return whether a file has not changed since; of a store, the time that it keeps tells."""
    if not is_local(batch.filesystem):
        return True
    try:
        return os.lstat(place).st_ctime < before
    except OSError:
        return False


def _is_copy(batch: IncomingBatch, place: str, path: str, copies: str | None) -> bool:
    """Return whether a file still has the content that was taken in."""
    if copies is None:
        return False
    try:
        copy = read_file(fsspec.filesystem("file"), posixpath.join(copies, path))
        return read_guarded(place, batch.path) == copy
    except OSError:
        return False


def _remove_file(batch: IncomingBatch, place: str) -> None:
    """Remove a file of a batch. A link may have taken the place of a folder: it is not followed."""
    if is_local(batch.filesystem):
        remove_guarded(place, posixpath.dirname(batch.path))
    else:
        with suppress(FileNotFoundError):
            batch.filesystem.rm_file(place)


def _remove_empty_folders(root: Path) -> None:
    for folder in sorted(root.rglob("*"), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    if root.is_dir() and not root.is_symlink() and not any(root.iterdir()):
        root.rmdir()
