"""What is remembered of deliveries that could not be moved out of the incoming folder."""

from __future__ import annotations

import json
import logging
import posixpath
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec

from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import exists, is_local, read_file, write_whole

if TYPE_CHECKING:
    from image_classification.datasets.arrival import IncomingBatch

logger = logging.getLogger(__name__)

TAKEN = ".removals"
"""Holds a record per delivery that was copied, or could not be, beside the batches taken in."""

LABELS = "labels.csv"
"""The file of a batch that says who labelled its images, and when."""


@dataclass(frozen=True)
class Delivery:
    """What is remembered of a folder or zip in the incoming folder.

    Attributes:
        files: what was taken in of it: size in bytes and the time that it carries, by path; the
            size alone where an older release wrote it down.
        before: what has changed on a disk since then, in seconds since 1970, came later.
        batch: the name of the batch that it was taken in as, the last one of several.
        fault: why it still lies there, or why it could not be taken in; "" for no reason.
        seen: what it looked like then, a digest.
        kept: what of `files` has no copy among the batches, and why, by path: it is not removed.
    """

    files: dict[str, Any] = field(default_factory=dict)
    before: float = 0.0
    batch: str = ""
    fault: str = ""
    seen: str = ""
    kept: dict[str, str] = field(default_factory=dict)

    def holds(self, path: str, size: int, carried: float | None) -> bool:
        """Return whether a file is one that was taken in."""
        return path in self.files and self.files[path] in (size, [size, carried])


class Deliveries:
    """The records, in a hidden folder beside the batches: no depositor writes there."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self._filesystem, self._root = filesystem, posixpath.join(root, TAKEN)

    def read(self, batch: IncomingBatch) -> Delivery | None:
        """Return what is remembered of a delivery, None for nothing."""
        path = self._locate(batch)
        try:
            known: dict[str, Any] = json.loads(read_file(self._filesystem, path))
            return Delivery(**known)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (PermissionError, ValueError, TypeError) as error:
            logger.warning("'%s' is read as no record at all: %s", path, describe_error(error))
            return None

    def write(self, batch: IncomingBatch, delivery: Delivery) -> None:
        """Remember a delivery."""
        write_whole(self._filesystem, self._locate(batch), json.dumps(asdict(delivery)).encode())

    def forget(self, batch: IncomingBatch) -> None:
        """Remove what is remembered: nothing of it lies in the incoming folder any more."""
        path = self._locate(batch)
        if exists(self._filesystem, path):
            self._filesystem.rm_file(path)
        if is_local(self._filesystem):
            with suppress(OSError):  # another one is remembered
                Path(self._root).rmdir()

    def _locate(self, batch: IncomingBatch) -> str:
        return posixpath.join(self._root, f"{batch.digest_of_name}.json")


def leave_out_taken(batch: IncomingBatch, known: Delivery | None) -> IncomingBatch:
    """Return a batch without the files that were taken in before: they become its `left` ones.

    Its `labels.csv` goes with files that came later: it may name them.
    """
    if known is None:
        return batch
    left = {
        path: size
        for path, size in batch.files.items()
        if known.holds(path, size, batch.carried.get(path))
    }
    new = {path: size for path, size in batch.files.items() if path not in left}
    if new:
        new |= {path: n for path, n in left.items() if posixpath.basename(path).lower() == LABELS}
    times = [time for path in new if (time := batch.carried.get(path)) is not None]
    changed_at = datetime.fromtimestamp(max(times), UTC) if times else None
    return replace(batch, files=new, left=batch.left | left, changed_at=changed_at, known=known)
