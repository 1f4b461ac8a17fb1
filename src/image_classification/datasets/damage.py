"""Files of the storage that cannot be read any more, and what can be done about each."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import fsspec

from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import (
    PARTIAL,
    exists,
    is_local,
    list_entries,
    move_file,
    open_filesystem,
    read_file,
    read_in_parts,
)
from image_classification.datasets.folder import find_files
from image_classification.datasets.parquet import decode_table
from image_classification.datasets.pixel import IDS, PackedPixels

ASIDE = "damaged"
"""Folder of the storage root in which repaired files are kept as they were found."""

MADE_AGAIN = {
    "pixels": "the next intake packs its images again",
    "index/images": "its rows are made again from the inspections",
    "index/inspections": "the next intake inspects the batch again",
    "index/screenings": "the next intake judges the batch again",
    "index/quarantine": "which files of the batch were refused stands in its inspections",
    "index/contract.json": "the next intake writes it",
    "hindsight": "the next look back scores its images again",
    "references": "the next watch measures the champion's labels again",
    "trend": "its nights are missing from the trend from now on",
    "pages": "the page of all nights tells this one as the ledger knows it",
}
"""What becomes of a file that is moved aside, by the beginning of its path."""

FOLDERS = ("index", "pixels", "hindsight", "images", "ledger", "pages", "references", "trend")
"""Folders of the storage root whose files are all read."""

ONLY_A_BACKUP = "it cannot be made again: restore it from a backup"

READERS_AT_ONCE = 16

READERS: dict[str, Callable[[bytes], object]] = {".parquet": decode_table, ".json": json.loads}


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written.

    Attributes:
        path: below the storage root.
        fault: what is wrong with it.
        remedy: what becomes of it by a repair, or who can help.
        can_repair: whether moving it aside mends it.
    """

    path: str
    fault: str
    remedy: str
    can_repair: bool


def find_damage(root: str) -> list[Damage]:
    """Return the files below a storage root that cannot be read, and shards that were changed.

    What runs have left for people, the store of MLflow and the images are not looked at here.

    Args:
        root: a folder or an fsspec URL.
    """
    filesystem, place = open_filesystem(root)
    names = [
        name
        for folder in FOLDERS
        for path in find_files(filesystem, f"{place}/{folder}")
        if _is_ours(name := f"{folder}/{path}")
    ]

    def look(some: Sequence[str]) -> list[str]:
        return [_try(filesystem, place, name) for name in some]

    faults = read_in_parts(look, names, READERS_AT_ONCE, alone=is_local(filesystem))
    found = [_describe(name, fault) for name, fault in zip(names, faults, strict=True) if fault]
    known = {damage.path for damage in found}
    shards = _find_shards(filesystem, place)
    return found + [damage for damage in shards if damage.path not in known]


def move_aside(root: str, damage: Damage) -> None:
    """Move a damaged file, and what belongs to it, out of the way; nothing is deleted."""
    filesystem, place = open_filesystem(root)
    names = [damage.path]
    if damage.path.startswith("pixels/"):
        stem = posixpath.splitext(damage.path)[0]
        names = [f"{stem}{IDS}", f"{stem}.npy"]
    for name in names:
        if exists(filesystem, f"{place}/{name}"):
            move_file(filesystem, f"{place}/{name}", f"{place}/{ASIDE}/{name}")


def _is_ours(name: str) -> bool:
    """Return whether a file is one of the system: of a batch, only what lies at its top is."""
    folder, *_, file = parts = name.split("/")
    is_whole = posixpath.splitext(file)[1] in READERS and PARTIAL not in file
    return is_whole and (folder != "images" or (len(parts) == 3 and file.startswith("_")))


def _try(filesystem: fsspec.AbstractFileSystem, root: str, name: str) -> str:
    """Return why a file cannot be read, or "".

    Raises:
        OSError: an object store does not give it, which says nothing of the file.
    """
    try:
        content = read_file(filesystem, f"{root}/{name}")
    except OSError as error:
        if not is_local(filesystem):
            raise
        return describe_error(error)
    try:
        READERS[posixpath.splitext(name)[1]](content)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of a library
        return describe_error(error)
    return ""


def _find_shards(filesystem: fsspec.AbstractFileSystem, root: str) -> Iterator[Damage]:
    packed = PackedPixels(f"{root}/pixels", filesystem)
    for entry in list_entries(filesystem, f"{root}/pixels"):
        size = posixpath.basename(entry["name"]).removesuffix("px")
        if size.isdigit():
            packed.image_ids(int(size))
            for shard, fault in (packed.cut | packed.find_damaged(int(size))).items():
                yield _describe(shard.removeprefix(f"{root}/"), fault)


def _describe(name: str, fault: str) -> Damage:
    remedy = next((what for begin, what in MADE_AGAIN.items() if name.startswith(begin)), "")
    return Damage(name, fault, remedy or ONLY_A_BACKUP, bool(remedy))
