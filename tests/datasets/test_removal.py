"""What was copied is removed where it was: nothing else, whatever a depositor writes there."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from image_classification.datasets import (
    ImageBatchesDataset,
    InboxDataset,
    IncomingBatch,
    removal,
)
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.removal import remove_taken
from image_classification.datasets.taken import Delivery


def deliver(tmp_path: Path, *names: str) -> IncomingBatch:
    for name in names:
        write_whole(*open_filesystem(f"{tmp_path}/incoming/b/{name}"), b"1")
    (batch,) = InboxDataset(filepath=f"{tmp_path}/incoming").load().batches
    return batch


def open_batches(tmp_path: Path, *, copies: bool = True) -> ImageBatchesDataset:
    batches = ImageBatchesDataset(filepath=f"{tmp_path}/images")
    if copies:
        batches._rename = lambda *_: False  # type: ignore[method-assign] - as to another disk
    return batches


@pytest.mark.parametrize("copies", [True, False])
@pytest.mark.parametrize("content", [["../../victim"], {"files": {"../../victim": 1}}, "/victim"])
def test_a_marker_in_a_delivered_folder_is_a_file_as_any(
    tmp_path: Path, content: object, copies: bool
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"1")
    deliver(tmp_path, "P/1.png", "_BATCH.json", "_READY")
    marker = tmp_path / "incoming" / "b" / "_TAKEN.json"
    marker.write_text(json.dumps(content).replace("/victim", str(victim)))
    (batch,) = InboxDataset(filepath=f"{tmp_path}/incoming").load().batches
    batches = open_batches(tmp_path, copies=copies)
    batches.save(batch)
    assert victim.read_bytes() == b"1"
    assert batches.load().read(["b/P/1.png"]) == [b"1"]
    assert batches.load().read_manifest("b")["delivered_as"] == "b"
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_link_that_takes_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    batch = deliver(tmp_path, "P/1.png", "_READY")
    write_whole(*open_filesystem(f"{tmp_path}/outside/1.png"), b"1")
    for folder in (tmp_path / "incoming" / "b" / "P", tmp_path / "incoming" / "b"):
        for file in sorted(folder.rglob("*"), reverse=True):
            file.unlink()
        folder.rmdir()
        folder.symlink_to(tmp_path / "outside")
        for path in ("P/1.png", "1.png", "../../outside/1.png"):
            known = Delivery({path: 1}, time.time() + 60)
            remove_taken(replace(batch, files={path: 1}), known)
        assert (tmp_path / "outside" / "1.png").exists()


def test_what_came_later_under_the_same_name_stays(tmp_path: Path) -> None:
    batch = deliver(tmp_path, "P/1.png", "P/2.png", "_READY")
    left = remove_taken(batch, Delivery({"P/1.png": 1}, time.time() - 60))
    assert left == {"P/1.png": "has changed since it was taken in"}
    assert remove_taken(batch, Delivery({"P/1.png": [1, 0.0]}, time.time() + 60)) == {}
    assert remove_taken(batch, Delivery({"P/2.png": 2}, time.time() + 60)) == {}
    folder = tmp_path / "incoming" / "b" / "P"
    assert sorted(file.name for file in folder.iterdir()) == ["1.png", "2.png"]
    remove_taken(batch, Delivery({"P/1.png": 1}, time.time() + 60))
    assert [file.name for file in folder.iterdir()] == ["2.png"]


def test_a_zip_that_changed_while_it_was_taken_in_is_looked_at_again(tmp_path: Path) -> None:
    place = tmp_path / "incoming" / "b.zip"
    write_whole(*open_filesystem(str(place)), b"zip")
    (batch,) = InboxDataset(filepath=f"{tmp_path}/incoming").load().batches
    known = Delivery({"b.zip": 3}, time.time())
    changed_at = place.stat().st_mtime
    for content, at in ((b"more", changed_at), (b"pig", changed_at + 1)):
        place.write_bytes(content)
        os.utime(place, (at, at))
        assert remove_taken(batch, known) == {"b.zip": "has changed since it was taken in"}
        assert place.exists()
    looked_at = replace(batch, files={}, left=batch.files)
    assert remove_taken(looked_at, known) == {}
    assert not place.exists()


def test_a_change_of_rights_alone_does_not_keep_a_file_that_was_taken_in(tmp_path: Path) -> None:
    batch = deliver(tmp_path, "P/1.png", "P/2.png", "_READY")
    write_whole(*open_filesystem(f"{tmp_path}/images/b/P/1.png"), b"1")
    write_whole(*open_filesystem(f"{tmp_path}/images/b/P/2.png"), b"2")
    known = Delivery({path: [1, batch.carried[path]] for path in batch.files}, time.time() - 60)
    assert list(remove_taken(batch, known, f"{tmp_path}/images/b")) == ["P/2.png"]
    left = sorted(file.name for file in (tmp_path / "incoming").rglob("*.png"))
    assert left == ["2.png"]


def test_what_cannot_be_removed_is_remembered_and_not_taken_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batch, batches = deliver(tmp_path, "P/1.png", "_READY"), open_batches(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove_guarded", refuse)
        for _ in range(3):
            batches.save(batch)
    assert "Batch 'b' stays in the incoming folder, at least in part" in caplog.text
    assert batches.load().names() == ["b"]
    batches.save(batch)
    assert list((tmp_path / "incoming").iterdir()) == []
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["b"]


def test_a_folder_that_nothing_may_be_written_to_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, batches = deliver(tmp_path, "P/1.png", "_READY"), open_batches(tmp_path, copies=False)
    opened = Path.open

    def refuse(self: Path, *arguments: object, **options: object) -> object:
        if "incoming" in str(self):
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        batches.save(batch)
    assert batches.load().read(["b/P/1.png"]) == [b"1"]


def test_a_removal_that_an_older_release_left_half_done_is_a_batch_as_any(tmp_path: Path) -> None:
    deliver(tmp_path, "P/2.png", "_READY")
    (tmp_path / "incoming" / "b" / "_TAKEN.json").write_text('["P/1.png", "P/2.png"]')
    (batch,) = InboxDataset(filepath=f"{tmp_path}/incoming").load().batches
    batches = open_batches(tmp_path, copies=False)
    batches.save(batch)
    assert batches.load().list_files("b")["path"].tolist() == ["b/P/2.png"]
