"""A table of many files, each of which is written once."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from image_classification.datasets import appended
from image_classification.datasets.appended import AppendedTable
from image_classification.errors import DataError

LOCAL = fsspec.filesystem("file")


def write(folder: Path, name: str, **columns: list[str]) -> None:
    parquet.write_table(pa.table(columns), folder / f"{name}.parquet")


def test_a_table_without_a_file_is_none(tmp_path: Path) -> None:
    assert AppendedTable(LOCAL, str(tmp_path), ["a"]).read() is None


def test_rows_come_in_the_order_of_the_names_of_the_files(tmp_path: Path) -> None:
    write(tmp_path, "2", a=["third"], b=["x"])
    write(tmp_path, "1", a=["first", "second"], b=["x", "y"])
    table = AppendedTable(LOCAL, str(tmp_path), ["a"]).read()
    assert table is not None
    assert table.to_pydict() == {"a": ["first", "second", "third"]}


def test_more_columns_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "1", a=["x"])
    write(tmp_path, "2", a=["y"], later=["z"])
    table = AppendedTable(LOCAL, str(tmp_path), ["a"], more_columns=True).read()
    assert table is not None
    assert table.to_pydict() == {"a": ["x", "y"], "later": [None, "z"]}


def test_who_reads_it_beside_another_reads_no_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "1", a=["x"])
    first = AppendedTable(LOCAL, str(tmp_path), ["a"])
    expected = first.read()
    with monkeypatch.context() as patch:
        patch.setattr(appended, "open_entry", lambda *_: pytest.fail("it was read again"))
        assert AppendedTable(LOCAL, str(tmp_path), ["a"]).read() == expected
    write(tmp_path, "2", a=["y"])
    grown = AppendedTable(LOCAL, str(tmp_path), ["a"]).read()
    assert grown is not None
    assert grown.num_rows == 2


def test_a_file_that_a_patient_was_taken_out_of_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, "1", a=["x", "y"])
    first = AppendedTable(LOCAL, str(tmp_path), ["a"])
    assert first.read() is not None
    write(tmp_path, "1", a=["x"])
    for table in (first, AppendedTable(LOCAL, str(tmp_path), ["a"])):
        found = table.read()
        assert found is not None
        assert found.to_pydict() == {"a": ["x"]}


def test_a_long_table_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appended, "HELD_ROWS", 1)
    write(tmp_path, "1", a=["x", "y"])
    table = AppendedTable(LOCAL, str(tmp_path), ["a"])
    table.read()
    assert table._parts == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"1\.parquet' is damaged"):
        AppendedTable(LOCAL, str(tmp_path), ["a"]).read()
