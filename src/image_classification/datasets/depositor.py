"""Who has delivered a batch, as far as the operating system vouches for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def find_depositor(path: str) -> int | None:
    """Return the uid that owns a folder or zip and all that lies in it; None where nobody vouches.

    Nobody does where several users own parts of it, or where others than the owner may write to a
    part of it: they could have put another file, or another label, in the place of the owner's.
    For the same reason nobody does where anybody may rename what lies in the folder around it; a
    sticky bit, as that of /tmp, prevents it.
    """
    try:
        around = Path(path).parent.stat().st_mode
        if around & OTHERS_WRITE and not around & stat.S_ISVTX:
            return None
        owners = set()
        for status in _walk(path):
            # What a link itself may be used for depends on its owner alone.
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & OTHERS_WRITE:
                return None
            owners.add(status.st_uid)
    except OSError:
        return None
    return owners.pop() if len(owners) == 1 else None


def is_own(path: str) -> bool:
    """Tell whether a file is of its folder's owner, and nobody else could have put it there."""
    folder, file = Path(path).parent.lstat(), Path(path).lstat()
    return file.st_uid == folder.st_uid and not (file.st_mode | folder.st_mode) & OTHERS_WRITE


def name_user(uid: int) -> str:
    """Return a user as people know it, with the number that the system knows it by."""
    try:
        import pwd  # noqa: PLC0415 - there is none on Windows

        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except (ImportError, KeyError):
        return f"uid {uid}"


def _walk(path: str) -> Iterator[os.stat_result]:
    """Yield the status of a file or folder, and of all that lies below it; no link is followed."""
    status = Path(path).lstat()
    yield status
    folders = [path] if stat.S_ISDIR(status.st_mode) else []
    while folders:
        with os.scandir(folders.pop()) as listing:
            for entry in listing:
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
