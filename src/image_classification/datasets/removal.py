"""Remove from the incoming folder what was taken in, and nothing else."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path

import fsspec

from image_classification.datasets.file import decode_name, is_local
from image_classification.datasets.inbox import MANIFEST, READY, IncomingBatch


def remove_taken(batch: IncomingBatch, files: Mapping[str, int], before: float) -> None:
    """Remove what was taken in from the incoming folder, and nothing that came later.

    Args:
        batch: what lies there.
        files: the size of each file that was taken in, by its path below the folder of the batch;
            the zip itself for a zip.
        before: what has changed on a disk since then, in seconds since 1970, came later.
    """
    filesystem = batch.filesystem
    if batch.is_zip:
        # The zip first: a marker left alone does no harm, a zip left alone may be taken in again.
        if batch.files == dict(files) and _is_older(filesystem, batch.path, before):
            _remove_file(filesystem, batch.path)
            _remove_file(filesystem, f"{batch.path}.{READY}")
        return
    # The marker last: with it, the next intake sees what is left and goes on.
    for path in sorted(files.keys() & batch.files.keys()):
        place = posixpath.join(batch.path, path)
        if files[path] == batch.files[path] and _is_older(filesystem, place, before):
            _remove_below(batch, path)
    for path in (MANIFEST, READY):
        _remove_below(batch, path)
    if is_local(filesystem):
        _remove_empty_folders(Path(batch.path))


def _is_older(filesystem: fsspec.AbstractFileSystem, path: str, before: float) -> bool:
    """Return whether a file is the one that was taken in; of a store, its size alone tells."""
    if not is_local(filesystem):
        return True
    try:
        return os.lstat(decode_name(path)).st_ctime < before
    except OSError:
        return False


def _remove_below(batch: IncomingBatch, path: str) -> None:
    """Remove a file of a batch. A link may have taken the place of a folder: it is not followed."""
    place = posixpath.join(batch.path, path)
    if is_local(batch.filesystem):
        folder = posixpath.dirname(decode_name(place))
        root = os.path.realpath(posixpath.dirname(batch.path))
        within = os.path.relpath(folder, posixpath.dirname(batch.path))
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
