"""What has arrived: whether it is complete, what it is called, and what is in it."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from arrivals import put_files

from image_classification.datasets import Inbox, InboxDataset, IncomingBatch
from image_classification.datasets.archive import ArchiveError
from image_classification.datasets.arrival import clean_name
from image_classification.datasets.file import NotRegularError, open_filesystem, write_whole
from image_classification.datasets.taken import Delivery

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def load(root: str) -> Inbox:
    return InboxDataset(filepath=root).load()


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
        put_files(str(tmp_path), name)
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

    def test_one_that_the_next_intake_takes_in_waits_for_nothing(self) -> None:
        assert make_batch().describe_wait(10, self.LATER) == ""

    def test_one_that_was_taken_in_and_lies_here_is_not_complete_and_says_why(self) -> None:
        known = Delivery({"P/1.png": [1, None]}, batch="b-2", fault="Permission denied", seen="x")
        batch = make_batch(files={}, left={"P/1.png": 1}, known=known, is_ready=True)
        assert batch.is_left
        assert not batch.is_complete(0, self.LATER)
        assert batch.describe_wait(0, self.LATER) == (
            "It was taken in as 'b-2' and cannot be removed from here: Permission denied."
        )

    def test_one_that_could_not_be_taken_in_is_stuck_until_something_in_it_changes(self) -> None:
        known = Delivery(fault="Permission denied", seen="x")
        batch = make_batch(known=known, is_ready=True, seen="x")
        assert (batch.is_left, batch.is_stuck) == (False, True)
        assert batch.describe_wait(0, self.LATER) == (
            "It could not be taken in: Permission denied. The next intake tries again."
        )
        assert batch.is_complete(0, self.LATER)
        assert not make_batch(known=known, is_ready=True, seen="y").is_stuck


def test_a_file_that_changes_while_it_is_read_is_never_taken_half(tmp_path: Path) -> None:
    put_files(str(tmp_path), "b/P/1.png")
    (batch,) = load(str(tmp_path)).batches
    (tmp_path / "b" / "P" / "1.png").write_bytes(b"longer than before")
    with pytest.raises(OSError, match=r"'P/1\.png' changes while it is copied"):
        list(batch.read_files())


def test_what_has_become_no_file_is_read_as_the_reason(tmp_path: Path) -> None:
    put_files(str(tmp_path), "b/P/1.png", "b/P/2.png")
    (batch,) = load(str(tmp_path)).batches
    (tmp_path / "b" / "P" / "1.png").unlink()
    os.mkfifo(tmp_path / "b" / "P" / "1.png")
    (_, reason), (path, content) = batch.read_files()
    assert isinstance(reason, NotRegularError)
    assert (path, content) == ("P/2.png", b"b/P/2.png")


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

    def test_one_that_is_torn_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "b.zip").write_bytes(b"torn")
        (batch,) = load(str(tmp_path)).batches
        with pytest.raises(ArchiveError):
            list(batch.read_files())

    @pytest.mark.parametrize("marker", ["_BATCH.json", "../_READY"])
    def test_it_brings_no_markers_of_the_system(self, tmp_path: Path, marker: str) -> None:
        assert self.read(tmp_path, (marker, b"{}"), ("P/1.png", b"1")) == {"P/1.png": b"1"}

    def test_a_folder_that_is_called_like_one_is_a_folder(self, root: str) -> None:
        put_files(f"{root}/incoming", "b.zip/P/1.png")
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
        ("a" * 99 + "-b", "a" * 99),
    ],
)
def test_a_name_is_made_of_letters_digits_and_a_few_signs(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned
