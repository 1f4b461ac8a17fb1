"""Places that variables name: with `~`, relative, or as a URL of a file."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlparse

UNUSABLE = re.compile(r"[?*\[]|%[0-9A-Fa-f]{2}")
"""What a path cannot hold: as an address of an SQLite file it would name another file, and fsspec
takes it for a pattern."""

SQLITE = "sqlite:///"

AZURE, AZURE_IN_FULL = "az://", "abfs://"
"""Two names of one store. Of an address with the first one Kedro (1.7.0) loses the container."""


def locate(given: str, base: Path) -> str:
    """Return the place that somebody has typed: an absolute path, or a URL.

    Args:
        given: a path, in which ``~`` is the home; relative to `base`; or a URL. One of a file
            (``file:///data``) is a path.
        base: the folder of the project.
    """
    given = given.strip()
    if given.startswith("file:"):
        given = unquote(urlparse(given).path)
    given = spell_address(given)
    return given if "://" in given else os.path.normpath(base / Path(given).expanduser())


def spell_address(address: str) -> str:
    """Return an address of Azure by the name that everybody reads; any other as it is."""
    if not address.startswith(AZURE):
        return address
    return f"{AZURE_IN_FULL}{address.removeprefix(AZURE)}"


def locate_store(given: str, base: Path) -> str:
    """Return the address of a tracking store; an SQLite file is named by its whole path."""
    given = given.strip()
    if not given.startswith(SQLITE) or "://" in (path := given.removeprefix(SQLITE)):
        return given
    return f"{SQLITE}{locate(path, base)}"


def open_own_folder(parent: Path) -> Path:
    """Return a folder of this user below a folder where everybody may write, as the temporary one.

    What somebody else has put there under that name is not used: another one is made then.
    """
    place = parent / f"image-classification-{os.geteuid()}"
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
        return place
    return Path(tempfile.mkdtemp(prefix="image-classification-", dir=parent))


def find_unusable(path: Path) -> str:
    """Return what in a path keeps data from being kept there, with the remedy, or ""."""
    if found := UNUSABLE.search(str(path)):
        return (
            f"its path holds '{found[0]}', which stands for something else in an address or a "
            "pattern. Use a folder whose path has none of '?', '*', '[', and no '%' before two "
            "hexadecimal digits."
        )
    return ""
