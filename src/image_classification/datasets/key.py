"""The key of a storage, under which patients have pseudonyms and digests."""

from __future__ import annotations

import posixpath
import secrets
from contextlib import suppress
from pathlib import Path

import fsspec

from image_classification.datasets.file import create_file, exists, is_local, read_file

KEY_BYTES = 32
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def read_patient_key(filesystem: fsspec.AbstractFileSystem, root: str) -> bytes:
    """Return the key of a storage; make it at the first call.

    A local file is nobody else's to read. Where it is lost, patients get other names from then
    on; no entry of the ledger changes.

    Args:
        filesystem: where the storage lies.
        root: of the storage.
    """
    path = posixpath.join(root, "keys", "patients.key")
    if not exists(filesystem, path):
        key = secrets.token_hex(KEY_BYTES).encode()
        if is_local(filesystem):
            Path(path).parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster
            create_file(filesystem, path, key, PRIVATE_FILE)
    return read_file(filesystem, path)
