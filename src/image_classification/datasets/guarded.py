"""What lies in a folder that others may change: opened and removed there, and nowhere else.

Whoever may write there may put a link in the place of a folder or file after it was looked at. So
each step of the way is opened from the one before, and no link among them is followed.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from image_classification.datasets.file import (
    MAXIMUM_FILE_BYTES,
    NotRegularError,
    check_regular,
)


@contextmanager
def open_guarded(path: str, batch: str) -> Iterator[BinaryIO]:
    """Open a file of a batch, or the batch itself where it is a zip, to be read.

    Args:
        path: of the file. A link is followed as far as it stays within the batch.
        batch: the folder or zip, directly in the incoming folder.

    Raises:
        NotRegularError: it is a pipe, a socket, a device, or a link out of the batch.
        OSError: it cannot be opened, or something has taken the place of a folder meanwhile.
    """
    root, real = os.path.realpath(posixpath.dirname(batch)), os.path.realpath(path)
    own = posixpath.join(root, posixpath.basename(batch))
    if real != own and not real.startswith(f"{own}/"):
        raise NotRegularError("it is a link that leads out of its batch")
    with _enter(posixpath.dirname(real), root) as folder:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(posixpath.basename(real), flags, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        check_regular(os.fstat(handle))
        yield file


def read_guarded(path: str, batch: str) -> bytes:
    """Return the content of a file of a batch, at most one byte more than it had when opened."""
    with open_guarded(path, batch) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAXIMUM_FILE_BYTES:
            raise NotRegularError(f"it is {size} bytes: at most {MAXIMUM_FILE_BYTES} are allowed")
        return file.read(size + 1)


def remove_guarded(path: str, root: str) -> None:
    """Remove a file or link below a folder; what is neither, or lies behind a link, stays.

    Raises:
        OSError: it may not be removed.
    """
    try:
        with _enter(posixpath.dirname(path), root) as folder:
            name = posixpath.basename(path)
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                os.unlink(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return


@contextmanager
def _enter(folder: str, root: str) -> Iterator[int]:
    """Open a folder below another one, or that one."""
    names = Path(folder).relative_to(root).parts
    if ".." in names:
        raise NotADirectoryError(errno.ENOTDIR, "it leads out of its folder", folder)
    flags = os.O_RDONLY | os.O_DIRECTORY
    handle = os.open(root, flags)
    try:
        for name in names:
            below = os.open(name, flags | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)
