"""Find what a storage holds of one patient, and remove it: images, pixels, rows, pictures."""

from __future__ import annotations

import hashlib
import hmac
import json
import posixpath
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import fsspec
import numpy as np
import pandas as pd

from image_classification.datasets.arrival import MANIFEST, MARKERS
from image_classification.datasets.batch import ImageBatches
from image_classification.datasets.damage import ASIDE
from image_classification.datasets.file import (
    PARTIAL,
    decode_name,
    is_local,
    list_entries,
    open_filesystem,
    read_file,
    write_lasting,
)
from image_classification.datasets.folder import find_files
from image_classification.datasets.guarded import remove_guarded
from image_classification.datasets.label import parse_labels
from image_classification.datasets.parquet import decode_table
from image_classification.datasets.pixel import IDS, PackedPixels, PackedPixelsDataset, PixelShard
from image_classification.datasets.taken import LABELS
from image_classification.errors import DataError
from image_classification.figures import SUMMARY, choose_figures, redraw_figure
from image_classification.intake import index
from image_classification.intake.forgotten import LEFT_OUT
from image_classification.intake.scrub import LOOKED_AT, Person, scrub_content

APART = ("images", "incoming", "pixels", "keys", "ledger", "mlflow", "forgotten", ASIDE)
"""Folders of a storage that are not gone through file by file, as the others are."""


KNOWN = ["patient", "image_id", "image_name", "path"]
"""Columns by which a patient's images are found."""


@dataclass(frozen=True)
class Change:
    """Something that is of a patient, and what removes it.

    Attributes:
        kind: what it is, in the plural.
        place: where it lies.
        apply: removes it; to do so twice does no harm.
    """

    kind: str
    place: str
    apply: Callable[[], object]


