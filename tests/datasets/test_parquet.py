"""Tables to and from Parquet, as pandas reads them."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from pyarrow import parquet

from image_classification.datasets.parquet import decode_table, encode_table


def test_a_table_of_the_index_is_what_pandas_reads() -> None:
    table = pd.DataFrame({"name": ["a", "b", ""], "count": [1, 2, 3], "share": [0.5, np.nan, 1.0]})
    content = encode_table(table)
    pd.testing.assert_frame_equal(decode_table(content), table)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(content)), table)
    pd.testing.assert_frame_equal(decode_table(table.to_parquet()), table)


def test_row_labels_are_left_out() -> None:
    table = pd.DataFrame({"n": [1, 2]}, index=["a", "b"])
    assert decode_table(encode_table(table)).index.tolist() == [0, 1]


def test_a_table_is_written_in_what_is_soonest_read() -> None:
    content = encode_table(pd.DataFrame({"name": ["a", "a"]}))
    column = parquet.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    assert column.compression == "LZ4"
    assert not column.has_dictionary_page
