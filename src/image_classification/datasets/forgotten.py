"""The list of the forgotten patients: a record each, which tells no name."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Any, Never

import fsspec
from kedro.io import DatasetError

from image_classification.champion.repackage import DIGESTS as LAST
from image_classification.datasets.dataset import FilesystemDataset
from image_classification.datasets.file import (
    create_file,
    exists,
    list_entries,
    read_file,
    write_lasting,
)
from image_classification.datasets.key import PRIVATE_FILE, read_patient_key
from image_classification.datasets.record import Records
from image_classification.intake.forgotten import Forgotten, digest_patient

WORK = ".work.json"
"""Ending of what is written down while a patient is being forgotten; it is removed at the end."""


class PackageShelf:
    """Files of packages that are made anew, in a folder for each model."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self._filesystem, self._root = filesystem, root

    def read(self, model_id: str) -> dict[str, bytes] | None:
        """Return the files that were put aside for a model, or None."""
        entries = list_entries(self._filesystem, posixpath.join(self._root, model_id))
        found = {
            posixpath.basename(entry["name"]): read_file(self._filesystem, entry["name"])
            for entry in entries
        }
        return found if LAST in found else None

    def write(self, model_id: str, files: Mapping[str, bytes]) -> None:
        """Put files aside for a model, all of them or none: `LAST` says that they are whole."""
        for name in sorted(files, key=lambda name: name == LAST):
            path = posixpath.join(self._root, model_id, name)
            write_lasting(self._filesystem, path, files[name])

    def remove(self, model_id: str) -> None:
        """Remove what was put aside for a model."""
        self._filesystem.rm(posixpath.join(self._root, model_id), recursive=True)


class ForgottenDataset(FilesystemDataset[Never, Forgotten]):
    """A folder with a record for each patient who is forgotten, beside the key of the storage.

    A record is named by the digest of the patient's name, and tells when, by whom and why. While
    the work goes on, a second file names what is sought: whoever is killed is followed by one who
    reads it.
    """

    def load(self) -> Forgotten:
        """Return who is forgotten."""
        digests = frozenset(self.read_records())
        return Forgotten(digests, self.read_key()) if digests else Forgotten()

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: `image-classification forget` adds to the list."""
        raise DatasetError("The list of the forgotten is kept by `image-classification forget`.")

    def read_key(self) -> bytes:
        """Return the key of the storage, which makes the digests."""
        return read_patient_key(self._filesystem, posixpath.dirname(self._root))

    def read_records(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each, by digest: `pseudonym`, `at`, `by`, `reason`, `done_at`."""
        found = Records(self._root, self._filesystem)
        return {name: found[name] for name in found if "." not in name}

    def add(self, patient: str, record: Mapping[str, Any]) -> str:
        """Add a patient, unless they are there; return the digest of their name."""
        digest = digest_patient(patient, self.read_key())
        if not exists(self._filesystem, self._locate(f"{digest}.json")):
            self._write(f"{digest}.json", record)
        return digest

    def read_work(self, digest: str) -> dict[str, Any] | None:
        """Return what was written down while this patient was being forgotten, or None."""
        try:
            work: dict[str, Any] = json.loads(
                read_file(self._filesystem, self._locate(f"{digest}{WORK}"))
            )
        except FileNotFoundError:
            return None
        return work

    def write_work(self, digest: str, work: Mapping[str, Any]) -> None:
        """Write down what is sought, readable for nobody else; it stays until `finish`."""
        content = json.dumps(work).encode()
        create_file(self._filesystem, self._locate(f"{digest}{WORK}"), content, PRIVATE_FILE)

    def note_package(self, digest: str, model_id: str, digests: Mapping[str, str]) -> None:
        """Add to it that a packaged model was made anew."""
        work = self.read_work(digest) or {}
        work["packages"] = {**work.get("packages", {}), model_id: dict(digests)}
        self._write(f"{digest}{WORK}", work)

    def finish(self, digest: str, done_at: str) -> None:
        """Note that nothing of a patient is left, and remove what was written down meanwhile."""
        self._write(f"{digest}.json", self.read_records()[digest] | {"done_at": done_at})
        self._filesystem.rm_file(self._locate(f"{digest}{WORK}"))

    @property
    def shelf(self) -> PackageShelf:
        """Where packages that are made anew lie until they are uploaded."""
        return PackageShelf(self._filesystem, self._locate("packages"))

    def list_unfinished(self) -> list[str]:
        """Return the digests of those whose forgetting was begun and not ended."""
        names = [posixpath.basename(e["name"]) for e in list_entries(self._filesystem, self._root)]
        begun = {name.removesuffix(WORK) for name in names if name.endswith(WORK)}
        open_ = {digest for digest, one in self.read_records().items() if not one.get("done_at")}
        return sorted(begun | open_)

    def _write(self, name: str, record: Mapping[str, Any]) -> None:
        content = json.dumps(record, indent=2).encode()
        write_lasting(self._filesystem, self._locate(name), content)

    def _locate(self, name: str) -> str:
        return posixpath.join(self._root, name)
