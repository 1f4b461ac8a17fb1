"""Tables of the index to and from Parquet."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
from pyarrow import parquet


def encode_table(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet, without its row labels, in what is soonest read.

    Most columns hold another name in each row, which a dictionary only makes longer.
    """
    content: bytes = table.to_parquet(index=False, compression="lz4", use_dictionary=False)
    return content


def decode_table(content: bytes) -> pd.DataFrame:
    """Return a table of a Parquet file.

    As `pandas.read_parquet`, which plans a scan of a data set: five times the cost of a small one.
    """
    file = parquet.ParquetFile(pa.BufferReader(content))
    return as_frame(file.read(use_threads=False))


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as pandas has it.

    What pandas notes of row labels and types in a file is not looked at: there are no row labels,
    and reading the notes takes as long as all columns.
    """
    frame: pd.DataFrame = table.to_pandas(use_threads=False, ignore_metadata=True)
    return frame
