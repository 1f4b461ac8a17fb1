"""The pages of the nights: files that a browser opens, each written whole."""

from __future__ import annotations

import posixpath
from typing import Any

from image_classification.datasets.file import (
    is_local,
    open_filesystem,
    read_file,
    write_whole,
)


class Pages:
    """A folder of pages, on any filesystem that fsspec knows."""

    def __init__(self, filepath: str, credentials: dict[str, Any] | None = None) -> None:
        """Prepare; nothing is read yet.

        Args:
            filepath: the folder, a local path or an fsspec URL.
            credentials: arguments of the fsspec filesystem.
        """
        self._filesystem, self._root = open_filesystem(filepath, credentials)

    def locate(self, name: str) -> str:
        """Return where a page lies, whether it is there or not: a path, or a URL."""
        path = posixpath.join(self._root, name)
        return path if is_local(self._filesystem) else str(self._filesystem.unstrip_protocol(path))

    def read(self, name: str) -> str | None:
        """Return a page by the name of its file, or None if there is none."""
        try:
            return read_file(self._filesystem, posixpath.join(self._root, name)).decode()
        except FileNotFoundError:
            return None

    def write(self, name: str, page: str) -> None:
        """Write a page; the others stay as they are."""
        write_whole(self._filesystem, posixpath.join(self._root, name), page.encode())
