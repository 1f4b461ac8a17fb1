"""Image files below a folder."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pandas as pd

from image_classification.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
FILE_COLUMNS = ["path", "image_name", "label", "size_bytes"]
READERS = 16
"""Files read at the same time: a disk waits little, an object store long."""

LASTING_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What another try will not mend."""


def list_images(filesystem: fsspec.AbstractFileSystem, root: str) -> tuple[pd.DataFrame, int]:
    """Return the image files below a folder, and how many other files lie there.

    Returns:
        One row per image file, sorted by path: `path` (str, below the folder), `image_name` (str),
        `label` (str, the folder the file lies in, "" for the top), `size_bytes` (int).
    """
    filesystem.invalidate_cache()
    found = filesystem.find(root, detail=True)
    rows = []
    for path, info in found.items():
        below = posixpath.relpath(path, root)
        label = posixpath.basename(posixpath.dirname(below))
        rows.append((below, posixpath.basename(below), label, int(info["size"] or 0)))
    images = sorted(row for row in rows if _is_image(row[0]))
    return pd.DataFrame(images, columns=FILE_COLUMNS), len(rows) - len(images)


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
    if not len(paths):
        return []

    def read(path: str) -> bytes | OSError:
        try:
            return bytes(filesystem.cat_file(posixpath.join(root, path)))
        except OSError as error:
            return error

    with ThreadPoolExecutor(max_workers=min(READERS, len(paths))) as pool:
        return list(pool.map(read, paths))


def _is_image(path: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.split("/"))
    return path.lower().endswith(IMAGE_SUFFIXES) and not hidden
