"""zipfile: where the list of members of a zip lies, before it is in memory.

Relied on, tried with Python 3.11.7 and 3.13.5: `zipfile._EndRecData`, and the places of size,
signature and location in what it returns. `ZipFile` reads and keeps the whole list before anybody
can count it. To look for its end in any other way would find another one in a zip that is made for
it. It can go when `ZipFile` takes a limit.
"""

from __future__ import annotations

import zipfile
from typing import IO, Any

LARGE_END_BYTES = 56 + 20
"""What stands between the list of a large zip and its end: a second end, and where that lies."""


def locate_members(file: IO[bytes]) -> tuple[int, int]:
    """Return where the list of members begins, as `ZipFile` finds it, and its length in bytes.

    A file that is no zip has a list of no bytes.
    """
    parts: Any = zipfile
    end = parts._EndRecData(file)
    if end is None:
        return 0, 0
    size: int = end[parts._ECD_SIZE]
    start: int = end[parts._ECD_LOCATION] - size
    if end[parts._ECD_SIGNATURE] == parts.stringEndArchive64:
        # An older Python names the last of both ends, a newer one (such as 3.13.5) the first.
        file.seek(end[parts._ECD_LOCATION])
        if file.read(len(parts.stringEndArchive64)) != parts.stringEndArchive64:
            start -= LARGE_END_BYTES
    return max(start, 0), size
