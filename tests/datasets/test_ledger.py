"""The ledger as files, on a disk and in a bucket."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import fsspec
import pytest
from judgement import make_entry
from kedro.io import DatasetError
from ledger_store import write_earlier

from image_classification.champion.chain import DECIDED
from image_classification.champion.journal import Journal
from image_classification.datasets import LedgerDataset, ledger
from image_classification.gate import verdict


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return f"{tmp_path}/ledger"
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket/ledger"


def open_ledger(root: str) -> LedgerDataset:
    return LedgerDataset(filepath=root)


def test_a_file_is_created_once(root: str) -> None:
    open_ledger(root).create("1.json", b"first")
    with pytest.raises(FileExistsError):
        open_ledger(root).create("1.json", b"second")
    assert open_ledger(root).read_files() == {"1.json": b"first"}
    open_ledger(root).remove("1.json")
    assert open_ledger(root).read_files() == {}


def test_a_node_reads_each_decision_and_writes_none(root: str) -> None:
    record = {**make_entry(verdict.KEPT, "4"), "step": DECIDED}
    assert open_ledger(root).load() == {}
    Journal(open_ledger(root)).add(lambda _: record)
    (entry,) = open_ledger(root).load().values()
    assert (entry["version"], entry["number"]) == ("4", 1)
    with pytest.raises(DatasetError, match="appends to it"):
        open_ledger(root).save({})  # type: ignore[arg-type]


def test_only_later_files_are_read_where_asked(root: str) -> None:
    for name in ("00000001.json", "00000002.json", "00000003.json"):
        open_ledger(root).create(name, b"{}")
    assert list(open_ledger(root).read_files(after="00000002.json")) == ["00000003.json"]


def test_a_list_that_lags_behind_hides_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").store.clear()
    opened = open_ledger("memory://bucket/ledger")
    for number in range(1, 6):
        opened.create(f"{number:08}.json", b"%d" % number)
    listed = [{"name": "/ledger/00000001.json"}, {"name": "/ledger/00000003.json"}]
    monkeypatch.setattr(ledger, "list_entries", lambda *_: listed)
    assert [*opened.read_files().values()] == [b"1", b"2", b"3", b"4", b"5"]
    assert list(opened.read_files(after="00000003.json")) == ["00000004.json", "00000005.json"]


def test_what_is_no_entry_or_cannot_be_read_is_no_hindrance(tmp_path: Path) -> None:
    write_earlier(tmp_path, "r1-kept", make_entry(verdict.KEPT, "4"))
    (tmp_path / ".lock").touch()
    os.mkfifo(tmp_path / "pipe.json")
    found = open_ledger(str(tmp_path)).read_files()
    assert isinstance(found["pipe.json"], OSError)
    assert [entry["version"] for entry in open_ledger(str(tmp_path)).load().values()] == ["4"]


@pytest.mark.parametrize("step", ["write", "fsync", "link"])
def test_a_kill_leaves_no_half_file_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fdopen" if step == "write" else step, killed)
    with pytest.raises(KeyboardInterrupt):
        open_ledger(str(tmp_path)).create("1.json", b"content")
    assert not (tmp_path / "1.json").exists()


def test_a_file_is_flushed_before_it_gets_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, link = os.fsync, os.link

    def note_flush(file: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file"
        order.append(f"{kind} flushed")
        flush(file)

    def note_link(*paths: Any) -> None:
        order.append("named")
        link(*paths)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "link", note_link)
    open_ledger(str(tmp_path)).create("1.json", b"content")
    assert order == ["file flushed", "named", "folder flushed"]


def test_the_key_is_made_once_and_lies_beside_the_ledger(root: str) -> None:
    key = open_ledger(root).read_key()
    assert len(key) == 64
    assert open_ledger(root).read_key() == key
    assert open_ledger(root).read_files() == {}


def test_the_key_is_nobody_else_s_to_read(tmp_path: Path) -> None:
    open_ledger(f"{tmp_path}/ledger").read_key()
    path = tmp_path / "keys" / "patients.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
