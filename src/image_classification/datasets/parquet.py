"""Tables of the index to and from Parquet."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
from pyarrow import parquet


def encode_table(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet, without its row labels, in the encoding that is read fastest.

    Most columns hold a different value in each row, so a dictionary would only make them longer.
    """
    content: bytes = table.to_parquet(index=False, compression="lz4", use_dictionary=False)
    return content


def decode_table(content: bytes) -> pd.DataFrame:
    """Return the table in a Parquet file.

    The same as `pandas.read_parquet`, which plans the scan of a data set: for a small table that
    takes five times as long.
    """
    file = parquet.ParquetFile(pa.BufferReader(content))
    return as_frame(file.read(use_threads=False))


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as one of pandas.

    What pandas has noted in the file about row labels and types is ignored: there are no row
    labels, and reading the notes takes as long as reading all columns.
    """
    frame: pd.DataFrame = table.to_pandas(use_threads=False, ignore_metadata=True)
    return frame
