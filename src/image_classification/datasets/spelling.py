"""Names that differ in capitals or in how accents are written: some disks take them for one."""

from __future__ import annotations

import os
import posixpath
import unicodedata

import fsspec

from image_classification.datasets.file import is_local


class Spellings:
    """The paths written into one folder."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, folder: str) -> None:
        self._folder = folder if is_local(filesystem) else None
        self._written: set[str] = set()
        self._alike: dict[str, str] = {}

    def find_other(self, path: str) -> str:
        """Return a file or folder written before which the disk takes for this one, "" for none."""
        if self._folder is None:
            return ""
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            below = "/".join(parts[:end])
            if below in self._written:
                continue
            folded = unicodedata.normalize("NFC", below).casefold()
            other = self._alike.setdefault(folded, below)
            if other != below and os.path.lexists(posixpath.join(self._folder, below)):
                return other
            self._written.add(below)
        return ""
