"""Images that arrive at a storage root."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from image_classification.datasets.file import open_filesystem, write_whole


def deliver_cells(cells: Path, storage: Path, batch: str = "first") -> None:
    """Put images into the incoming folder of a storage root, ready to be taken in."""
    shutil.copytree(cells, storage / "incoming" / batch, copy_function=os.link)
    (storage / "incoming" / batch / "_READY").touch()


def put_files(root: str, *names: str) -> None:
    """Put files below a folder or a bucket, each with its name as its content."""
    filesystem, path = open_filesystem(root)
    for name in names:
        write_whole(filesystem, f"{path}/{name}", name.encode())
