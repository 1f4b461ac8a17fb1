"""The signing key of a storage that is an object store: made there once, copied to each worker."""

from __future__ import annotations

import hashlib
import posixpath
from contextlib import suppress

from image_classification.champion import signature
from image_classification.datasets.cache import open_folder
from image_classification.datasets.file import (
    create_file,
    is_local,
    open_filesystem,
    read_file,
    write_whole,
)


def find_key(place: str) -> str:
    """Return the local path of the private key that signs models, its public half beside it.

    Args:
        place: of the key. Where it is the URL of an object store, the key is copied to this
            machine; whoever comes first makes it there, with the public half beside it, as
            ``.pub``.
    """
    filesystem, path = open_filesystem(place)
    if is_local(filesystem):
        return place
    try:
        private = read_file(filesystem, path)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another worker was faster
            create_file(filesystem, path, signature.make_private_key())
        private = read_file(filesystem, path)
        public = signature.derive_public_key(private)
        write_whole(filesystem, f"{posixpath.splitext(path)[0]}.pub", public)
    digest = hashlib.sha256(place.encode()).hexdigest()[:16]
    copy = open_folder("keys") / digest / posixpath.basename(path)
    signature.place_key(copy, private)
    return str(copy)
