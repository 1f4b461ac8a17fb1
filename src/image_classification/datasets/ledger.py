"""The ledger as files: each is created once, whole, and on the disk before anybody relies on it."""

from __future__ import annotations

import logging
import os
import posixpath
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec

from image_classification.champion.chain import Chain, read_chain
from image_classification.datasets.file import (
    PARTIAL,
    is_local,
    read_file,
    read_in_parts,
)

logger = logging.getLogger(__name__)

READERS = 8
"""Files that are read at the same time from an object store."""

KEY_BYTES = 32
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


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
        self._filesystem.invalidate_cache()
        if not self._filesystem.isdir(self._root):
            return {}
        listed = sorted(self._filesystem.ls(self._root, detail=False))
        paths = [
            path for path in listed if path.endswith(".json") and posixpath.basename(path) > after
        ]
        contents = read_in_parts(self._read_some, paths, READERS, alone=self.is_local)
        return {
            posixpath.basename(path): content
            for path, content in zip(paths, contents, strict=True)
            if not isinstance(content, FileNotFoundError)
        }

    def create(self, name: str, content: bytes) -> None:
        """Create a file, whole and on the disk when this returns.

        Raises:
            FileExistsError: there is such a file; it stays as it is.
        """
        path = posixpath.join(self._root, name)
        if self.is_local:
            create_file(Path(path), content)
        else:
            self._filesystem.pipe_file(path, content, mode="create")

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._filesystem.rm_file(posixpath.join(self._root, name))

    def read_key(self) -> bytes:
        """Return the key that names patients, from beside the ledger; make it at the first call.

        A local file is nobody else's to read. Where it is lost, patients get other names from then
        on; no entry changes.
        """
        path = posixpath.join(posixpath.dirname(self._root), "keys", "patients.key")
        if not self._filesystem.exists(path):
            key = secrets.token_hex(KEY_BYTES).encode()
            try:
                if self.is_local:
                    Path(path).parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
                    create_file(Path(path), key, PRIVATE_FILE)
                else:
                    self._filesystem.pipe_file(path, key, mode="create")
            except FileExistsError:
                logger.debug("Another process has made the key")
        return read_file(self._filesystem, path)

    def _read_some(self, paths: Any) -> list[bytes | OSError]:
        return [self._try_read(path) for path in paths]

    def _try_read(self, path: str) -> bytes | OSError:
        try:
            return read_file(self._filesystem, path)
        except OSError as error:
            return error


def create_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Create a local file that appears whole or not at all, and stays after a loss of power.

    It is written aside and linked to its name, which the operating system does once.

    Args:
        path: of the file.
        content: of the file.
        mode: who may read and write it, less what the umask of the process takes away.

    Raises:
        FileExistsError: there is such a file; it stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{uuid4().hex}{PARTIAL}")
    try:
        opened = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
