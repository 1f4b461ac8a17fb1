"""Image files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import fsspec

from image_classification import words
from image_classification.datasets.fault import LASTING_ERRNOS
from image_classification.datasets.file import (
    NotRegularError,
    encode_name,
    is_local,
    lies_within,
    name_kind,
    read_file,
    read_in_parts,
)
from image_classification.datasets.leftover import DEBRIS, HIDDEN, explain_left_out
from image_classification.datasets.neighbour import OF_ANOTHER, find_marked
from image_classification.errors import DataError
from image_classification.intake.forgotten import LEFT_OUT
from image_classification.text import escape_text, unify_text

if TYPE_CHECKING:
    import pandas as pd

FILE_COLUMNS = ["path", "image_name", "label", "size_bytes"]

READERS = 16
"""Files that are read at the same time: an object store lets each of them wait long."""

LASTING_ERRORS = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError),
    NotRegularError,
)
"""Errors of one file that trying again does not mend, beside those of `LASTING_ERRNOS`."""


MODIFIED_KEYS = ("mtime", "LastModified", "updated", "last_modified", "created")
"""What filesystems call the time of a change: local, S3, Google, Azure, memory."""

EARLIEST_S, LATEST_S = -(2.0**31), 2.0**37
"""Between these times, in seconds since 1970, a date has a year of four digits."""

CLOSED_FOLDER = "folder that cannot be opened"
CLOSED_FILE = "file that cannot be looked at"
BROKEN_LINK = "link to a file that is not there"
LINK_OUT = "link out of the batch"
LEADS_OUT = "name that leads out of the batch"
LINKED_FOLDER = "link to a folder"
FOLDER = "folder"
"""What may lie in a folder beside files, pipes, sockets and devices."""


def find_files(
    filesystem: fsspec.AbstractFileSystem, root: str, *, folders: bool = False
) -> dict[str, dict[str, Any]]:
    """Return what the filesystem tells of each file below a folder, sorted by its path there.

    This is always its `size` (bytes), and mostly the time of its last change. Of what is no
    regular file it is also the `kind`: a pipe, a link out of the folder, a folder that cannot be
    opened. A folder that does not exist has no files.

    Args:
        filesystem: where the folder lies.
        root: the folder.
        folders: tell of local folders, too: their paths end in "/", that of `root` is "/".
    """
    if is_local(filesystem):
        return dict(sorted(_walk(root, folders=folders)))
    found = filesystem.find(root, detail=True)
    return dict(_name_below(filesystem, root, path, info) for path, info in found.items())


def read_change(facts: Mapping[str, Any]) -> datetime | None:
    """Return when a file was changed last, by what its filesystem tells of it; None if unknown."""
    changed = next((facts[key] for key in MODIFIED_KEYS if facts.get(key)), None)
    if isinstance(changed, int | float):
        # A disk may hold times of any year.
        return datetime.fromtimestamp(min(max(changed, EARLIEST_S), LATEST_S), UTC)
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed.replace("Z", "+00:00"))
    if isinstance(changed, datetime):
        return changed if changed.tzinfo else changed.replace(tzinfo=UTC)
    return None


def list_images(
    filesystem: fsspec.AbstractFileSystem, root: str, others: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, int]:
    """Return the image files below a folder, and how many other files lie there.

    Args:
        filesystem: where the folder lies.
        root: the folder.
        others: what belongs to it and has no content there, and why, by path.

    Returns:
        One row per image file, sorted by path: `path` (str, below the folder), `image_name` (str),
        `label` (str, the folder the file lies in, "" for the top), `size_bytes` (int). Name and
        label are in the form in which names are compared, the path is as it is.
    """
    found = _find_all(filesystem, root, others)
    rows = []
    for path in sorted(path for path, facts in found.items() if not _explain(path, facts)):
        folder, _, name = path.rpartition("/")
        label = unify_text(folder.rpartition("/")[2])
        rows.append((path, unify_text(name), label, int(found[path]["size"] or 0)))
    import pandas as pd  # noqa: PLC0415 - nobody else here needs it

    return pd.DataFrame(rows, columns=FILE_COLUMNS), len(found) - len(rows)


def list_left_out(
    filesystem: fsspec.AbstractFileSystem, root: str, others: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """Return what `list_images` leaves out, as paths by kind, sorted.

    A kind is what lies in the place of a file, or what `explain_left_out` says of a name.
    """
    left: dict[str, list[str]] = {}
    for path, facts in _find_all(filesystem, root, others).items():
        if kind := _explain(path, facts):
            left.setdefault(kind, []).append(path)
    return dict(sorted(left.items()))


def describe_left_out(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for each kind of what is left out: how many, and the first name."""
    groups = words.current().groups
    return [
        f"Left out: {len(paths)} of {groups} who were forgotten, and removed."
        if kind == LEFT_OUT
        else f"Left out: {len(paths)} ({kind}), the first is '{escape_text(paths[0])}'."
        for kind, paths in left_out.items()
    ]


