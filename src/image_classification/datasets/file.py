"""Files that appear whole or not at all, on any filesystem that fsspec knows."""

from __future__ import annotations

import posixpath
from typing import Any
from uuid import uuid4

import fsspec
from kedro.io.core import get_protocol_and_path

PARTIAL = ".partial"


def open_filesystem(
    filepath: str, credentials: dict[str, Any] | None = None
) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the filesystem of a local path or fsspec URL, and the path on it."""
    protocol, path = get_protocol_and_path(filepath)
    return fsspec.filesystem(protocol, **(credentials or {})), path.rstrip("/")


def is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Return whether the files lie on a disk of this machine, or one that it has mounted."""
    protocol = filesystem.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def write_whole(filesystem: fsspec.AbstractFileSystem, path: str, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    An object store does so by itself; on a disk the file is written aside, then renamed.
    """
    if not is_local(filesystem):
        filesystem.pipe_file(path, content)
        return
    filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
    aside = f"{path}.{uuid4().hex}{PARTIAL}"
    filesystem.pipe_file(aside, content)
    filesystem.mv(aside, path)
