"""Looks at the incoming folder: since when has what is seen of a batch not changed?"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import NamedTuple

import fsspec

from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import write_whole

logger = logging.getLogger(__name__)


class Look(NamedTuple):
    """What one look at a batch told; times are seconds since 1970, by the clock of the system.

    Attributes:
        seen: a digest of the names, sizes and times of all that lies in the batch.
        unchanged_since: when it came to look like this, at the latest.
        looked_at: the time of this look.
    """

    seen: str
    unchanged_since: float
    looked_at: float


def compare_looks(before: Look | None, seen: str, changed_at: float | None, now: float) -> Look:
    """Return the look of now.

    Args:
        before: the last look at this batch, None for the first one.
        seen: what is seen now.
        changed_at: the time that the file system itself gives to the newest change, which no
            program can set; None where it gives none. It counts as a look.
        now: the time.
    """
    if before is not None and before.seen == seen and before.unchanged_since <= now:
        return Look(seen, before.unchanged_since, now)
    # What has changed since the last look has not changed before it, whatever a foreign clock says.
    earliest = float("-inf") if before is None else min(before.looked_at, now)
    trusted = changed_at is not None and earliest <= changed_at <= now
    return Look(seen, changed_at if trusted and changed_at is not None else now, now)


def read_looks(filesystem: fsspec.AbstractFileSystem, path: str) -> dict[str, Look]:
    """Return the last look at each batch, by the digest of its name; none where none is kept."""
    try:
        kept = json.loads(filesystem.cat_file(path))
        return {
            name: Look(str(seen), float(since), float(at))
            for name, (seen, since, at) in kept.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("'%s' is read as no look at all: %s", path, describe_error(error))
        return {}


def write_looks(
    filesystem: fsspec.AbstractFileSystem,
    path: str,
    looks: Mapping[str, Look],
    known: Mapping[str, Look],
) -> None:
    """Keep the last look at each batch; where nothing is to be kept, no file is made."""
    if not looks and not known:
        return
    try:
        write_whole(filesystem, path, json.dumps(looks, indent=2).encode())
    except Exception as error:  # noqa: BLE001 - who may only read the storage may look, too
        logger.warning("This look is not remembered in '%s': %s", path, describe_error(error))
