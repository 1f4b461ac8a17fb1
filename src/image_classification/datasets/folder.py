"""Image files below a folder."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
import pandas as pd

from image_classification.datasets.file import encode_name, is_local, read_file, read_in_parts
from image_classification.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
FILE_COLUMNS = ["path", "image_name", "label", "size_bytes"]

READERS = 16
"""Files that are read at the same time: an object store lets each of them wait long."""

LASTING_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""Errors that trying again does not mend."""


def find_files(filesystem: fsspec.AbstractFileSystem, root: str) -> dict[str, dict[str, Any]]:
    """Return what the filesystem tells of each file below a folder, sorted by its path there.

    This is always its `size` (bytes), and mostly the time of its last change. A folder that does
    not exist, or may not be read, has no files.
    """
    if is_local(filesystem):
        return dict(sorted(_walk(root)))
    filesystem.invalidate_cache()
    found = filesystem.find(root, detail=True)
    return {posixpath.relpath(path, root): info for path, info in found.items()}


def list_images(filesystem: fsspec.AbstractFileSystem, root: str) -> tuple[pd.DataFrame, int]:
    """Return the image files below a folder, and how many other files lie there.

    Returns:
        One row per image file, sorted by path: `path` (str, below the folder), `image_name` (str),
        `label` (str, the folder the file lies in, "" for the top), `size_bytes` (int).
    """
    found = find_files(filesystem, root)
    rows = []
    for path in sorted(filter(_is_image, found)):
        folder, _, name = path.rpartition("/")
        rows.append((path, name, folder.rpartition("/")[2], int(found[path]["size"] or 0)))
    return pd.DataFrame(rows, columns=FILE_COLUMNS), len(found) - len(rows)


def read_files(
    filesystem: fsspec.AbstractFileSystem, root: str, paths: Sequence[str]
) -> list[bytes]:
    """Return the content of files below a folder, in order, read several at a time.

    Raises:
        DataError: a file cannot be read.
    """
    contents = try_read_files(filesystem, root, paths)
    for path, content in zip(paths, contents, strict=True):
        if isinstance(content, OSError):
            raise DataError(
                f"Image file '{path}' cannot be read from '{root}': {content}. Restore it, or give "
                "read access."
            ) from content
    return [content for content in contents if isinstance(content, bytes)]


def try_read_files(
    filesystem: fsspec.AbstractFileSystem, root: str, paths: Sequence[str]
) -> list[bytes | OSError]:
    """Return the content of files below a folder, in order, or why one cannot be read."""

    def try_read(some: Sequence[str]) -> list[bytes | OSError]:
        contents: list[bytes | OSError] = []
        for path in some:
            try:
                contents.append(read_file(filesystem, f"{root}/{path}"))
            except OSError as error:
                contents.append(error)
        return contents

    return read_in_parts(try_read, paths, READERS, alone=is_local(filesystem))


def _walk(folder: str, below: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and facts of each file below a local folder, at a fifth of the cost of fsspec.

    A folder that may not be read, or a file that vanishes meanwhile, is left out. Names are those
    of `encode_name`. A link counts as
    a file of its target's size.
    """
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{below}{encode_name(entry.name)}/")
        elif facts := _stat(entry):
            yield below + encode_name(entry.name), facts


def _stat(entry: os.DirEntry[str]) -> dict[str, Any] | None:
    try:
        own = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    size = own.st_size
    if entry.is_symlink():
        try:
            size = entry.stat().st_size
        except OSError:  # a link to nothing
            size = 0
    return {"size": size, "mtime": own.st_mtime}


def _is_image(path: str) -> bool:
    hidden = "/." in f"/{path}" or "/__MACOSX" in f"/{path}"
    return path.lower().endswith(IMAGE_SUFFIXES) and not hidden
