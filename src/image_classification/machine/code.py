"""Which code runs here: a digest of this package's files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

LEFT_OUT = ("__pycache__", "keras_home")
"""Folders that libraries write into."""

Look = dict[str, tuple[int, int]]
"""Size and time of change, in nanoseconds, of each file by its path below a folder."""


@dataclass
class Code:
    """The files of a folder of code: read once, and again where one was changed.

    Attributes:
        folder: with all that is below it, but for what Python makes of it.
        loaded: its digest when this process, or the one that it was forked from, first asked. What
            that process imported before was of that digest.
    """

    folder: Path
    loaded: str = ""
    _look: Look = field(default_factory=dict)
    _digest: str = ""

    def digest(self) -> str:
        """Return the sha256 of the names and contents of all files as they are now.

        Files of the sizes and times of the last time are not read again: where nothing was
        changed, it costs a look at each.
        """
        look = {
            name: (found.st_size, found.st_mtime_ns) for name, found in _list_files(self.folder)
        }
        if look != self._look:
            digest = hashlib.sha256()
            for name in sorted(look):
                content = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
                digest.update(f"{name} {content}\n".encode())
            self._look, self._digest = look, digest.hexdigest()
        self.loaded = self.loaded or self._digest
        return self._digest

    @property
    def is_mixed(self) -> bool:
        """Whether this process holds modules of other files than those that it would now import."""
        return self.digest() != self.loaded


def _list_files(folder: Path, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name not in LEFT_OUT:
                    yield from _list_files(Path(entry.path), f"{below}{entry.name}/")
            elif not entry.name.endswith(".pyc"):
                yield f"{below}{entry.name}", entry.stat()


CODE = Code(PACKAGE)
"""That of this package. A process that forks others asks it once before, for all of them."""
