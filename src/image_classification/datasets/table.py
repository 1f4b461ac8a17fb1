"""Tables and records of the index: they only grow, and each write is whole or not there."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
from kedro_datasets.json import JSONDataset
from pyarrow import parquet

from image_classification.datasets.file import (
    FilesystemDataset,
    is_local,
    read_file,
    write_whole,
)
from image_classification.datasets.parquet import decode_table, encode_table

READERS = 8
"""Files of a table that are read at the same time from a store."""

LOCAL_READERS = 2
"""From a disk: more threads get in one another's way."""


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
        content = read_file(self._filesystem, posixpath.join(self._root, f"{batch}.parquet"))
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
            write_whole(self._filesystem, self._locate(batch), encode_table(table))


class Records(Mapping[str, dict[str, Any]]):
    """Records by name, each read when asked for."""

    def __init__(self, root: str, filesystem: fsspec.AbstractFileSystem) -> None:
        self._root = root
        self._filesystem = filesystem
        self._names = _list_names(filesystem, root, ".json")

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in self._names:
            raise KeyError(name)
        content = read_file(self._filesystem, posixpath.join(self._root, f"{name}.json"))
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
            write_whole(self._filesystem, self._locate(name), content)


class LedgerDataset(RecordsDataset):
    """Records that are written once: saving one that is there leaves it as it is."""

    @property
    def folder(self) -> str | None:
        """Where they lie, on a disk; None on an object store."""
        return self._root if is_local(self._filesystem) else None

    def save(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the records that are not there yet, each whole."""
        known = self.load()
        super().save({name: record for name, record in data.items() if name not in known})


class AppendedTableDataset(_IndexDataset):
    """A Parquet table that rows are only added to: a file per save, none of them ever changed.

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
            columns: those that are read, and those of the empty table.
            more_columns: read all others of the files too.
            order_by: the column of the time, the same in all rows of one save.
            arguments: `filepath`, `credentials`, `metadata`.
        """
        super().__init__(**arguments)
        self._columns = list(columns)
        self._more_columns = more_columns
        self._order_by = order_by

    def load(self) -> pd.DataFrame:
        """Read all rows, in the order they were added; no rows where nothing was added yet."""
        names = _list_names(self._filesystem, self._root, self.suffix)
        if not names:
            return pd.DataFrame(columns=self._columns)
        readers = LOCAL_READERS if is_local(self._filesystem) else READERS
        with ThreadPoolExecutor(max_workers=readers) as pool:
            parts = list(pool.map(self._read_part, names))
        # Joined before they become pandas' columns: a year of nights costs little more than one.
        return pa.concat_tables(parts, promote_options="permissive").to_pandas()

    def save(self, data: pd.DataFrame) -> None:
        """Add rows; adding none writes nothing."""
        if data.empty:
            return
        content = encode_table(data)
        digest = hashlib.sha256(content).hexdigest()[:12]
        time = str(data[self._order_by].iloc[0]).replace(":", "").replace("+", "")
        write_whole(self._filesystem, self._locate(f"{time}-{digest}"), content)

    def _read_part(self, name: str) -> pa.Table:
        # Opened, not fetched: columns that are not asked for are not read either.
        columns = None if self._more_columns else self._columns
        with self._open(self._locate(name)) as file:
            table = parquet.ParquetFile(file).read(columns=columns, use_threads=False)
        return table if self._more_columns else table.select(self._columns)

    def _open(self, path: str) -> Any:
        if is_local(self._filesystem):
            return pa.OSFile(path)
        return self._filesystem.open(path, "rb")


class WholeJSONDataset(JSONDataset):
    """A JSON file that others may read meanwhile: they meet the old content or the new one."""

    def save(self, data: Any) -> None:
        """Replace the file."""
        write_whole(self._fs, self._filepath.as_posix(), json.dumps(data, indent=2).encode())


def _list_names(filesystem: fsspec.AbstractFileSystem, root: str, suffix: str) -> list[str]:
    filesystem.invalidate_cache()
    if not filesystem.isdir(root):
        return []
    names = (posixpath.basename(path) for path in filesystem.ls(root, detail=False))
    return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))
