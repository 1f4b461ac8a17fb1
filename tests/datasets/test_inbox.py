"""The incoming folder: what is a batch, and when it has arrived whole."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest

from image_classification.datasets import Inbox, InboxDataset, IncomingBatch, inbox
from image_classification.datasets.archive import ArchiveError
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.inbox import clean_name

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARIS = NOON.astimezone(timezone(timedelta(hours=1)))


def put(root: str, *names: str) -> None:
    filesystem, path = open_filesystem(root)
    for name in names:
        write_whole(filesystem, f"{path}/{name}", name.encode())


def load(root: str) -> Inbox:
    return InboxDataset(filepath=root).load()


class TestListing:
    def test_a_folder_that_does_not_exist_is_empty(self, root: str) -> None:
        assert load(f"{root}/incoming") == Inbox([], [])

    def test_folders_and_zips_are_batches_by_name(self, root: str) -> None:
        put(f"{root}/incoming", "b/P/1.png", "c.ZIP", "a/1.png", "d.zip", "d.zip._READY")
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
        put(f"{root}/incoming", "b/P/1.png")
        (before,) = load(f"{root}/incoming").batches
        put(f"{root}/incoming", f"b/{marker}")
        (batch,) = load(f"{root}/incoming").batches
        assert batch.files == before.files == {"P/1.png": 9}
        assert batch.digest == before.digest
        assert batch.changed_at == before.changed_at
        assert batch.is_ready == ready

    def test_a_marker_in_a_folder_of_a_class_is_a_file_as_any(self, root: str) -> None:
        put(f"{root}/incoming", "b/P/_READY")
        (batch,) = load(f"{root}/incoming").batches
        assert (list(batch.files), batch.is_ready) == (["P/_READY"], False)

    def test_hidden_files_and_folders_are_no_batches(self, root: str) -> None:
        put(f"{root}/incoming", ".b.partial/P/1.png", ".DS_Store", "lost.png", "x._READY")
        assert load(f"{root}/incoming") == Inbox([], ["lost.png"])

    def test_a_batch_changed_when_its_newest_file_did(self, tmp_path: Path) -> None:
        put(str(tmp_path), "b/P/1.png", "b/P/2.png", "c.zip")
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
        put("memory://bucket/incoming", "b/P/1.png", "c.zip")
        folder, _ = load("memory://bucket/incoming").batches
        assert (folder.files, folder.changed_at) == ({"P/1.png": 0}, None)

    def test_a_link_or_a_pipe_is_left_alone_with_the_reason(self, tmp_path: Path) -> None:
        put(str(tmp_path), "elsewhere/P/1.png", "incoming/b/P/1.png", "elsewhere/c.zip")
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
        put(f"{root}/incoming", "a/P/1.png", "b.zip")
        monkeypatch.setattr(inbox, "find_files", lambda *_, **__: 1 / 0)
        found = load(f"{root}/incoming")
        assert [batch.name for batch in found.batches] == ["b"]
        assert found.aside == {"a": "it cannot be looked at: division by zero"}

    def test_what_is_no_regular_file_is_none_of_the_batch(self, tmp_path: Path) -> None:
        put(str(tmp_path), "b/P/1.png", "outside.png")
        os.mkfifo(tmp_path / "b" / "P" / "pipe.png")
        (tmp_path / "b" / "P" / "out.png").symlink_to(tmp_path / "outside.png")
        (batch,) = load(str(tmp_path)).batches
        assert batch.files == {"P/1.png": 9}
        assert batch.others == {"P/pipe.png": "pipe", "P/out.png": "link out of the batch"}
        assert list(batch.read_files()) == [("P/1.png", b"b/P/1.png")]

    @pytest.mark.parametrize("time", [-(10**11), 10**17])
    def test_a_disk_may_hold_times_of_any_year(self, time: int) -> None:
        assert inbox._changed_at({"mtime": time}) is not None

    def test_an_empty_zip_has_no_size(self, root: str) -> None:
        write_whole(*open_filesystem(f"{root}/incoming/b.zip"), b"")
        (batch,) = load(f"{root}/incoming").batches
        assert batch.files == {"b.zip": 0}

    def test_what_came_since_is_seen(self, root: str) -> None:
        dataset = InboxDataset(filepath=f"{root}/incoming")
        dataset.load()
        put(f"{root}/incoming", "b/P/1.png")
        assert len(dataset.load().batches) == 1

    def test_it_cannot_be_written_through_the_catalog(self, root: str) -> None:
        with pytest.raises(
            Exception, match=r"^The incoming folder is filled by `image-classification deliver`\.$"
        ):
            InboxDataset(filepath=f"{root}/incoming").save(object())


def make_batch(**changes: Any) -> IncomingBatch:
    facts = {
        "name": "b",
        "delivered_as": "b",
        "path": "/incoming/b",
        "filesystem": fsspec.filesystem("memory"),
        "files": {"P/1.png": 1},
        "changed_at": NOON,
        "is_ready": False,
        "unchanged_since": NOON,
    }
    return IncomingBatch(**facts | changes)


class TestCompleteness:
    LATER = NOON + timedelta(minutes=10)

    def test_a_marker_makes_it_complete_at_once(self) -> None:
        assert make_batch(is_ready=True).is_complete(None, NOON)
        assert make_batch(is_ready=True, files={}).is_complete(10, NOON)

    def test_without_a_marker_it_must_not_have_changed_for_so_many_minutes(self) -> None:
        assert make_batch().is_complete(10, self.LATER)
        assert not make_batch().is_complete(10, self.LATER - timedelta(seconds=1))
        assert not make_batch().is_complete(10.5, self.LATER)

    @pytest.mark.parametrize("carried", [0, 60, NOON.timestamp(), 2**35])
    @pytest.mark.parametrize("name", ["b/P/1.png", "b.zip"])
    def test_the_times_that_files_carry_do_not_matter(
        self, tmp_path: Path, name: str, carried: float
    ) -> None:
        put(str(tmp_path), name)
        os.utime(tmp_path / name, (carried, carried))
        if name != "b.zip":
            os.utime(tmp_path / "b" / "P", (carried, carried))
            os.utime(tmp_path / "b", (carried, carried))
        (batch,) = load(str(tmp_path)).batches
        now = datetime.now(UTC)
        assert batch.unchanged_since is not None
        assert abs(batch.unchanged_since - now) < timedelta(minutes=1)
        assert not batch.is_complete(30, now)
        assert not batch.is_complete(30, now + timedelta(minutes=29))
        assert batch.is_complete(30, now + timedelta(minutes=30))

    @pytest.mark.parametrize(
        ("changes", "settle_minutes"),
        [({}, None), ({"unchanged_since": None}, 0), ({"files": {}}, 0)],
    )
    def test_where_nobody_has_looked_or_waiting_is_off_the_marker_alone_counts(
        self, changes: dict[str, Any], settle_minutes: float | None
    ) -> None:
        assert not make_batch(**changes).is_complete(settle_minutes, self.LATER)

    @pytest.mark.parametrize(
        ("changes", "settle_minutes", "said"),
        [
            ({"files": {}}, 30, "It holds no file."),
            ({}, None, "It waits for the marker _READY."),
            ({"unchanged_since": None}, 30, "It waits for the marker _READY."),
            (
                {"is_zip": True, "delivered_as": "b.zip"},
                10.5,
                (
                    "It carries no marker b.zip._READY and was unchanged for 10 minutes: after "
                    "10.5 it counts as complete."
                ),
            ),
        ],
    )
    def test_what_it_waits_for_is_said(
        self, changes: dict[str, Any], settle_minutes: float | None, said: str
    ) -> None:
        assert make_batch(**changes).describe_wait(settle_minutes, self.LATER) == said


class TestDigest:
    def test_it_does_not_depend_on_the_order_of_the_files(self) -> None:
        one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
        assert make_batch(files=one).digest == make_batch(files=other).digest

    @pytest.mark.parametrize(
        "change", [{"files": {"P/1.png": 2}}, {"files": {"P/2.png": 1}}, {"changed_at": None}]
    )
    def test_names_sizes_and_time_change_it(self, change: dict[str, Any]) -> None:
        assert make_batch(**change).digest != make_batch().digest


class TestZip:
    def read(self, tmp_path: Path, *members: tuple[str, bytes]) -> dict[str, bytes]:
        with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
            for name, content in members:
                archive.writestr(name, content)
        (batch,) = load(str(tmp_path)).batches
        return dict(batch.read_files())

    def test_members_are_files_and_folders_are_not(self, tmp_path: Path) -> None:
        members = self.read(tmp_path, ("P/", b""), ("P/1.png", b"1"), ("U/2.png", b"2"))
        assert members == {"P/1.png": b"1", "U/2.png": b"2"}

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("../../P/1.png", "P/1.png"),
            ("/abs/1.png", "abs/1.png"),
            ("./P//1.png", "P/1.png"),
            ("P\\..\\1.png", "P/1.png"),
            ("C:\\P\\1.png", "C:/P/1.png"),
        ],
    )
    def test_a_name_cannot_lead_out_of_the_batch(
        self, tmp_path: Path, name: str, path: str
    ) -> None:
        assert list(self.read(tmp_path, (name, b"1"))) == [path]

    def test_its_own_name_and_content_are_read_as_they_are(self, tmp_path: Path) -> None:
        (tmp_path / "b.zip").write_bytes(b"torn")
        (batch,) = load(str(tmp_path)).batches
        assert list(batch.read_raw()) == [("b.zip", b"torn")]
        with pytest.raises(ArchiveError):
            list(batch.read_files())

    @pytest.mark.parametrize("marker", ["_BATCH.json", "../_READY"])
    def test_it_brings_no_markers_of_the_system(self, tmp_path: Path, marker: str) -> None:
        assert self.read(tmp_path, (marker, b"{}"), ("P/1.png", b"1")) == {"P/1.png": b"1"}

    def test_a_folder_that_is_called_like_one_is_a_folder(self, root: str) -> None:
        put(f"{root}/incoming", "b.zip/P/1.png")
        (batch,) = load(f"{root}/incoming").batches
        assert (batch.name, batch.is_zip, list(batch.files)) == ("b.zip", False, ["P/1.png"])
        assert list(batch.read_files()) == [("P/1.png", b"b.zip/P/1.png")]

    def test_a_zip_on_an_object_store_is_read_from_there(self) -> None:
        fsspec.filesystem("memory").store.clear()
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("P/1.png", b"1")
        write_whole(*open_filesystem("memory://bucket/incoming/b.zip"), content.getvalue())
        (batch,) = load("memory://bucket/incoming").batches
        assert list(batch.read_files()) == [("P/1.png", b"1")]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("2026-11-22_lab.a", "2026-11-22_lab.a"),
        ("Lab A, 22 Nov", "Lab-A-22-Nov"),
        ("..hidden-", "hidden"),
        ("X-ray X", "X-ray-X"),
        ("Zürich/Aa", "Z-rich-Aa"),
        ("日本", "batch"),
    ],
)
def test_a_name_is_made_of_letters_digits_and_a_few_signs(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


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
    assert inbox._changed_at({"size": 1, key: told}) == NOON


def test_where_no_time_is_told_there_is_none() -> None:
    assert inbox._changed_at({"size": 1}) is None
    assert inbox._changed_at({"mtime": None, "created": NOON}) == NOON
    assert inbox._changed_at({"mtime": b"noon"}) is None
    assert inbox._changed_at({"created": NOON, "mtime": 0.0, "updated": 60}) == datetime(
        1970, 1, 1, 0, 1, tzinfo=UTC
    )
