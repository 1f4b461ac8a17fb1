"""Tables and records of the index: they only grow, and a file is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import fsspec
import pandas as pd
import pyarrow as pa
from kedro_datasets.json import JSONDataset
from pyarrow import parquet

from image_classification.datasets.damage import explain_damage
from image_classification.datasets.file import (
    FilesystemDataset,
    is_local,
    read_file,
    read_in_parts,
    write_lasting,
)
from image_classification.datasets.parquet import as_frame, decode_table, encode_table

READERS = 8
"""Files of a table that are read at the same time from an object store."""

LOCAL_READERS = 2
"""The same from a disk, where more threads get in one another's way."""

HELD_ROWS = 200_000
"""A dataset keeps a table of up to this many rows in memory, some 300 bytes each. It reads a longer
one again each time."""

_held: WeakValueDictionary[tuple[str, tuple[str, ...] | None], pa.Table] = WeakValueDictionary()
"""Parts of appended tables that datasets of this process keep, by address and columns read."""


class _IndexDataset(FilesystemDataset[Any, Any]):
    """A folder of files of one kind."""

    suffix = ""

    def _locate(self, name: str) -> str:
        return posixpath.join(self._root, f"{name}{self.suffix}")


class BatchTables:
    """A table in parts, one per batch, each read when asked for."""

    def __init__(self, root: str, filesystem: fsspec.AbstractFileSystem) -> None:
        self._root = root
        self._filesystem = filesystem

    def names(self) -> list[str]:
        """Return the batches that have a part."""
        return _list_names(self._filesystem, self._root, ".parquet")

    def read(self, batch: str) -> pd.DataFrame:
        """Return the part of one batch."""
        path = posixpath.join(self._root, f"{batch}.parquet")
        content = read_file(self._filesystem, path)
        with _explain(path):
            return decode_table(content)


class BatchTablesDataset(_IndexDataset):
    """A table in parts, ``<batch>.parquet``. Saving parts leaves the others as they are."""

    suffix = ".parquet"

    def load(self) -> BatchTables:
        """Return the parts; none is read yet."""
        return BatchTables(self._root, self._filesystem)

    def save(self, data: Mapping[str, pd.DataFrame]) -> None:
        """Write the parts of some batches, each whole."""
        for batch, table in data.items():
            write_lasting(self._filesystem, self._locate(batch), encode_table(table))


class Records(Mapping[str, dict[str, Any]]):
    """Records by name, each read when asked for."""

    def __init__(self, root: str, filesystem: fsspec.AbstractFileSystem) -> None:
        self._root = root
        self._filesystem = filesystem
        self._names = _list_names(filesystem, root, ".json")

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in self._names:
            raise KeyError(name)
        path = posixpath.join(self._root, f"{name}.json")
        content = read_file(self._filesystem, path)
        with _explain(path):
            record: dict[str, Any] = json.loads(content)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class RecordsDataset(_IndexDataset):
    """Records, one JSON file each. Saving some leaves the others as they are."""

    suffix = ".json"

    def load(self) -> Records:
        """Return the records, sorted by name; none is read yet."""
        return Records(self._root, self._filesystem)

    def save(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Write records, each whole."""
        for name, record in data.items():
            content = json.dumps(record, indent=2).encode()
            write_lasting(self._filesystem, self._locate(name), content)


class AppendedTableDataset(_IndexDataset):
    """A Parquet table that only grows: each save adds a file, and no file is ever changed.

    The files are named by time and content, so that they are read in the order they were
    written.
    """

    suffix = ".parquet"

    def __init__(
        self,
        *,
        columns: Sequence[str],
        order_by: str,
        more_columns: bool = False,
        **arguments: Any,
    ) -> None:
        """Make the dataset of a folder.

        Args:
            columns: the columns that are read, and those of the empty table.
            more_columns: read all other columns of the files too.
            order_by: the column of the time, which is the same in all rows of one save.
            arguments: `filepath`, `credentials`, `metadata`.
        """
        super().__init__(**arguments)
        self._columns = list(columns)
        self._more_columns = more_columns
        self._order_by = order_by
        self._parts: list[pa.Table] = []

    def load(self) -> pd.DataFrame:
        """Read all rows, in the order they were added; no rows if nothing was added yet.

        A part never changes, so the datasets of one catalog together read it once.
        """
        names = _list_names(self._filesystem, self._root, self.suffix)
        if not names:
            return pd.DataFrame(columns=self._columns)
        readers = LOCAL_READERS if is_local(self._filesystem) else READERS
        parts = read_in_parts(self._find_parts, names, readers, alone=is_local(self._filesystem))
        self._parts = parts if sum(part.num_rows for part in parts) <= HELD_ROWS else []
        if not self._more_columns:
            parts = [part.select(self._columns) for part in parts]
        # Joined before pandas sees them: a year of nights then costs little more than one night.
        return as_frame(pa.concat_tables(parts, promote_options="permissive"))

    def save(self, data: pd.DataFrame) -> None:
        """Add rows; adding none writes nothing."""
        if data.empty:
            return
        content = encode_table(data)
        digest = hashlib.sha256(content).hexdigest()[:12]
        time = str(data[self._order_by].iloc[0]).replace(":", "").replace("+", "")
        write_lasting(self._filesystem, self._locate(f"{time}-{digest}"), content)

    def _find_parts(self, names: Sequence[str]) -> list[pa.Table]:
        return [self._find_part(self._locate(name)) for name in names]

    def _find_part(self, path: str) -> pa.Table:
        address = self._filesystem.unstrip_protocol(path)
        columns = None if self._more_columns else tuple(self._columns)
        part = _held.get((address, None)) or _held.get((address, columns))
        if part is None:
            # Opened instead of fetched, so that columns nobody asked for are not read.
            with _explain(path), self._open(path) as file:
                part = parquet.ParquetFile(file).read(columns=columns, use_threads=False)
            _held[address, columns] = part
        return part

    def _open(self, path: str) -> Any:
        if is_local(self._filesystem):
            return pa.OSFile(path)
        return self._filesystem.open(path, "rb")

    def _release(self) -> None:
        self._parts = []


class WholeJSONDataset(JSONDataset):
    """A JSON file that others may read while it is written: they see the old content or the new."""

    def load(self) -> Any:
        """Read the file.

        Raises:
            DataError: it is damaged.
        """
        path = self._filepath.as_posix()
        content = read_file(self._fs, path)
        with _explain(path):
            return json.loads(content)

    def save(self, data: Any) -> None:
        """Replace the file."""
        write_lasting(self._fs, self._filepath.as_posix(), json.dumps(data, indent=2).encode())


@contextmanager
def _explain(path: str) -> Iterator[None]:
    """Name the file that cannot be read, and what to do.

    Raises:
        DataError: it is cut, empty, or something else.
    """
    try:
        yield
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise explain_damage(path, error) from error


def _list_names(filesystem: fsspec.AbstractFileSystem, root: str, suffix: str) -> list[str]:
    filesystem.invalidate_cache()
    if not filesystem.isdir(root):
        return []
    names = (posixpath.basename(path) for path in filesystem.ls(root, detail=False))
    return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))
