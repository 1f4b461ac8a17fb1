"""What a batch may still cost: bytes, minutes, and the space that is left on the disk."""

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
    """A batch costs more than is allowed."""


class Budget:
    """Counts what is written of one batch; each limit is checked before the next file."""

    def __init__(
        self,
        limits: ArrivalLimits,
        filesystem: fsspec.AbstractFileSystem,
        root: str,
        spent_s: float = 0.0,
    ) -> None:
        """Begin to count.

        Args:
            limits: the parameters `data_processing.arrival`.
            filesystem: what is written to.
            root: the folder that is written to.
            spent_s: what the batch has cost before, in seconds.
        """
        self._limits = limits
        self._root = root if is_local(filesystem) else None
        self._began = time.monotonic() - spent_s
        self._bytes = 0

    @property
    def spent_s(self) -> float:
        """What the batch has cost so far, in seconds."""
        return time.monotonic() - self._began

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
        self.check_time()
        self.check_space(size)

    def check_time(self) -> None:
        """Check that the batch may go on.

        Raises:
            BudgetError: so many minutes are not allowed.
        """
        if self.spent_s > 60 * self._limits["maximum_minutes"]:
            raise BudgetError(
                f"it took longer than {self._limits['maximum_minutes']:g} minutes "
                "(arrival.maximum_minutes)"
            )
