"""Files of the storage that cannot be read any more, and what can be done about each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from image_classification.datasets.file import PARTIAL, open_filesystem
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
}
"""What becomes of a file that is moved aside, by the beginning of its path."""

FOLDERS = ("index", "pixels", "hindsight", "images", "ledger", "references", "trend")
"""Folders of the storage root whose files are all read."""

ONLY_A_BACKUP = "it cannot be made again: restore it from a backup"

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


def find_damage(root: Path) -> list[Damage]:
    """Return the files below a storage root that cannot be read, and shards that were changed.

    What runs have left for people, the store of MLflow and the images are not looked at here.
    """
    found = list(_find_unreadable(root))
    known = {damage.path for damage in found}
    return found + [damage for damage in _find_shards(root) if damage.path not in known]


def _find_unreadable(root: Path) -> Iterator[Damage]:
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            read = path.suffix in READERS and PARTIAL not in path.name and _is_ours(root, path)
            if read and (fault := _try(path)):
                yield _describe(root, path, fault)


def move_aside(root: Path, damage: Damage) -> None:
    """Move a damaged file, and what belongs to it, out of the way; nothing is deleted."""
    paths = [root / damage.path]
    if damage.path.startswith("pixels/"):
        stem = (root / damage.path).with_suffix("")
        paths = [stem.with_suffix(IDS), stem.with_suffix(".npy")]
    for path in paths:
        if path.exists():
            place = root / ASIDE / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)


def _is_ours(root: Path, path: Path) -> bool:
    """Return whether a file is one of the system: of a batch, only what lies at its top is."""
    parts = path.relative_to(root).parts
    return parts[0] != "images" or (len(parts) == 3 and path.name.startswith("_"))


def _try(path: Path) -> str:
    """Return why a file cannot be read, or ""."""
    try:
        READERS[path.suffix](path.read_bytes())
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of a library
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _find_shards(root: Path) -> Iterator[Damage]:
    filesystem, place = open_filesystem(str(root / "pixels"))
    for folder in sorted((root / "pixels").glob("*px")):
        packed = PackedPixels(place, filesystem)
        size_px = int(folder.name.removesuffix("px"))
        packed.image_ids(size_px)
        for shard, fault in (packed.cut | packed.find_damaged(size_px)).items():
            yield _describe(root, Path(shard), fault)


def _describe(root: Path, path: Path, fault: str) -> Damage:
    name = path.relative_to(root).as_posix()
    remedy = next((what for begin, what in MADE_AGAIN.items() if name.startswith(begin)), "")
    return Damage(name, fault, remedy or ONLY_A_BACKUP, bool(remedy))
