"""Copy a storage to another place, with the digest of each file, and back into an empty one."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from image_classification.datasets.file import (
    PARTIAL,
    decode_name,
    exists,
    is_local,
    list_entries,
    open_filesystem,
    read_file,
    restore_name,
    write_lasting,
)
from image_classification.datasets.folder import find_files
from image_classification.datasets.neighbour import find_marked
from image_classification.datasets.store import TRIAL
from image_classification.errors import DataError

LIST = "BACKUP.json"
"""Written last: a copy without it is not whole."""

PLACES = "backups.json"
"""File of a storage: where copies of it lie."""

FORGOTTEN = "forgotten"
"""Folder beside the copies, and in each storage: who is forgotten."""

FIRST = ("ledger", "index", "trend", "references", "hindsight", FORGOTTEN, "keys", "runs", "pages")
"""Folders that are copied first, since they name what lies in the others: that is there by then."""

LEFT_OUT = ("incoming", "mlflow", "index/.lock", "keys/signing.lock", PLACES, TRIAL)
"""What of a storage is not copied: locks, what has not been taken in, and what MLflow keeps, which
is copied by its own means."""

COPIERS = 8
PIECE_BYTES = 2**22
PRIVATE = "keys/"
ATTEMPTS = 5


@dataclass(frozen=True)
class Part:
    """A part of a copy.

    Attributes:
        name: of its folder in the copy.
        place: where it lies in use: a folder or an fsspec URL.
    """

    name: str
    place: str


def list_files(place: str) -> list[str]:
    """Return the paths of the files below a folder that belong into a copy, in their order."""
    filesystem, root = open_filesystem(place)
    files = find_files(filesystem, root)
    theirs = find_marked(files)  # projects with copies of their own, where they forget people, too
    found = [
        path
        for path, facts in files.items()
        if "kind" not in facts
        and PARTIAL not in path
        and not _is_left_out(path)
        and not path.startswith(theirs)
    ]
    order = {name: number for number, name in enumerate(FIRST)}
    return sorted(found, key=lambda path: (order.get(path.partition("/")[0], len(FIRST)), path))


def read_places(storage: str) -> list[str]:
    """Return where copies of a storage lie."""
    filesystem, root = open_filesystem(posixpath.join(storage, PLACES))
    try:
        places: list[str] = json.loads(read_file(filesystem, root))
    except FileNotFoundError:
        return []
    return places


def add_place(storage: str, place: str) -> None:
    """Remember where a copy of a storage lies."""
    if place not in (known := read_places(storage)):
        filesystem, root = open_filesystem(posixpath.join(storage, PLACES))
        write_lasting(filesystem, root, json.dumps([*known, place], indent=2).encode())


def _is_left_out(path: str) -> bool:
    return any(path == out or path.startswith((f"{out}/", f"{out}-")) for out in LEFT_OUT)


def write_backup(
    to: str, name: str, parts: Iterable[Part], dump: Callable[[Path], Path], aside: Path
) -> dict[str, Any]:
    """Write a copy; return what its list tells.

    The ledger and the database are copied together: if an entry is written meanwhile, both are
    copied again. All else only grows, and is copied after what names it.

    Args:
        to: the folder of all copies, a path or an fsspec URL.
        name: of this one.
        parts: the first is the storage.
        dump: writes a copy of the database into a folder, and returns the file.
        aside: a folder for that.

    Raises:
        DataError: there is such a copy, or the ledger does not rest.
        OSError: something cannot be read or written.
    """
    storage, *others = parts
    target, root = open_filesystem(posixpath.join(to, name))
    if exists(target, root):
        raise DataError(f"There is a copy already: '{to}/{name}'.")
    if is_local(target):
        Path(root).mkdir(mode=0o700, parents=True)
    files = _copy_decisions(storage, target, root, dump, aside)
    for part in (storage, *others):
        paths = [path for path in list_files(part.place) if f"{part.name}/{path}" not in files]
        files |= _copy(part.place, paths, target, posixpath.join(root, part.name), part.name)
    told = {"files": files, "parts": [part.name for part in (storage, *others)]}
    if is_local(target):
        os.sync()
    write_lasting(target, posixpath.join(root, LIST), json.dumps(told).encode())
    return told


def _copy_decisions(
    storage: Part,
    target: fsspec.AbstractFileSystem,
    root: str,
    dump: Callable[[Path], Path],
    aside: Path,
) -> dict[str, Any]:
    place = posixpath.join(storage.place, "ledger")
    for _ in range(ATTEMPTS):
        names = list_files(place)
        name = f"{storage.name}/ledger"
        files = _copy(place, names, target, posixpath.join(root, name), name)
        copy = dump(aside)
        if list_files(place) == names:
            folder = posixpath.join(root, "database")
            return files | _copy(str(aside), [copy.name], target, folder, "database")
        copy.unlink()
    raise DataError("Decisions are written all the time: try again when the night has ended.")


def find_backup(place: str) -> str:
    """Return the copy at a place: the place itself, or the newest whole one in it.

    Raises:
        DataError: there is none.
    """
    filesystem, root = open_filesystem(place)
    if exists(filesystem, posixpath.join(root, LIST)):
        return place
    names = [posixpath.basename(entry["name"]) for entry in list_entries(filesystem, root)]
    whole = [name for name in names if exists(filesystem, posixpath.join(root, name, LIST))]
    if not whole:
        raise DataError(
            f"There is no whole backup at '{place}': neither there nor in a folder of it lies "
            f"{LIST}, which `image-classification backup` writes last."
        )
    return posixpath.join(place, max(whole))


def read_list(backup: str) -> dict[str, Any]:
    """Return what the list of a copy tells."""
    filesystem, root = open_filesystem(backup)
    told: dict[str, Any] = json.loads(read_file(filesystem, posixpath.join(root, LIST)))
    return told


def find_obstacle(place: str) -> str:
    """Return a file that lies where a copy is to be restored, "" for none."""
    filesystem, root = open_filesystem(place)
    found = (path for path in find_files(filesystem, root) if path != TRIAL)
    return next((path for path in found if not path.startswith("logs/")), "")


def restore_part(backup: str, part: Part, told: Mapping[str, Any]) -> int:
    """Write a part of a copy to its place; return how many files.

    Raises:
        DataError: a file of the copy is gone, or is not what was copied.
    """
    source, root = open_filesystem(posixpath.join(backup, part.name))
    target, place = open_filesystem(part.place)
    before = f"{part.name}/"
    wanted = {
        path.removeprefix(before): facts
        for path, facts in told["files"].items()
        if path.startswith(before)
    }
    address = root if is_local(source) else str(source.unstrip_protocol(root))
    copied = _copy(address, wanted, target, place, part.name)
    for path, facts in wanted.items():
        found = copied.get(f"{before}{path}")
        if found != facts:
            raise DataError(
                f"The backup is damaged: '{before}{path}' is "
                f"{'gone' if found is None else 'not what was copied'}. Take another one; what was "
                f"restored to '{part.place}' is not whole: remove it."
            )
    return len(wanted)


def read_forgotten(place: str) -> dict[str, dict[str, Any]]:
    """Return who is forgotten, by the list in a folder."""
    filesystem, root = open_filesystem(posixpath.join(place, FORGOTTEN))
    found = {}
    for entry in list_entries(filesystem, root):
        name = posixpath.basename(entry["name"])
        if name.endswith(".json") and name.count(".") == 1:
            found[name.removesuffix(".json")] = json.loads(read_file(filesystem, entry["name"]))
    return found


def write_forgotten(place: str, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Add to the list in a folder who is forgotten."""
    filesystem, root = open_filesystem(posixpath.join(place, FORGOTTEN))
    for digest, record in records.items():
        path = posixpath.join(root, f"{digest}.json")
        write_lasting(filesystem, path, json.dumps(record, indent=2).encode())


