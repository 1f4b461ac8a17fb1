"""Records: JSON files in a folder, each read when asked for."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fsspec

from image_classification.datasets.fault import explain_damage
from image_classification.datasets.file import read_file

FAULTS = (ValueError, KeyError)
"""What reading a damaged file of JSON raises."""


class Records(Mapping[str, dict[str, Any]]):
    """Records by name, each read when asked for."""

    def __init__(self, root: str, filesystem: fsspec.AbstractFileSystem) -> None:
        self._root = root
        self._filesystem = filesystem
        self._names = list_names(filesystem, root, ".json")

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in self._names:
            raise KeyError(name)
        path = posixpath.join(self._root, f"{name}.json")
        content = read_file(self._filesystem, path)
        with explain_fault(path):
            record: dict[str, Any] = json.loads(content)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


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


def list_names(filesystem: fsspec.AbstractFileSystem, root: str, suffix: str) -> list[str]:
    """Return the names of the files of a folder that have an ending, without it, sorted."""
    filesystem.invalidate_cache()
    if not filesystem.isdir(root):
        return []
    names = (posixpath.basename(path) for path in filesystem.ls(root, detail=False))
    return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))
