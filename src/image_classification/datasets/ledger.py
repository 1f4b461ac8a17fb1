"""The ledger as files: each is created once, whole, and on the disk before anybody relies on it."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Mapping
from typing import Any

import fsspec

from image_classification.champion.chain import Chain, name_record, read_chain
from image_classification.datasets.file import (
    create_file,
    is_local,
    list_entries,
    read_file,
    read_in_parts,
)
from image_classification.datasets.key import read_patient_key

logger = logging.getLogger(__name__)

READERS = 8
"""Files that are read at the same time from an object store."""


class LedgerFiles:
    """Every decision about the champion; `champion.journal` appends to it."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        """Prepare; nothing is read yet."""
        self._filesystem, self._root = filesystem, root

    @property
    def address(self) -> str:
        """The folder, or the URL."""
        return str(self._filesystem.unstrip_protocol(self._root))

    @property
    def is_local(self) -> bool:
        """Whether it is a folder."""
        return is_local(self._filesystem)

    def read(self) -> Chain:
        """Return what the files say together; a fault that nobody has accepted is logged."""
        chain = read_chain(self.read_files())
        for said in (*chain.faults, *chain.notes):
            if not chain.find_acceptance(said):
                logger.warning("Ledger: %s", said)
        return chain

    def read_files(self, after: str = "") -> Mapping[str, bytes | OSError]:
        """Return the content of each file by its name, or the error that reading it gave.

        Args:
            after: leave out the files up to this name.
        """
        listed = [entry["name"] for entry in list_entries(self._filesystem, self._root)]
        paths = [
            path for path in listed if path.endswith(".json") and posixpath.basename(path) > after
        ]
        contents = read_in_parts(self._read_some, paths, READERS, alone=self.is_local)
        found = {
            posixpath.basename(path): content
            for path, content in zip(paths, contents, strict=True)
            if not isinstance(content, FileNotFoundError)
        }
        if not self.is_local:
            stem = after.partition(".")[0]
            found |= self._find_unlisted(found, int(stem) + 1 if stem.isdigit() else 1)
        return dict(sorted(found.items()))

    def _find_unlisted(self, found: Mapping[str, Any], number: int) -> dict[str, bytes | OSError]:
        """Return the records that a list which lags behind does not name yet."""
        more: dict[str, bytes | OSError] = {}
        while True:
            if (name := name_record(number)) not in found:
                content = self._try_read(posixpath.join(self._root, name))
                if isinstance(content, FileNotFoundError):
                    return more
                more[name] = content
            number += 1

    def create(self, name: str, content: bytes) -> None:
        """Create a file, whole and on the disk when this returns.

        Raises:
            FileExistsError: there is such a file; it stays as it is.
        """
        create_file(self._filesystem, posixpath.join(self._root, name), content)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._filesystem.rm_file(posixpath.join(self._root, name))

    def read_key(self) -> bytes:
        """Return the key that names patients, from beside the ledger; make it at the first call."""
        return read_patient_key(self._filesystem, posixpath.dirname(self._root))

    def _read_some(self, paths: Any) -> list[bytes | OSError]:
        return [self._try_read(path) for path in paths]

    def _try_read(self, path: str) -> bytes | OSError:
        try:
            return read_file(self._filesystem, path)
        except OSError as error:
            return error
