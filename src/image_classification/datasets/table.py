"""Tables and records of the index: they only grow, and a file is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
from kedro_datasets.json import JSONDataset

from image_classification.datasets.appended import SUFFIX, AppendedTable
from image_classification.datasets.cache import read_entry
from image_classification.datasets.dataset import FilesystemDataset
from image_classification.datasets.file import (
    read_file,
    write_lasting,
)
from image_classification.datasets.parquet import as_frame, decode_table, encode_table
from image_classification.datasets.record import FAULTS, Records, explain_fault, list_files


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
        self._entries: dict[str, dict[str, Any]] = {}

    def names(self) -> list[str]:
        """Return the batches that have a part."""
        self._entries = list_files(self._filesystem, self._root, SUFFIX)
        return list(self._entries)

    def read(self, batch: str) -> pd.DataFrame:
        """Return the part of one batch."""
        path = posixpath.join(self._root, f"{batch}.parquet")
        entry = self._entries.get(batch)
        content = (
            read_file(self._filesystem, path)
            if entry is None
            else read_entry(self._filesystem, entry)
        )
        with explain_fault(path, (*FAULTS, pa.ArrowException)):
            return decode_table(content)


class BatchTablesDataset(_IndexDataset):
    """A table in parts, ``<batch>.parquet``. Saving parts leaves the others as they are."""

    suffix = SUFFIX

    def load(self) -> BatchTables:
        """Return the parts; none is read yet."""
        return BatchTables(self._root, self._filesystem)

    def save(self, data: Mapping[str, pd.DataFrame]) -> None:
        """Write the parts of some batches, each whole."""
        for batch, table in data.items():
            write_lasting(self._filesystem, self._locate(batch), encode_table(table))


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
    """A Parquet table that only grows: each save adds a file, and changes none.

    The files are named by time and content, so that they are read in the order they were
    written.
    """

    suffix = SUFFIX

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
        self._order_by = order_by
        self._table = AppendedTable(
            self._filesystem, self._root, columns, more_columns=more_columns
        )

    def load(self) -> pd.DataFrame:
        """Read all rows, in the order they were added; no rows if nothing was added yet.

        The datasets of one catalog together read a part once.
        """
        table = self._table.read()
        # Joined before pandas sees it: a year of nights then costs little more than one night.
        return pd.DataFrame(columns=self._columns) if table is None else as_frame(table)

    def save(self, data: pd.DataFrame) -> None:
        """Add rows; adding none writes nothing."""
        if data.empty:
            return
        content = encode_table(data)
        digest = hashlib.sha256(content).hexdigest()[:12]
        time = str(data[self._order_by].iloc[0]).replace(":", "").replace("+", "")
        write_lasting(self._filesystem, self._locate(f"{time}-{digest}"), content)

    def _release(self) -> None:
        self._table.release()


class WholeJSONDataset(JSONDataset):
    """A JSON file that others may read while it is written: they see the old content or the new."""

    def load(self) -> Any:
        """Read the file.

        Raises:
            DataError: it is damaged.
        """
        path = self._filepath.as_posix()
        content = read_file(self._fs, path)
        with explain_fault(path):
            return json.loads(content)

    def save(self, data: Any) -> None:
        """Replace the file."""
        write_lasting(self._fs, self._filepath.as_posix(), json.dumps(data, indent=2).encode())
