"""A ledger in memory: files by name, each created once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from image_classification.champion.chain import Chain, encode_record, read_chain
from image_classification.champion.journal import Journal


class MemoryStore:
    """Stands for the files of a ledger."""

    address = "memory of a test"
    is_local = True

    def __init__(self, *earlier: Mapping[str, Any]) -> None:
        """Begin with entries of an earlier release."""
        self.files: dict[str, bytes] = {
            f"r{place}-event.json": encode_record(entry) for place, entry in enumerate(earlier)
        }
        self._lock = Lock()

    def read_files(self, after: str = "") -> dict[str, bytes | OSError]:
        return {name: content for name, content in sorted(self.files.items()) if name > after}

    def create(self, name: str, content: bytes) -> None:
        with self._lock:
            if name in self.files:
                raise FileExistsError(name)
            self.files[name] = content

    def remove(self, name: str) -> None:
        del self.files[name]

    def read_key(self) -> bytes:
        return b"key of a test"

    def read(self) -> Chain:
        return read_chain(self.read_files())

    @property
    def journal(self) -> Journal:
        return Journal(self)

    @property
    def entries(self) -> list[dict[str, Any]]:
        return self.read().entries

    @property
    def last(self) -> dict[str, Any]:
        return self.entries[-1]


def write_earlier(folder: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Write an entry as an earlier release of this project did: named by its run, in no chain."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(entry, indent=2))
