"""Files that appear whole or not at all, on any filesystem that fsspec knows."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import fsspec

from image_classification.machine.place import spell_address

PARTIAL = ".partial"
"""Ending of a file or folder that is not whole yet."""

PIECE_BYTES = 2**16
"""Files are written in pieces of this size."""

LOCAL_PROTOCOLS = ("file", "local")

WRITERS = 16
"""Files that are written to an object store at the same time."""

TRIED_ALONE = 16
"""Files that are read without threads before it is decided whether threads help."""

FROM_MEMORY_S = 2e-4
"""Seconds a file: faster files come from memory (a few kB take a tenth of it), slower ones from a
disk or network."""

ESCAPED = re.compile(r"\\x([89a-f][0-9a-f]|5c)")
"""How a byte of a name that is not UTF-8 is written."""

MAXIMUM_FILE_BYTES = 256 * 1024**2
"""A larger file of a batch is not read: it may be a hole of any size."""

KINDS = {
    stat.S_ISDIR: "folder",
    stat.S_ISFIFO: "pipe",
    stat.S_ISSOCK: "socket",
    stat.S_ISCHR: "device",
    stat.S_ISBLK: "device",
}
"""What may lie in the place of a file."""

Asked = TypeVar("Asked")
Loaded = TypeVar("Loaded")


def open_filesystem(
    filepath: str, credentials: dict[str, Any] | None = None
) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the filesystem of a local path or fsspec URL, and the path on it.

    What an object store has listed is not kept: other machines write there, too.
    """
    protocol, path = "file", filepath
    if "://" in filepath:
        # Half a second, which no command that reads a folder must pay.
        from kedro.io.core import get_protocol_and_path  # noqa: PLC0415

        protocol, path = get_protocol_and_path(spell_address(filepath))
    options = {} if protocol in LOCAL_PROTOCOLS else {"use_listings_cache": False}
    return fsspec.filesystem(protocol, **options, **(credentials or {})), path.rstrip("/")


def is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Return whether the files lie on a disk of this machine, or one that it has mounted."""
    protocol = filesystem.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def exists(filesystem: fsspec.AbstractFileSystem, path: str) -> bool:
    """Return whether there is such a file or folder.

    fsspec's own `exists` and `isdir` take each error for a "no": an index that a store does not
    show for a moment would be begun anew.

    Raises:
        OSError: it cannot be told.
    """
    try:
        filesystem.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def list_entries(filesystem: fsspec.AbstractFileSystem, folder: str) -> list[dict[str, Any]]:
    """Return what the filesystem tells of all that lies directly in a folder, sorted by name.

    Of a local file this is its `name` alone, a path; of others also `type`, `size` and what tells
    one content from the next. A folder that does not exist holds nothing.

    Raises:
        OSError: it cannot be listed.
    """
    try:
        if is_local(filesystem):
            with os.scandir(folder) as listing:
                return [{"name": path} for path in sorted(entry.path for entry in listing)]
        listed: list[dict[str, Any]] = filesystem.ls(folder, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [entry | {"name": entry["name"].rstrip("/")} for entry in listed]
    return sorted(
        (entry for entry in found if entry["name"] != folder), key=lambda entry: entry["name"]
    )


def encode_name(name: str) -> str:
    r"""Return the name of a local file as text that tables can hold, and `decode_name` undoes.

    Bytes that are not UTF-8 become ``\xe9``. So does the backslash of a name that looks like it.
    """
    if name.isascii() and "\\x" not in name:
        return name
    escaped = ESCAPED.sub(lambda found: f"\\x5cx{found[1]}", name)
    return escaped.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def decode_name(path: str) -> str:
    """Return the path of a local file that `encode_name` was given; others stay as they are."""
    decoded = restore_name(path)
    if decoded == path:
        return path
    return decoded if os.path.lexists(decoded) or not os.path.lexists(path) else path


def restore_name(path: str) -> str:
    """Undo `encode_name`, wherever the path leads."""
    if "\\x" not in path:
        return path
    raw = path.encode("utf-8", "surrogateescape").decode("latin-1")
    content = ESCAPED.sub(lambda found: chr(int(found[1], 16)), raw)
    return os.fsdecode(content.encode("latin-1"))


class NotRegularError(OSError):
    """What lies in the place of a file is none: nothing is read of it, and nothing waits for it."""


def read_file(filesystem: fsspec.AbstractFileSystem, path: str, within: str | None = None) -> bytes:
    """Return the content of a file; a local one takes a fifth of the time that fsspec needs.

    Args:
        filesystem: where it lies.
        path: its path there.
        within: the folder that a link must not lead out of, and in which a file may not be larger
            than `MAXIMUM_FILE_BYTES`; None where whoever names the file may read all.

    Raises:
        NotRegularError: it is a pipe, a socket, a device, or a link out of the folder.
    """
    if not is_local(filesystem):
        return bytes(filesystem.cat_file(path))
    path = decode_name(path)
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        path = os.path.realpath(path)
        if not Path(path).exists():  # a circle of links leads nowhere, too
            raise NotRegularError("it is a link to a file that is not there")
        if within is not None and not lies_within(path, within):
            raise NotRegularError("it is a link that leads out of its batch")
        status = os.lstat(path)
    check_regular(status)
    if within is not None and status.st_size > MAXIMUM_FILE_BYTES:
        raise NotRegularError(
            f"it is {status.st_size} bytes: at most {MAXIMUM_FILE_BYTES} are allowed"
        )
    with open(path, "rb", buffering=0, opener=_open_at_once) as file:
        check_regular(os.fstat(file.fileno()))
        return file.readall()


def lies_within(path: str, folder: str) -> bool:
    """Return whether a local path, all links followed, lies below a folder."""
    return os.path.realpath(path).startswith(os.path.realpath(folder).rstrip("/") + "/")


def name_kind(mode: int) -> str:
    """Return what lies in the place of a file, by its mode; "" for a regular file."""
    return next((kind for test, kind in KINDS.items() if test(mode)), "")


def check_regular(status: os.stat_result) -> None:
    """Check that a status is that of a regular file.

    Raises:
        NotRegularError: it is that of something else.
    """
    if kind := name_kind(status.st_mode):
        raise NotRegularError(f"it is a {kind}, and no file")


def _open_at_once(path: str, flags: int) -> int:
    """Open a file as it is: where a pipe or a link has taken its place, do not wait or follow."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))


