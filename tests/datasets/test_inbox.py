"""The incoming folder: what is a batch, and when it has arrived whole."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest
from arrivals import put_files

from image_classification.datasets import Inbox, InboxDataset, inbox
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.folder import read_change

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARIS = NOON.astimezone(timezone(timedelta(hours=1)))


def load(root: str) -> Inbox:
    return InboxDataset(filepath=root).load()


class TestListing:
    def test_a_folder_that_does_not_exist_is_empty(self, root: str) -> None:
        assert load(f"{root}/incoming") == Inbox([], [])

    def test_folders_and_zips_are_batches_by_name(self, root: str) -> None:
        put_files(f"{root}/incoming", "b/P/1.png", "c.ZIP", "a/1.png", "d.zip", "d.zip._READY")
        batches = load(f"{root}/incoming").batches
        _, path = open_filesystem(f"{root}/incoming")
        told = [(b.name, b.delivered_as, b.path, b.is_zip, b.is_ready) for b in batches]
        assert told == [
            ("a", "a", f"{path}/a", False, False),
            ("b", "b", f"{path}/b", False, False),
            ("c", "c.ZIP", f"{path}/c.ZIP", True, False),
            ("d", "d.zip", f"{path}/d.zip", True, True),
        ]
        assert [batch.files for batch in batches] == [
            {"1.png": 7},
            {"P/1.png": 9},
            {"c.ZIP": 5},
            {"d.zip": 5},
        ]

    @pytest.mark.parametrize(
        ("marker", "ready"),
        [("_READY", True), ("_BATCH.json", False)],
    )
    def test_markers_are_never_counted_as_files(self, root: str, marker: str, ready: bool) -> None:
        put_files(f"{root}/incoming", "b/P/1.png")
        (before,) = load(f"{root}/incoming").batches
        put_files(f"{root}/incoming", f"b/{marker}")
        (batch,) = load(f"{root}/incoming").batches
        assert batch.files == before.files == {"P/1.png": 9}
        assert batch.digest == before.digest
        assert batch.changed_at == before.changed_at
        assert batch.is_ready == ready

    def test_a_marker_in_a_folder_of_a_class_is_a_file_as_any(self, root: str) -> None:
        put_files(f"{root}/incoming", "b/P/_READY")
        (batch,) = load(f"{root}/incoming").batches
        assert (list(batch.files), batch.is_ready) == (["P/_READY"], False)

    def test_hidden_files_and_folders_are_no_batches(self, root: str) -> None:
        put_files(f"{root}/incoming", ".b.partial/P/1.png", ".DS_Store", "lost.png", "x._READY")
        assert load(f"{root}/incoming") == Inbox([], ["lost.png"])

    def test_only_a_file_is_a_marker(self, root: str) -> None:
        put_files(f"{root}/incoming", "b_READY/P/1.png", "c._READY/P/1.png", "d_READY", "_READY")
        inbox = load(f"{root}/incoming")
        assert [batch.delivered_as for batch in inbox.batches] == ["b_READY", "c._READY"]
        assert inbox.stray == ["d_READY"]

    def test_a_batch_changed_when_its_newest_file_did(self, tmp_path: Path) -> None:
        put_files(str(tmp_path), "b/P/1.png", "b/P/2.png", "c.zip")
        os.utime(tmp_path / "b" / "P" / "1.png", (NOON.timestamp(), NOON.timestamp()))
        os.utime(tmp_path / "b" / "P" / "2.png", (0, 0))
        os.utime(tmp_path / "c.zip", (60, 60))
        folder, archive = load(str(tmp_path)).batches
        assert folder.changed_at == NOON
        assert archive.changed_at == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)

    def test_a_file_of_unknown_size_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = {"P/1.png": {"size": None}}
        monkeypatch.setattr(inbox, "find_files", lambda *_, **__: found)
        fsspec.filesystem("memory").store.clear()
        put_files("memory://bucket/incoming", "b/P/1.png", "c.zip")
        folder, _ = load("memory://bucket/incoming").batches
        assert (folder.files, folder.changed_at) == ({"P/1.png": 0}, None)

    def test_a_link_or_a_pipe_is_left_alone_with_the_reason(self, tmp_path: Path) -> None:
        put_files(str(tmp_path), "elsewhere/P/1.png", "incoming/b/P/1.png", "elsewhere/c.zip")
        (tmp_path / "incoming" / "a").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "incoming" / "c.zip").symlink_to(tmp_path / "elsewhere" / "c.zip")
        os.mkfifo(tmp_path / "incoming" / "d.zip")
        inbox = load(f"{tmp_path}/incoming")
        assert [batch.name for batch in inbox.batches] == ["b"]
        assert inbox.aside == {
            "a": "it is a link: deliver the folder or zip itself",
            "c.zip": "it is a link: deliver the folder or zip itself",
            "d.zip": "it is a pipe: deliver the folder or zip itself",
        }

    def test_what_cannot_be_looked_at_is_left_alone_and_the_rest_is_listed(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_files(f"{root}/incoming", "a/P/1.png", "b.zip")
        monkeypatch.setattr(inbox, "find_files", lambda *_, **__: 1 / 0)
        found = load(f"{root}/incoming")
        assert [batch.name for batch in found.batches] == ["b"]
        assert found.aside == {"a": "it cannot be looked at: division by zero"}

    def test_what_is_no_regular_file_is_none_of_the_batch(self, tmp_path: Path) -> None:
        put_files(str(tmp_path), "b/P/1.png", "outside.png")
        os.mkfifo(tmp_path / "b" / "P" / "pipe.png")
        (tmp_path / "b" / "P" / "out.png").symlink_to(tmp_path / "outside.png")
        (batch,) = load(str(tmp_path)).batches
        assert batch.files == {"P/1.png": 9}
        assert batch.others == {"P/pipe.png": "pipe", "P/out.png": "link out of the batch"}
        assert list(batch.read_files()) == [("P/1.png", b"b/P/1.png")]

    @pytest.mark.parametrize("time", [-(10**11), 10**17])
    def test_a_disk_may_hold_times_of_any_year(self, time: int) -> None:
        assert read_change({"mtime": time}) is not None

    def test_an_empty_zip_has_no_size(self, root: str) -> None:
        write_whole(*open_filesystem(f"{root}/incoming/b.zip"), b"")
        (batch,) = load(f"{root}/incoming").batches
        assert batch.files == {"b.zip": 0}

    def test_what_came_since_is_seen(self, root: str) -> None:
        dataset = InboxDataset(filepath=f"{root}/incoming")
        dataset.load()
        put_files(f"{root}/incoming", "b/P/1.png")
        assert len(dataset.load().batches) == 1

    def test_it_cannot_be_written_through_the_catalog(self, root: str) -> None:
        with pytest.raises(
            Exception, match=r"^The incoming folder is filled by `image-classification deliver`\.$"
        ):
            InboxDataset(filepath=f"{root}/incoming").save(object())


@pytest.mark.parametrize("key", ["mtime", "LastModified", "updated", "last_modified", "created"])
@pytest.mark.parametrize(
    "told",
    [
        NOON.timestamp(),
        NOON,
        NOON.replace(tzinfo=None),
        "2026-11-22T12:00:00Z",
        "20261122T12",
        PARIS,
    ],
)
def test_the_time_of_a_change_is_told_as_each_filesystem_does(key: str, told: Any) -> None:
    assert read_change({"size": 1, key: told}) == NOON


def test_where_no_time_is_told_there_is_none() -> None:
    assert read_change({"size": 1}) is None
    assert read_change({"mtime": None, "created": NOON}) == NOON
    assert read_change({"mtime": b"noon"}) is None
    assert read_change({"created": NOON, "mtime": 0.0, "updated": 60}) == datetime(
        1970, 1, 1, 0, 1, tzinfo=UTC
    )
