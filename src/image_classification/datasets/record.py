"""Records: JSON files in a folder, each read when asked for."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fsspec

from image_classification.datasets.cache import read_entry
from image_classification.datasets.fault import explain_damage
from image_classification.datasets.file import list_entries

FAULTS = (ValueError, KeyError)
"""What reading a damaged file of JSON raises."""


class Records(Mapping[str, dict[str, Any]]):
    """Records by name, each read when asked for."""

    def __init__(self, root: str, filesystem: fsspec.AbstractFileSystem) -> None:
        self._root = root
        self._filesystem = filesystem
        self._entries = list_files(filesystem, root, ".json")

    def __getitem__(self, name: str) -> dict[str, Any]:
        entry = self._entries[name]
        content = read_entry(self._filesystem, entry)
        with explain_fault(entry["name"]):
            record: dict[str, Any] = json.loads(content)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


@contextmanager
def explain_fault(path: str, faults: tuple[type[Exception], ...] = FAULTS) -> Iterator[None]:
    """Name the file that cannot be read, and what to do.

    Args:
        path: of the file.
        faults: the errors that mean that it is cut, empty, or something else.

    Raises:
        DataError: it is.
    """
    try:
        yield
    except faults as error:
        raise explain_damage(path, error) from error


def list_files(
    filesystem: fsspec.AbstractFileSystem, root: str, suffix: str
) -> dict[str, dict[str, Any]]:
    """Return the files of a folder that have an ending, by their name without it, sorted."""
    return {
        posixpath.basename(entry["name"]).removesuffix(suffix): entry
        for entry in list_entries(filesystem, root)
        if entry["name"].endswith(suffix)
    }
