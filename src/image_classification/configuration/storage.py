"""Who may enter the storage: nobody else, but for the folder where batches arrive."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from image_classification.errors import ConfigurationError

ENTER = 0o111
"""The bits of a folder by which one may pass through it, and list nothing."""


def read_mode(name: str, mode: str) -> int:
    """Return the mode of a folder.

    Args:
        name: of the key of `globals.yml`.
        mode: octal digits, such as "0700".

    Raises:
        ConfigurationError: it is no mode, or one that closes the folder to its owner.
    """
    if not re.fullmatch(r"0?[0-7]{3,4}", str(mode)) or int(mode, 8) & 0o700 != 0o700:
        raise ConfigurationError(
            f"conf/*/globals.yml: '{name}' is a folder's mode in octal digits, in quotes, which "
            f"leaves all to its owner: '0700', '2770', '0733'. Received: {mode!r}."
        )
    return int(mode, 8)


def close_storage(root: str, incoming: str, storage_mode: int, incoming_mode: int) -> None:
    """Close the storage to others, and open the folder where batches arrive as configured.

    What others own is left as it is. Where batches arrive below the root, others who may do so pass
    through the root, and can neither list it nor enter another folder of it.

    Args:
        root: of the storage, a folder; an address of another kind of storage is left alone.
        incoming: where batches arrive, likewise.
        storage_mode: of the root and of all folders in it but `incoming`; no folder is opened
            further than it is.
        incoming_mode: of `incoming`.
    """
    if "://" not in root:
        folder = Path(root)
        folder.mkdir(mode=storage_mode, parents=True, exist_ok=True)
        arrives_below = "://" not in incoming and Path(incoming).is_relative_to(folder)
        through = incoming_mode & ENTER if arrives_below else 0
        _limit(folder, storage_mode, through)
        if through & ~storage_mode:
            # Of what is made below the root from now on, too.
            os.umask(0o777 & ~storage_mode)
            for entry in folder.iterdir():
                if entry.is_dir() and not entry.is_symlink() and entry != Path(incoming):
                    _limit(entry, storage_mode)
    if "://" not in incoming:
        Path(incoming).mkdir(parents=True, exist_ok=True)
        _set(Path(incoming), incoming_mode)


def _limit(folder: Path, mode: int, more: int = 0) -> None:
    """Take from a folder what a mode does not grant, and grant `more`."""
    _set(folder, stat.S_IMODE(folder.stat().st_mode) & mode | more)


def _set(folder: Path, mode: int) -> None:
    found = folder.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != mode:
        folder.chmod(mode)