def read_in_parts(
    read: Callable[[Sequence[Asked]], list[Loaded]],
    paths: Sequence[Asked],
    readers: int,
    *,
    alone: bool = False,
) -> list[Loaded]:
    """Read many files, in order, with several threads if that helps.

    Args:
        read: reads some of the files.
        paths: the files, by their paths or as `list_entries` tells of them.
        readers: how many threads. Each gets a part of the files: to hand them over one by one
            takes as long as reading them.
        alone: start without threads, and do without them as long as the files come from memory.
            Threads would spend three times as long waiting for one another as reading.
    """
    contents: list[Loaded] = []
    while alone and len(contents) < len(paths):
        some = paths[len(contents) : len(contents) + TRIED_ALONE]
        began = time.perf_counter()
        contents += read(some)
        alone = time.perf_counter() - began < FROM_MEMORY_S * len(some)
    rest = paths[len(contents) :]
    if not len(rest):
        return contents
    size = -(-len(rest) // readers)
    parts = [rest[start : start + size] for start in range(0, len(rest), size)]
    with ThreadPoolExecutor(max_workers=len(parts)) as pool:
        return contents + [content for part in pool.map(read, parts) for content in part]


def create_file(
    filesystem: fsspec.AbstractFileSystem, path: str, content: bytes, mode: int = 0o666
) -> None:
    """Create a file that appears whole or not at all, once, and stays after a loss of power.

    On a disk it is written aside and linked to its name, which the operating system does once. An
    object store keeps the condition of the write, or was refused at the start (`check_store`).

    Args:
        filesystem: where it shall lie.
        path: of the file.
        content: of the file.
        mode: who may read and write a local file, less what the umask of the process takes away.

    Raises:
        FileExistsError: there is such a file, and it stays as it is. If a store's answer got lost,
            it may be this one.
    """
    if not is_local(filesystem):
        filesystem.pipe_file(path, content, mode="create")
        return
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f"{place.name}.{uuid4().hex}{PARTIAL}")
    try:
        opened = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, place)
    finally:
        aside.unlink(missing_ok=True)
    _flush(place.parent)


def write_many(filesystem: fsspec.AbstractFileSystem, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files as `write_whole` does, to an object store several at a time.

    Args:
        filesystem: where they shall lie.
        files: path and content of each; few are held at a time.
    """
    if is_local(filesystem):
        for path, content in files:
            write_whole(filesystem, path, content)
        return
    waiting: list[Future[None]] = []
    with ThreadPoolExecutor(max_workers=WRITERS) as pool:
        for path, content in files:
            waiting.append(pool.submit(write_whole, filesystem, path, content))
            if len(waiting) >= WRITERS:
                waiting.pop(0).result()
        for written in waiting:
            written.result()


def move_file(filesystem: fsspec.AbstractFileSystem, source: str, target: str) -> None:
    """Give a file another name; an object store may have it under both for a moment."""
    if is_local(filesystem):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(source).replace(target)
    else:
        filesystem.cp_file(source, target)
        filesystem.rm_file(source)


def write_lasting(filesystem: fsspec.AbstractFileSystem, path: str, content: bytes) -> None:
    """Write a file as `write_whole` does, and wait until a power cut would spare it."""
    write_whole(filesystem, path, content)
    if is_local(filesystem):
        _flush(Path(path))
        _flush(Path(path).parent)


def _flush(place: Path) -> None:
    """Wait until what is in a file or folder is on the disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(
    filesystem: fsspec.AbstractFileSystem, path: str, *parts: bytes | memoryview
) -> None:
    """Write a file, in one or more parts, that appears whole or not at all.

    An object store does so by itself. On a disk the file is written aside, and then renamed. A
    power cut may leave it cut or empty: whoever reads it has to notice.
    """
    if not is_local(filesystem):
        filesystem.pipe_file(path, b"".join(parts))
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # Its name must not be longer than that of the file may be.
    aside = Path(path).with_name(f"{uuid4().hex}{PARTIAL}")
    try:
        with aside.open("wb") as file:
            for part in parts:
                # For many megabytes in one piece, Linux takes up to six times as long to find room.
                for start in range(0, len(part), PIECE_BYTES):
                    file.write(part[start : start + PIECE_BYTES])
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