def read_files(
    filesystem: fsspec.AbstractFileSystem, root: str, paths: Sequence[str], *, apart: bool = False
) -> list[bytes]:
    """Return the content of files below a folder, in order, read several at a time.

    Args:
        filesystem: where they lie.
        root: the folder.
        paths: of the files, below it.
        apart: each folder directly below `root` is somebody else's: no link is followed out of it.

    Raises:
        DataError: a file cannot be read.
    """
    contents = try_read_files(filesystem, root, paths, apart=apart)
    for path, content in zip(paths, contents, strict=True):
        if isinstance(content, OSError):
            raise DataError(
                f"Image file '{path}' cannot be read from '{root}': {content}. Restore it, or give "
                "read access."
            ) from content
    return [content for content in contents if isinstance(content, bytes)]


def may_pass(error: OSError) -> bool:
    """Return whether trying again may mend what kept one file from being read."""
    return not isinstance(error, LASTING_ERRORS) and error.errno not in LASTING_ERRNOS


def try_read_files(
    filesystem: fsspec.AbstractFileSystem, root: str, paths: Sequence[str], *, apart: bool = False
) -> list[bytes | OSError]:
    """Return the content of files as `read_files` does, or why one cannot be read."""

    def try_read(some: Sequence[str]) -> list[bytes | OSError]:
        contents: list[bytes | OSError] = []
        for path in some:
            try:
                within = f"{root}/{path.partition('/')[0]}" if apart else None
                contents.append(read_file(filesystem, f"{root}/{path}", within))
            except OSError as error:
                contents.append(error)
        return contents

    return read_in_parts(try_read, paths, READERS, alone=is_local(filesystem))


def _find_all(
    filesystem: fsspec.AbstractFileSystem, root: str, others: Mapping[str, str] | None
) -> dict[str, dict[str, Any]]:
    absent = {path: {"size": 0, "kind": kind} for path, kind in (others or {}).items()}
    found = absent | find_files(filesystem, root)
    if folders := find_marked(found):
        for path, facts in found.items():
            if path.startswith(folders):
                found[path] = facts | {"kind": OF_ANOTHER}
    return found


def _name_below(
    filesystem: fsspec.AbstractFileSystem, root: str, path: str, info: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return an object's path below a folder as it is: a store may hold names with `..`."""
    below = path.removeprefix(f"{filesystem._strip_protocol(root).rstrip('/')}/")
    if not {"", ".", ".."}.isdisjoint(below.split("/")):
        return below, info | {"kind": LEADS_OUT}
    return below, info


def _walk(root: str, *, folders: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and facts of each file below a local folder, at a fifth of the cost of fsspec.

    A file that vanishes meanwhile is left out. Names are those of `encode_name`. A link counts as a
    file of its target's size, and no link to a folder is followed.
    """
    due = [(root, "")]
    while due:
        folder, below = due.pop()
        try:
            own = os.lstat(folder)
            with os.scandir(folder) as listing:
                entries = list(listing)
            if folders:
                yield below or "/", _tell(own) | {"size": 0, "kind": FOLDER}
        except FileNotFoundError:
            continue
        except OSError:
            yield below, {"size": 0, "mtime": 0.0, "kind": CLOSED_FOLDER}
            continue
        for entry in entries:
            path = below + encode_name(entry.name)
            if entry.is_dir(follow_symlinks=False):
                due.append((entry.path, f"{path}/"))
            elif facts := _stat(entry, root):
                yield path, facts


def _stat(entry: os.DirEntry[str], root: str) -> dict[str, Any] | None:
    try:
        own = entry.stat(follow_symlinks=False)
    except PermissionError:
        return {"size": 0, "mtime": 0.0, "kind": CLOSED_FILE}
    except OSError:
        return None
    size, kind = own.st_size, name_kind(own.st_mode)
    if entry.is_symlink():
        try:
            target = entry.stat()
        except OSError:
            size, kind = 0, BROKEN_LINK
        else:
            size, kind = target.st_size, name_kind(target.st_mode)
            if kind == "folder":
                kind = LINKED_FOLDER
            elif not kind and not lies_within(entry.path, root):
                kind = LINK_OUT
    facts = _tell(own) | {"size": size}
    return facts | {"kind": kind} if kind else facts


def _tell(status: os.stat_result) -> dict[str, Any]:
    """Return the times of a file: the one it carries, and the one of the file system itself."""
    return {"mtime": status.st_mtime, "ctime": status.st_ctime}


def _explain(path: str, facts: Mapping[str, Any]) -> str:
    """Return why something that was found is no image file, as a kind; "" where it is one."""
    kind = str(facts.get("kind", ""))
    if kind == OF_ANOTHER:
        return kind
    # A disk has closed folders of its own: lost+found, System Volume Information.
    reason = explain_left_out(path.rstrip("/"))
    if kind == CLOSED_FOLDER:
        return reason if reason == DEBRIS else kind
    return reason if reason in ("", DEBRIS, HIDDEN) else kind or reason
