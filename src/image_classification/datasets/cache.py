"""What an object store has given is kept on the disk of this machine, up to a bound."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import fsspec

from image_classification.datasets.file import (
    PARTIAL,
    is_local,
    list_entries,
    open_filesystem,
    read_file,
    write_whole,
)
from image_classification.errors import ConfigurationError

logger = logging.getLogger(__name__)

Read = TypeVar("Read")

GIB = 1024**3

CONTENT_KEYS = (
    *("ETag", "etag", "generation", "md5Hash"),
    *("mtime", "LastModified", "updated", "last_modified", "created"),
)
"""By what filesystems tell one content of a file from the next."""

ABANDONED_S = 3600
"""A file that is not whole after this time was left behind by a process that was killed."""

_folder, _limit_bytes = "", 10 * GIB


def use(folder: str, limit_gib: float) -> None:
    """Keep files, in this process, as the configuration says.

    Args:
        folder: on a disk of this machine; "" for one of this user below the temporary folder.
        limit_gib: how much is kept.

    Raises:
        ConfigurationError: the limit is not a number above 0.
    """
    global _folder, _limit_bytes  # as the address of MLflow, it is the process's
    if not isinstance(limit_gib, int | float) or not limit_gib > 0:
        raise ConfigurationError(
            f"conf/*/globals.yml: 'cache_gib' is a number of GiB above 0. Received: {limit_gib!r}."
        )
    _folder, _limit_bytes = folder, int(limit_gib * GIB)


def open_folder(name: str) -> Path:
    """Return a folder of the cache, which only this user can enter.

    Raises:
        ConfigurationError: it is somebody else's.
    """
    root = Path(_folder or Path(tempfile.gettempdir(), f"image-classification-{os.geteuid()}"))
    folder = root / name
    for place in (root, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.is_symlink() or place.stat().st_uid != os.geteuid():
            raise ConfigurationError(
                f"'{place}' belongs to another user, and so cannot keep what is read from the "
                "storage. Name another folder in IMAGE_CLASSIFICATION_CACHE."
            )
    return folder


def heed_forgotten(storage: str) -> None:
    """Empty the cache where somebody was forgotten since it was filled: it may hold their pixels.

    What is written down while somebody is being forgotten counts, too: what was fetched before the
    end goes after it.

    Args:
        storage: its root, a folder or an fsspec URL. Of a folder nothing is kept.
    """
    filesystem, root = open_filesystem(storage)
    if is_local(filesystem):
        return
    listed = list_entries(filesystem, f"{root}/forgotten")
    names = [entry["name"] for entry in listed if entry["name"].endswith(".json")]
    state = hashlib.sha256("\n".join(names).encode()).hexdigest() if names else ""
    mark = open_folder("forgotten") / hashlib.sha256(storage.encode()).hexdigest()
    if state != (mark.read_text() if mark.exists() else ""):
        shutil.rmtree(open_folder("files"), ignore_errors=True)
        mark.write_text(state)


def read_entry(filesystem: fsspec.AbstractFileSystem, entry: Mapping[str, Any]) -> bytes:
    """Return the content of a file that was listed; one of an object store is fetched once.

    Args:
        filesystem: where it lies.
        entry: as `list_entries` returns it.
    """
    if is_local(filesystem):
        return read_file(filesystem, entry["name"])
    return open_entry(filesystem, entry, Path.read_bytes)


def open_entry(
    filesystem: fsspec.AbstractFileSystem, entry: Mapping[str, Any], read: Callable[[Path], Read]
) -> Read:
    """Open a file that was listed, as a local one; one of an object store is fetched once.

    Args:
        filesystem: where it lies.
        entry: as `list_entries` returns it.
        read: opens or reads the local file. The file may lose its name afterwards.
    """
    if is_local(filesystem):
        return read(Path(entry["name"]))
    while True:
        path = _locate(filesystem, entry)
        fetched = not path.exists()
        if fetched:
            _fetch(filesystem, entry, path)
        with suppress(FileNotFoundError):  # another process made room
            os.utime(path)
            opened = read(path)
            if fetched:
                _make_room(path.parent)
            return opened


def read_by_digest(
    filesystem: fsspec.AbstractFileSystem,
    digests: Sequence[str],
    fetch: Callable[[Sequence[int]], list[bytes]],
) -> list[bytes]:
    """Return contents whose sha256 is known; what an object store holds is fetched once.

    Args:
        filesystem: where they lie.
        digests: the sha256 of each, in hexadecimal digits.
        fetch: reads the files at these places of `digests`. What it returns is not compared with
            its digest, and kept only where it has it.
    """
    if is_local(filesystem):
        return fetch(range(len(digests)))
    folder = open_folder("files")
    paths = [folder / hashlib.sha256(f"content {one}".encode()).hexdigest() for one in digests]
    found = [_read_kept(*pair) for pair in zip(paths, digests, strict=True)]
    missing = [place for place, content in enumerate(found) if content is None]
    fetched = dict(zip(missing, fetch(missing) if missing else (), strict=True))
    for place, content in fetched.items():
        if has_digest(content, digests[place]):
            write_whole(fsspec.filesystem("file"), str(paths[place]), content)
    if fetched:
        _make_room(folder)
    return [fetched[at] if content is None else content for at, content in enumerate(found)]


def has_digest(content: bytes, digest: str) -> bool:
    """Return whether this is the sha256 of a content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest() == digest


def _read_kept(path: Path, digest: str) -> bytes | None:
    """Return what is kept of a file, if it is whole."""
    try:
        content = path.read_bytes()
        os.utime(path)
    except FileNotFoundError:
        return None
    return content if has_digest(content, digest) else None


def forget_entry(filesystem: fsspec.AbstractFileSystem, entry: Mapping[str, Any]) -> None:
    """Let a file be fetched again: what is kept of it is not what was written."""
    if not is_local(filesystem):
        _locate(filesystem, entry).unlink(missing_ok=True)


def identify_content(
    filesystem: fsspec.AbstractFileSystem, entry: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return what tells one content of a file that was listed from another one."""
    if is_local(filesystem):
        status = Path(entry["name"]).stat()
        changes = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return (entry["name"], *map(str, changes))
    content = [str(entry.get(key)) for key in ("size", *CONTENT_KEYS)]
    return (filesystem.unstrip_protocol(entry["name"]), *content)


def _locate(filesystem: fsspec.AbstractFileSystem, entry: Mapping[str, Any]) -> Path:
    """Return the local place of one content of a file: another content has another one."""
    facts = repr(identify_content(filesystem, entry))
    return open_folder("files") / hashlib.sha256(facts.encode()).hexdigest()


def _fetch(filesystem: fsspec.AbstractFileSystem, entry: Mapping[str, Any], path: Path) -> None:
    aside = path.with_name(f"{uuid4().hex}{PARTIAL}")
    try:
        filesystem.get_file(entry["name"], str(aside))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _make_room(folder: Path) -> None:
    """Remove what was not used for longest, until no more is kept than allowed."""
    found = []
    now = time.time()
    with os.scandir(folder) as listing:
        for entry in listing:
            with suppress(FileNotFoundError):
                status = entry.stat()
                if not entry.name.endswith(PARTIAL) or now - status.st_mtime > ABANDONED_S:
                    found.append((status.st_mtime, status.st_size, entry.path))
    kept = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if kept <= _limit_bytes:
            return
        Path(path).unlink(missing_ok=True)
        kept -= size