class Storage:
    """A storage, of which one patient is to be removed."""

    def __init__(
        self,
        root: str,
        images: str,
        incoming: str,
        key: bytes,
        read_patient: Callable[[str], str],
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            root: of the storage, a folder or an fsspec URL.
            images: the folder of the batches taken in.
            incoming: where batches arrive.
            key: of the storage.
            read_patient: returns the patient that the name of a file tells, "" for none.
        """
        self._filesystem, self._root = open_filesystem(root)
        self._batches = ImageBatches(*reversed(open_filesystem(images)))
        self._incoming = open_filesystem(incoming)
        self._key, self._read_patient = key, read_patient

    def find_person(self, patient: str, pseudonym: str) -> Person:
        """Return what is known of a patient's images: from index, inspections and file names."""
        known = self._read_known()
        own = known[known["patient"] == patient]
        # The digest of nothing is that of all files that could not be opened.
        ids = set(own["image_id"]) - {hashlib.sha256(b"").hexdigest()}
        # The same image may have come under another name, too.
        paths = {*own["path"], *known.loc[known["image_id"].isin(ids), "path"]}
        others = set(known.loc[known["patient"] != patient, "image_name"])
        names = set(own["image_name"]) - others
        for filesystem, root in ((self._batches.filesystem, self._batches.root), self._incoming):
            found = map(posixpath.basename, find_files(filesystem, root))
            names.update(name for name in found if self._read_patient(name) == patient)
        return Person(patient, pseudonym, *map(frozenset, (ids, names, paths)))

    def list_patients(self) -> set[str]:
        """Return the names of all patients that the storage knows."""
        return set(self._read_known()["patient"].dropna())

    def _read_known(self) -> pd.DataFrame:
        """Return what index and inspections know of each file; what is damaged is left out."""
        parts = [pd.DataFrame(columns=KNOWN)]
        for folder in ("index/images", "index/inspections"):
            for entry in list_entries(self._filesystem, f"{self._root}/{folder}"):
                with suppress(OSError, ValueError, KeyError):
                    table = decode_table(read_file(self._filesystem, entry["name"]))
                    parts.append(table[KNOWN])
        return pd.concat(parts, ignore_index=True).drop_duplicates()

    def list_closed(self) -> list[str]:
        """Return the zips that lie there as they came: nobody has looked into them."""
        places = ((self._batches.filesystem, self._batches.root), self._incoming)
        return [
            f"{root}/{path}"
            for filesystem, root in places
            for path in find_files(filesystem, root)
            if path.lower().endswith(".zip")
        ]

    def find_changes(self, person: Person) -> Iterator[Change]:
        """Yield what is of a patient: what was made of the images first, the index last."""
        yield from self._find_derived(person)
        yield from self._find_pixels(person)
        yield from self._find_images(person)
        yield from self._find_files("index", person)
        yield from self._find_counts(person)

    def _find_derived(self, person: Person) -> Iterator[Change]:
        for entry in list_entries(self._filesystem, self._root):
            name = posixpath.basename(entry["name"])
            if name not in (*APART, "index"):
                yield from self._find_files(name, person)
        for path in find_files(self._filesystem, f"{self._root}/{ASIDE}"):
            place = f"{self._root}/{ASIDE}/{path}"
            yield Change("damaged files", place, partial(self._remove, place))

    def _find_files(self, folder: str, person: Person) -> Iterator[Change]:
        """Yield the files below a folder that tell of a patient; of each folder the figures first.

        Whoever is killed then still finds the tables by which it is known what figures show.
        """
        found: dict[str, list[str]] = {}
        for path in find_files(self._filesystem, f"{self._root}/{folder}"):
            above, _, name = path.rpartition("/")
            found.setdefault(above, []).append(name)
        for above, names in found.items():
            place = f"{self._root}/{folder}/{above}".rstrip("/")
            changes = list(self._scrub_files(place, names, person))
            told = [change.place for change in changes]
            summary = self._read_text(f"{place}/{SUMMARY}") if SUMMARY in names else ""
            for name in choose_figures(names, told, summary, person.batches):
                yield Change("figures", f"{place}/{name}", partial(self._redraw, place, name))
            yield from changes

    def _scrub_files(self, folder: str, names: list[str], person: Person) -> Iterator[Change]:
        for name in names:
            place = f"{folder}/{name}"
            if PARTIAL in name:
                yield Change("unfinished files", place, partial(self._remove, place))
            elif name.endswith(LOOKED_AT):
                content = read_file(self._filesystem, place)
                if (scrubbed := scrub_content(name, content, person)) != content:
                    write = partial(write_lasting, self._filesystem, place, scrubbed)
                    yield Change("tables, records and pages", place, write)

    def _redraw(self, folder: str, name: str) -> None:
        known = None
        with suppress(OSError, ValueError):
            known = json.loads(self._read_text(f"{folder}/decision.json"))
        write_lasting(self._filesystem, f"{folder}/{name}", redraw_figure(name, known))

    def _read_text(self, path: str) -> str:
        return read_file(self._filesystem, path).decode("utf-8", "replace")

    def _find_pixels(self, person: Person) -> Iterator[Change]:
        for entry in list_entries(self._filesystem, f"{self._root}/pixels"):
            for file in list_entries(self._filesystem, entry["name"]):
                if not file["name"].endswith(IDS):
                    continue
                with suppress(DataError, ValueError, KeyError):
                    ids = decode_table(read_file(self._filesystem, file["name"]))["image_id"]
                    if not person.image_ids.isdisjoint(ids):
                        repack = partial(self._repack, file["name"], person)
                        yield Change("shards of pixels", file["name"], repack)

    def _repack(self, path: str, person: Person) -> None:
        """Write a shard without the images of a patient, then remove the one that has them."""
        folder = posixpath.dirname(path)
        size_px = int(posixpath.basename(folder).removesuffix("px"))
        root = posixpath.dirname(folder)
        ids = decode_table(read_file(self._filesystem, path))["image_id"].tolist()
        kept = [image_id for image_id in ids if image_id not in person.image_ids]
        packed = PackedPixels(root, self._filesystem)
        with suppress(DataError):  # it was damaged: the next intake packs the others again
            pixels = np.array(packed.read(kept, size_px))
            address = str(self._filesystem.unstrip_protocol(root))
            place = root if is_local(self._filesystem) else address
            PackedPixelsDataset(filepath=place).save(PixelShard(kept, pixels))
        # The ids last: by them whoever follows a kill finds what is left.
        self._remove(f"{path.removesuffix(IDS)}.npy")
        self._remove(path)

    def _find_images(self, person: Person) -> Iterator[Change]:
        filesystem, root = self._batches.filesystem, self._batches.root
        for entry in list_entries(filesystem, root):
            batch = posixpath.basename(entry["name"])
            if find_theirs(self._batches, batch, person.owns_path):
                purge = partial(
                    purge_batch, self._batches, batch, person.owns_path, self._key, person
                )
                yield Change("batches", entry["name"], purge)
        filesystem, root = self._incoming
        for path in find_files(filesystem, root):
            if posixpath.basename(path) in person.image_names:
                remove = partial(_remove_file, filesystem, root, path)
                yield Change("files that have arrived", path, remove)

    def _find_counts(self, person: Person) -> Iterator[Change]:
        """Yield the screenings whose counts are not those of their inspections any more."""
        for entry in list_entries(self._filesystem, f"{self._root}/index/screenings"):
            batch = posixpath.basename(entry["name"]).removesuffix(".json")
            with suppress(DataError, OSError, ValueError, KeyError):
                record = json.loads(read_file(self._filesystem, entry["name"]))
                place = f"{self._root}/index/inspections/{batch}.parquet"
                table = decode_table(read_file(self._filesystem, place))
                left = count_left_out(self._batches, batch).get(LEFT_OUT, 0)
                theirs = int((table["patient"] == person.patient).sum())
                if left == record.get("left_out", {}).get(LEFT_OUT, 0) and not theirs:
                    continue
                yield Change("counts of batches", entry["name"], partial(self._recount, batch))

    def _recount(self, batch: str) -> None:
        place = f"{self._root}/index/screenings/{batch}.json"
        record = json.loads(read_file(self._filesystem, place))
        table = decode_table(
            read_file(self._filesystem, f"{self._root}/index/inspections/{batch}.parquet")
        )
        usable = index.select_usable(table)
        record |= {
            "files": len(table),
            "refused": int((table["refusal"] != "").sum()),
            "images": len(usable),
            "patients": int(usable["patient"].nunique()),
            "left_out": count_left_out(self._batches, batch),
        }
        write_lasting(self._filesystem, place, json.dumps(record, indent=2).encode())

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._filesystem.rm_file(path)


def find_theirs(batches: ImageBatches, batch: str, owns: Callable[[str], bool]) -> list[str]:
    """Return the files of a batch that are of a forgotten patient, below it.

    Args:
        batches: those taken in.
        batch: its folder.
        owns: returns whether a file is theirs, by its path, which begins with the batch.
    """
    files = find_files(batches.filesystem, posixpath.join(batches.root, batch))
    return [
        path
        for path, facts in files.items()
        if path not in MARKERS and "kind" not in facts and owns(f"{batch}/{path}")
    ]


def purge_batch(
    batches: ImageBatches,
    batch: str,
    owns: Callable[[str], bool],
    key: bytes,
    person: Person | None = None,
) -> int:
    """Remove the files of forgotten patients from a batch; return how many there were.

    How many they are is written down first, so that the numbers of the batch go on adding up.

    Args:
        batches: those taken in.
        batch: its folder.
        owns: returns whether a file is theirs, by its path, which begins with the batch.
        key: of the storage: what was removed is remembered by keyed digests.
        person: who is sought by more than the names of files.
    """
    filesystem, folder = batches.filesystem, posixpath.join(batches.root, batch)
    theirs = find_theirs(batches, batch, owns)
    if not theirs:
        return 0
    _note_removal(batches, batch, theirs, key)
    sought = person or Person("\0", LEFT_OUT)
    for path in find_files(filesystem, folder):
        # Who labelled them, and what else tells of them.
        if posixpath.basename(path).lower() == LABELS or path == MANIFEST:
            content = read_file(filesystem, f"{folder}/{path}")
            listed = [name for name in _list_labelled(content) if owns(f"{batch}/{name}")]
            names = sought.image_names.union(listed, map(posixpath.basename, theirs))
            whole = replace(sought, image_names=names)
            if (scrubbed := scrub_content(path, content, whole)) != content:
                write_lasting(filesystem, f"{folder}/{path}", scrubbed)
    for path in theirs:
        _remove_file(filesystem, folder, path)
    return len(theirs)


def _list_labelled(content: bytes) -> list[str]:
    """Return the names in a table of labels; none where it is no such table."""
    with suppress(ValueError, KeyError):
        names: list[str] = parse_labels(content)["image_name"].tolist()
        return names
    return []


def _note_removal(batches: ImageBatches, batch: str, paths: list[str], key: bytes) -> None:
    place = posixpath.join(batches.root, batch, MANIFEST)
    try:
        manifest: dict[str, Any] = json.loads(read_file(batches.filesystem, place))
    except FileNotFoundError:  # it was never taken in whole
        return
    digests = {hmac.new(key, path.encode(), hashlib.sha256).hexdigest()[:16] for path in paths}
    manifest[LEFT_OUT] = sorted(digests.union(manifest.get(LEFT_OUT, [])))
    write_lasting(batches.filesystem, place, json.dumps(manifest, indent=2).encode())


def count_left_out(batches: ImageBatches, batch: str) -> dict[str, int]:
    """Return how many files of a batch are left out, by kind, those that were removed too."""
    return {kind: len(paths) for kind, paths in batches.list_left_out(batch).items()}


def _remove_file(filesystem: fsspec.AbstractFileSystem, folder: str, path: str) -> None:
    """Remove a file; where a link has taken the place of a folder, it is not followed."""
    place = posixpath.join(folder, path)
    if is_local(filesystem):
        remove_guarded(decode_name(place), folder)
    else:
        with suppress(FileNotFoundError):
            filesystem.rm_file(place)