def _copy(
    place: str,
    paths: Iterable[str],
    target: fsspec.AbstractFileSystem,
    folder: str,
    name: str,
) -> dict[str, Any]:
    """Copy files; return size and sha256 of each, by its path in the copy; none of what is gone."""
    source, root = open_filesystem(place)

    def copy(path: str) -> tuple[str, Any]:
        with suppress(FileNotFoundError):  # it was moved, or made anew, meanwhile
            return path, _copy_file(source, root, target, folder, path)
        return path, None

    with ThreadPoolExecutor(max_workers=COPIERS) as pool:
        return {
            f"{name}/{path}": facts for path, facts in pool.map(copy, paths) if facts is not None
        }


def _copy_file(
    source: fsspec.AbstractFileSystem,
    root: str,
    target: fsspec.AbstractFileSystem,
    folder: str,
    path: str,
) -> list[Any]:
    place = posixpath.join(root, path)
    place = decode_name(place) if is_local(source) else place
    below = restore_name(path) if is_local(target) else path
    to = posixpath.join(folder, below)
    if is_local(target):
        Path(to).parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open(place, "rb") as file, target.open(to, "wb") as copy:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            copy.write(piece)
    if is_local(target) and path.startswith(PRIVATE) and not path.endswith(".pub"):
        Path(to).chmod(0o600)
    return [size, digest.hexdigest()]
