"""A table that only grows: Parquet files in a folder, each written once.

Only a patient who is forgotten is taken out of files that were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import fsspec
import pyarrow as pa
from pyarrow import parquet

from image_classification.datasets.cache import identify_content, open_entry
from image_classification.datasets.file import is_local, read_in_parts
from image_classification.datasets.record import FAULTS, explain_fault, list_files

SUFFIX = ".parquet"

READERS = 8
"""Files of a table that are read at the same time from an object store."""

LOCAL_READERS = 2
"""The same from a disk, where more threads get in one another's way."""

HELD_ROWS = 200_000
"""A table of up to this many rows is kept in memory, some 300 bytes each. A longer one is read
again each time."""

_held: WeakValueDictionary[tuple[tuple[str, ...], tuple[str, ...] | None], pa.Table] = (
    WeakValueDictionary()
)
"""Parts of appended tables that this process keeps, by their content and the columns read."""


class AppendedTable:
    """The files of such a table. Their names sort in the order in which they were written."""

    def __init__(
        self,
        filesystem: fsspec.AbstractFileSystem,
        root: str,
        columns: Sequence[str],
        *,
        more_columns: bool = False,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            filesystem: where the folder lies.
            root: the folder.
            columns: the columns that are read.
            more_columns: read all other columns of the files too.
        """
        self._filesystem = filesystem
        self._root = root
        self._columns = list(columns)
        self._more_columns = more_columns
        self._parts: list[pa.Table] = []

    def read(self) -> pa.Table | None:
        """Read all rows, in the order they were added; None if nothing was added yet.

        Those who read the same table in one process read a part once, until it is another one.
        """
        entries = list(list_files(self._filesystem, self._root, SUFFIX).values())
        if not entries:
            return None
        alone = is_local(self._filesystem)
        readers = LOCAL_READERS if alone else READERS
        parts = read_in_parts(self._find_parts, entries, readers, alone=alone)
        self._parts = parts if sum(part.num_rows for part in parts) <= HELD_ROWS else []
        if not self._more_columns:
            parts = [part.select(self._columns) for part in parts]
        return pa.concat_tables(parts, promote_options="permissive")

    def release(self) -> None:
        """Keep nothing in memory."""
        self._parts = []

    def _find_parts(self, entries: Sequence[Mapping[str, Any]]) -> list[pa.Table]:
        return [self._find_part(entry) for entry in entries]

    def _find_part(self, entry: Mapping[str, Any]) -> pa.Table:
        columns = None if self._more_columns else tuple(self._columns)

        def read(path: Path) -> pa.Table:
            # Opened, so that columns nobody asked for are not read.
            with pa.OSFile(str(path)) as file:
                return parquet.ParquetFile(file).read(columns=columns, use_threads=False)

        with explain_fault(entry["name"], (*FAULTS, pa.ArrowException)):
            content = identify_content(self._filesystem, entry)
            part = _held.get((content, None)) or _held.get((content, columns))
            if part is None:
                part = open_entry(self._filesystem, entry, read)
                _held[content, columns] = part
        return part
