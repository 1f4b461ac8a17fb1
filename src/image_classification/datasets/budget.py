"""What a copy may still cost: bytes, minutes, and the space that is left on the disk."""

from __future__ import annotations

import errno
import shutil
import time
from pathlib import Path

import fsspec

from image_classification.datasets.file import is_local
from image_classification.errors import DataError
from image_classification.intake.limit import GIB, ArrivalLimits


class BudgetError(DataError):
    """A batch costs more than is allowed to copy or unpack."""


class Budget:
    """Counts what is written of one batch; each limit is checked before the next file."""

    def __init__(
        self, limits: ArrivalLimits, filesystem: fsspec.AbstractFileSystem, root: str
    ) -> None:
        """Begin to count; `root` is the folder that is written to."""
        self._limits = limits
        self._root = root if is_local(filesystem) else None
        self._began = time.monotonic()
        self._bytes = 0

    def check_space(self, size: int) -> None:
        """Check that a disk has room for so many bytes more.

        Raises:
            OSError: it has not. Another try may succeed.
        """
        if self._root is None:
            return
        folder = Path(self._root)
        while not folder.exists():
            folder = folder.parent
        free, spare = shutil.disk_usage(folder).free, self._limits["minimum_free_gib"]
        if size > free - spare * GIB:
            raise OSError(
                errno.ENOSPC,
                f"{size / GIB:.2f} GiB are to be written and {free / GIB:.2f} GiB are free, of "
                f"which {spare:g} must stay free (arrival.minimum_free_gib)",
            )

    def spend(self, size: int) -> None:
        """Check that a file of so many bytes may be written.

        Raises:
            BudgetError: so many bytes, or minutes, are not allowed.
            OSError: the disk has no room for it.
        """
        self._bytes += size
        if self._bytes > self._limits["maximum_total_gib"] * GIB:
            raise BudgetError(
                f"more than {self._limits['maximum_total_gib']:g} GiB were written "
                "(arrival.maximum_total_gib)"
            )
        if time.monotonic() - self._began > 60 * self._limits["maximum_minutes"]:
            raise BudgetError(
                f"it took longer than {self._limits['maximum_minutes']:g} minutes "
                "(arrival.maximum_minutes)"
            )
        self.check_space(size)
