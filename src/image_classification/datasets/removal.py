"""Remove from the incoming folder what was taken in, and nothing else."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

import fsspec

from image_classification.datasets.arrival import MANIFEST, READY, IncomingBatch
from image_classification.datasets.file import decode_name, is_local, read_file
from image_classification.datasets.taken import Delivery


def remove_taken(batch: IncomingBatch, known: Delivery, copies: str | None = None) -> list[str]:
    """Remove what was taken in from the incoming folder, and nothing that came later.

    Args:
        batch: what lies there.
        known: what of it was taken in.
        copies: the local folder of the batch that it was taken in as, if there is one: what changed
            since may be removed if its content is still the one that lies there.

    Returns:
        The paths of what was taken in and still lies there.

    Raises:
        OSError: something cannot be removed.
    """
    filesystem = batch.filesystem
    taken = [
        path
        for path, size in sorted((batch.left | batch.files).items())
        if known.holds(path, size, batch.carried.get(path))
    ]
    if batch.is_zip:
        # The zip first: a marker left alone does no harm, a zip left alone may be taken in again.
        for _ in taken:
            _remove_file(filesystem, batch.path)
            _remove_file(filesystem, f"{batch.path}.{READY}")
        return []
    # The marker last: with it, the next intake sees what is left and goes on.
    left = []
    for path in taken:
        place = posixpath.join(batch.path, path)
        if _is_older(filesystem, place, known.before) or _is_copy(place, path, batch.path, copies):
            _remove_below(batch, path)
        else:
            left.append(path)
    for path in (MANIFEST, READY):
        _remove_below(batch, path)
    if is_local(filesystem):
        _remove_empty_folders(Path(batch.path))
    return left


def _is_older(filesystem: fsspec.AbstractFileSystem, path: str, before: float) -> bool:
    """Return whether a file has not changed since; of a store, the time that it keeps tells."""
    if not is_local(filesystem):
        return True
    try:
        return os.lstat(decode_name(path)).st_ctime < before
    except OSError:
        return False


def _is_copy(place: str, path: str, within: str, copies: str | None) -> bool:
    """Return whether a file still has the content that was taken in."""
    if copies is None:
        return False
    files = fsspec.filesystem("file")
    try:
        copy = read_file(files, posixpath.join(copies, path))
        return read_file(files, place, within) == copy
    except OSError:
        return False


def _remove_below(batch: IncomingBatch, path: str) -> None:
    """Remove a file of a batch. A link may have taken the place of a folder: it is not followed."""
    place = posixpath.join(batch.path, path)
    if is_local(batch.filesystem):
        folder = posixpath.dirname(decode_name(place))
        root = os.path.realpath(posixpath.dirname(batch.path))
        within = os.path.relpath(folder, posixpath.dirname(batch.path))
        if within.partition("/")[0] != posixpath.basename(batch.path):
            return
        if os.path.realpath(folder) != os.path.normpath(posixpath.join(root, within)):
            return
    _remove_file(batch.filesystem, place)


def _remove_file(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    if not is_local(filesystem):
        if filesystem.exists(path):
            filesystem.rm_file(path)
        return
    place = Path(decode_name(path))
    if place.is_symlink() or place.is_file():
        place.unlink()


def _remove_empty_folders(root: Path) -> None:
    for folder in sorted(root.rglob("*"), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    if root.is_dir() and not root.is_symlink() and not any(root.iterdir()):
        root.rmdir()
