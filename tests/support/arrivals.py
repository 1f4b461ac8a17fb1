"""Images that arrive at a storage root."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def deliver_cells(cells: Path, storage: Path, batch: str = "first") -> None:
    """Put images into the incoming folder of a storage root, ready to be taken in."""
    shutil.copytree(cells, storage / "incoming" / batch, copy_function=os.link)
    (storage / "incoming" / batch / "_READY").touch()
