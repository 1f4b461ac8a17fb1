"""Tables and records that only grow: each write is whole or not there."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pandas as pd
import pytest

from image_classification.datasets import (
    AppendedTableDataset,
    BatchTablesDataset,
    RecordsDataset,
    WholeJSONDataset,
    appended,
)
from image_classification.datasets.cache import open_entry
from image_classification.datasets.file import open_filesystem, write_whole


@pytest.fixture(autouse=True)
def _nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing in memory of the tables of other tests, which have the same address."""
    monkeypatch.setattr(appended, "_held", WeakValueDictionary())


def count_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each part of an appended table that is opened."""
    opened: list[str] = []

    def note(filesystem: Any, entry: Mapping[str, Any], read: Any) -> object:
        opened.append(entry["name"])
        return open_entry(filesystem, entry, read)

    monkeypatch.setattr(appended, "open_entry", note)
    return opened


class TestAppendedTable:
    def open(self, root: str) -> AppendedTableDataset:
        return AppendedTableDataset(filepath=f"{root}/log", columns=["n", "at"], order_by="at")

    def test_an_absent_table_reads_as_empty_with_its_columns(self, root: str) -> None:
        assert self.open(root).load().columns.tolist() == ["n", "at"]
        assert len(self.open(root).load()) == 0
        assert not self.open(root).exists()

    def test_rows_are_added_in_the_order_of_their_time(self, root: str) -> None:
        log = self.open(root)
        log.save(pd.DataFrame({"n": [3, 4], "at": "2026-11-22T10:00:01+00:00"}))
        log.save(pd.DataFrame({"n": [1, 2], "at": "2026-11-22T10:00:00.5+00:00"}))
        assert self.open(root).load()["n"].tolist() == [1, 2, 3, 4]

    def test_rows_of_a_part_with_more_columns_are_empty_elsewhere(self, root: str) -> None:
        settings = {"filepath": f"{root}/log", "columns": ["n", "at"], "order_by": "at"}
        log = AppendedTableDataset(**settings, more_columns=True)
        log.save(pd.DataFrame({"n": [1], "at": "2026-11-22"}))
        log.save(pd.DataFrame({"n": [2], "at": "2026-11-23", "name": "x"}))
        loaded = log.load()
        assert loaded["n"].tolist() == [1, 2]
        assert loaded["name"].isna().tolist() == [True, False]
        assert AppendedTableDataset(**settings).load().columns.tolist() == ["n", "at"]

    def test_a_part_without_a_column_is_refused(self, root: str) -> None:
        self.open(root).save(pd.DataFrame({"at": ["2026-11-22"]}))
        with pytest.raises(Exception, match='"n" does not exist'):
            self.open(root).load()

    def test_the_datasets_of_a_catalog_read_a_part_once(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wide = AppendedTableDataset(
            filepath=f"{root}/log", columns=["n", "at"], order_by="at", more_columns=True
        )
        wide.save(pd.DataFrame({"n": [1], "at": "2026-11-22", "name": "x"}))
        opened = count_opened(monkeypatch)
        narrow = self.open(root)
        assert wide.load().columns.tolist() == ["n", "at", "name"]
        assert narrow.load().columns.tolist() == ["n", "at"]
        narrow.save(pd.DataFrame({"n": [2], "at": "2026-11-23"}))
        assert narrow.load()["n"].tolist() == wide.load()["n"].tolist() == [1, 2]
        assert len(opened) == 3  # the second part with fewer columns, and whole

    @pytest.mark.parametrize("end", ["released", "gone", "too long"])
    def test_what_no_dataset_holds_is_read_again(
        self, root: str, end: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = self.open(root)
        log.save(pd.DataFrame({"n": [1], "at": "2026-11-22"}))
        if end == "too long":
            monkeypatch.setattr(appended, "HELD_ROWS", 0)
        opened = count_opened(monkeypatch)
        log.load()
        if end == "released":
            log.release()
        if end == "gone":
            log = self.open(root)
            gc.collect()
        log.load()
        assert len(opened) == 2

    def test_a_part_is_named_by_its_time_and_content(self, tmp_path: Path) -> None:
        log = self.open(str(tmp_path))
        log.save(pd.DataFrame({"n": [3], "at": "2026-11-22T10:00:01+00:00"}))
        (part,) = (tmp_path / "log").iterdir()
        digest = hashlib.sha256(part.read_bytes()).hexdigest()[:12]
        assert part.name == f"2026-11-22T1000010000-{digest}.parquet"

    def test_parts_of_one_moment_with_other_rows_are_both_kept(self, root: str) -> None:
        for number in (1, 2):
            self.open(root).save(pd.DataFrame({"n": [number], "at": "2026-11-22"}))
        assert sorted(self.open(root).load()["n"]) == [1, 2]

    def test_columns_are_in_the_order_asked_for(self, root: str) -> None:
        self.open(root).save(pd.DataFrame({"x": [1], "at": "2026-11-22", "n": [2]}))
        assert self.open(root).load().columns.tolist() == ["n", "at"]

    def test_columns_that_are_not_asked_for_are_not_read(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.open(root).save(pd.DataFrame({"x": [1], "at": "2026-11-22", "n": [2]}))
        asked, read = [], appended.parquet.ParquetFile.read

        def note(file: object, columns: object, **options: object) -> object:
            asked.append(columns)
            return read(file, columns=columns, **options)

        monkeypatch.setattr(appended.parquet.ParquetFile, "read", note)
        self.open(root).load()
        assert asked == [("n", "at")]

    def test_as_many_rows_as_the_limit_are_held(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(appended, "HELD_ROWS", 3)
        log = self.open(root)
        log.save(pd.DataFrame({"n": [1, 2, 3], "at": "2026-11-22"}))
        opened = count_opened(monkeypatch)
        log.load()
        log.load()
        assert len(opened) == 1

    def test_adding_no_rows_writes_nothing(self, root: str) -> None:
        self.open(root).save(pd.DataFrame({"n": [], "at": []}))
        assert not self.open(root).exists()

    def test_adding_the_same_rows_again_changes_nothing(self, root: str) -> None:
        for _ in range(2):
            self.open(root).save(pd.DataFrame({"n": [1], "at": "2026-11-22"}))
        assert self.open(root).load()["n"].tolist() == [1]

    def test_a_kill_between_writing_and_renaming_adds_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = self.open(str(tmp_path))
        log.save(pd.DataFrame({"n": [1], "at": "2026-11-22"}))

        def killed(*paths: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            log.save(pd.DataFrame({"n": [2], "at": "2026-11-23"}))
        monkeypatch.undo()
        assert log.load()["n"].tolist() == [1]


class TestBatchTables:
    def test_a_part_is_read_when_asked_for_and_others_stay(self, root: str) -> None:
        dataset = BatchTablesDataset(filepath=f"{root}/parts")
        assert dataset.load().names() == []
        dataset.save({"b": pd.DataFrame({"n": [1]}), "a": pd.DataFrame({"n": [2]})})
        dataset.save({"b": pd.DataFrame({"n": [3]})})
        assert dataset.load().names() == ["a", "b"]
        assert dataset.load().read("a")["n"].tolist() == [2]
        assert dataset.load().read("b")["n"].tolist() == [3]

    def test_an_empty_part_keeps_its_columns(self, root: str) -> None:
        dataset = BatchTablesDataset(filepath=f"{root}/parts")
        dataset.save({"a": pd.DataFrame(columns=["path", "reason"], dtype=object)})
        assert dataset.load().read("a").columns.tolist() == ["path", "reason"]


class TestRecords:
    def test_a_record_that_is_not_there_is_a_missing_key(self, root: str) -> None:
        dataset = RecordsDataset(filepath=f"{root}/records")
        dataset.save({"a": {"n": 1}})
        records = dataset.load()
        assert len(records) == 1
        with pytest.raises(KeyError, match="b"):
            records["b"]

    def test_files_of_another_kind_are_no_records(self, root: str) -> None:
        write_whole(*open_filesystem(f"{root}/records/readme.md"), b"no record")
        RecordsDataset(filepath=f"{root}/records").save({"a.b": {"n": 1}})
        assert list(RecordsDataset(filepath=f"{root}/records").load()) == ["a.b"]

    def test_a_record_is_written_so_that_a_person_can_read_it(self, tmp_path: Path) -> None:
        RecordsDataset(filepath=str(tmp_path)).save({"a": {"n": 1}})
        assert (tmp_path / "a.json").read_text() == '{\n  "n": 1\n}'

    def test_records_are_a_mapping_sorted_by_name(self, root: str) -> None:
        dataset = RecordsDataset(filepath=f"{root}/records")
        assert dict(dataset.load()) == {}
        dataset.save({"b": {"n": 1}, "a": {"n": 2}})
        dataset.save({"b": {"n": 3}})
        assert dict(dataset.load()) == {"a": {"n": 2}, "b": {"n": 3}}
        assert dataset.load().get("c") is None


def test_a_kill_leaves_the_old_json_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = WholeJSONDataset(filepath=str(tmp_path / "names.json"))
    dataset.save(["a", "b"])

    def killed(*paths: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(["c"])
    assert dataset.load() == ["a", "b"]


def test_a_shared_json_file_is_replaced_whole(tmp_path: Path) -> None:
    dataset = WholeJSONDataset(filepath=str(tmp_path / "names.json"))
    dataset.save(["a", "b"])
    dataset.save(["c"])
    assert dataset.load() == ["c"]
    assert (tmp_path / "names.json").read_text() == '[\n  "c"\n]'
    assert [path.name for path in tmp_path.iterdir()] == ["names.json"]
