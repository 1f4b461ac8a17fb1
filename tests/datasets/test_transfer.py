"""A batch is brought into a folder whole, or nothing of it stays there."""

from __future__ import annotations

import errno
import io
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from samples import zip_files

from image_classification.datasets import (
    ImageBatches,
    ImageBatchesDataset,
    InboxDataset,
    guarded,
)
from image_classification.datasets import transfer as module
from image_classification.datasets.archive import ArchiveError
from image_classification.datasets.budget import Budget
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.datasets.spelling import Spellings
from image_classification.intake.limit import DEFAULT_LIMITS

SOUND = {"P/1.png": b"1", "U/2.png": b"22"}


def put(root: Path, name: str, content: bytes = b"") -> None:
    write_whole(*open_filesystem(f"{root}/{name}"), content)


def put_zip(root: Path, content: bytes) -> None:
    put(root / "incoming", "b.zip", content)
    put(root / "incoming", "b.zip._READY")


def put_folder(root: Path) -> None:
    for path, content in SOUND.items():
        put(root / "incoming" / "b", path, content)
    put(root / "incoming" / "b", "_READY")


def take_in(root: Path, *, copies: bool = True, **limits: Any) -> ImageBatches:
    batches = ImageBatchesDataset(filepath=f"{root}/images")
    if copies:
        batches._rename = lambda *_: False  # type: ignore[method-assign] - as to another disk
    inbox = InboxDataset(filepath=f"{root}/incoming", notes=f"{root}/images")
    for batch in inbox.load().batches:
        allowed: Any = DEFAULT_LIMITS | limits
        batches.save(replace(batch, limits=allowed))
    return batches.load()


def list_all(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


LIMITS = [
    {"maximum_files": 1},
    {"maximum_total_gib": 2 / 2**30},
    {"maximum_name_bytes": 4},
    {"maximum_minutes": 1e-9},
]


@pytest.mark.parametrize("limits", [*LIMITS, {"maximum_file_mib": 1 / 2**20}])
def test_a_zip_beyond_a_limit_is_kept_as_it_is_with_its_fault(
    tmp_path: Path, limits: dict[str, Any]
) -> None:
    content = zip_files(SOUND)
    put_zip(tmp_path, content)
    batches = take_in(tmp_path, **limits)
    assert "(arrival.maximum_" in batches.read_manifest("b")["fault"]
    assert list_all(tmp_path / "images") == ["b/_BATCH.json", "b/b.zip"]
    assert (tmp_path / "images" / "b" / "b.zip").read_bytes() == content
    assert list_all(tmp_path / "incoming") == []


@pytest.mark.parametrize("limits", LIMITS)
def test_a_folder_beyond_a_limit_that_would_be_copied_stays_with_the_reason(
    tmp_path: Path, limits: dict[str, Any]
) -> None:
    put_folder(tmp_path)
    assert take_in(tmp_path, **limits).names() == []
    inbox = InboxDataset(filepath=f"{tmp_path}/incoming", notes=f"{tmp_path}/images")
    (batch,) = inbox.load().batches
    assert batch.is_stuck
    assert "(arrival.maximum_" in batch.describe_stay()
    assert list_all(tmp_path / "incoming") == ["b/P/1.png", "b/U/2.png"]
    assert take_in(tmp_path).names() == ["b"]


def test_a_folder_beyond_a_limit_that_is_moved_is_not_read(tmp_path: Path) -> None:
    put_folder(tmp_path)
    batches = take_in(tmp_path, copies=False, maximum_files=1)
    assert "it holds 2 files" in batches.read_manifest("b")["fault"]
    assert batches.list_files("b").empty
    assert batches.list_left_out("b") == {
        "image of a batch that is not read": ["P/1.png", "U/2.png"]
    }


@pytest.mark.parametrize("arrived", [put_folder, lambda root: put_zip(root, zip_files(SOUND))])
class TestFullDisk:
    def test_without_room_for_all_of_it_nothing_is_begun(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrived: Any
    ) -> None:
        arrived(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30 + 2))
            patch.setattr(module, "write_whole", lambda *_: pytest.fail("it was begun"))
            assert take_in(tmp_path).names() == []
        assert not (tmp_path / "images").exists() or list_all(tmp_path / "images") == []
        assert take_in(tmp_path).names() == ["b"]

    def test_a_disk_that_gets_full_meanwhile_keeps_nothing_half(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrived: Any
    ) -> None:
        arrived(tmp_path)
        before = list_all(tmp_path / "incoming")

        def fill(filesystem: Any, path: str, *parts: bytes) -> None:
            if path.endswith("2.png"):
                raise OSError(errno.ENOSPC, "No space left on device")
            write_whole(filesystem, path, *parts)

        with monkeypatch.context() as patch:
            patch.setattr(module, "write_whole", fill)
            assert take_in(tmp_path).names() == []
        assert list((tmp_path / "images").iterdir()) == []
        assert list_all(tmp_path / "incoming") == before
        assert take_in(tmp_path).names() == ["b"]


def test_names_that_a_disk_cannot_hold_quarantine_a_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_zip(tmp_path, zip_files(SOUND))

    def refuse(filesystem: Any, path: str, *parts: bytes) -> None:
        if path.endswith("2.png"):
            raise OSError(errno.EINVAL, "Invalid argument")
        write_whole(filesystem, path, *parts)

    monkeypatch.setattr(module, "write_whole", refuse)
    batches = take_in(tmp_path)
    assert "because of 'U/2.png' in it: [Errno 22]" in batches.read_manifest("b")["fault"]
    assert list_all(tmp_path / "images") == ["b/_BATCH.json", "b/b.zip"]


def test_two_files_that_the_disk_takes_for_one_quarantine_a_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_zip(tmp_path, zip_files(SOUND))
    monkeypatch.setattr(Spellings, "find_other", lambda _, path: "P" if path[0] == "U" else "")
    fault = take_in(tmp_path).read_manifest("b")["fault"]
    assert "because of 'U/2.png' in it: this disk takes its name for 'P'" in fault


def test_a_folder_called_as_a_mark_of_the_system_is_said_and_loses_nothing(tmp_path: Path) -> None:
    files = SOUND | {"_BATCH.json/3.png": b"333"}
    put_zip(tmp_path, zip_files(files))
    for path, content in files.items():
        put(tmp_path / "incoming" / "c", path, content)
    reason = "a folder has the name of a mark of the system: rename it"
    batches = take_in(tmp_path)
    assert reason in batches.read_manifest("b")["fault"]
    assert batches.names() == ["b"]
    inbox = InboxDataset(filepath=f"{tmp_path}/incoming", notes=f"{tmp_path}/images")
    assert reason in inbox.load().batches[0].describe_stay()
    assert list_all(tmp_path / "incoming") == [
        *("c/P/1.png", "c/U/2.png", "c/_BATCH.json", "c/_BATCH.json/3.png")
    ]
    assert list_all(tmp_path / "images" / "b") == ["_BATCH.json", "b.zip"]
    assert not (tmp_path / "images" / ".c.partial").exists()


def test_what_is_not_copied_stays_where_it_was_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_folder(tmp_path)
    monkeypatch.setattr(guarded, "MAXIMUM_FILE_BYTES", 1)
    for _ in range(2):
        batches = take_in(tmp_path)
        assert batches.names() == ["b"]
        assert list_all(tmp_path / "incoming") == ["b/U/2.png"]
    assert "it is 2 bytes: at most 1 are" in str(batches.try_open(["b/U/2.png"]))
    inbox = InboxDataset(filepath=f"{tmp_path}/incoming", notes=f"{tmp_path}/images")
    assert inbox.load().batches[0].describe_stay() == (
        "It was taken in as 'b' and cannot be removed from here: 'U/2.png' was not taken in (it is "
        "2 bytes: at most 1 are allowed): take it away."
    )
    put(tmp_path / "incoming" / "b", "P/3.png", b"3")
    assert take_in(tmp_path).names() == ["b", "b-2"]
    assert list_all(tmp_path / "incoming") == ["b/U/2.png"]


def test_names_that_are_not_utf8_may_be_those_of_the_batch_too(tmp_path: Path) -> None:
    for number, name in enumerate([rb"a\xe9", b"a\xe9"]):
        batch = tmp_path / "incoming" / os.fsdecode(name)
        put(batch, os.fsdecode(b"P/caf\xe9.png"), b"%d" % number)
    batches = take_in(tmp_path)
    assert batches.read([r"a-xe9/P/caf\xe9.png", r"a/P/caf\xe9.png"]) == [b"0", b"1"]
    assert list_all(tmp_path / "incoming") == []


def test_what_a_copy_took_is_noted_for_the_inspection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_folder(tmp_path)
    monkeypatch.setattr(Budget, "spent_s", 12.34)
    assert take_in(tmp_path).read_manifest("b")["spent_s"] == 12.3


def test_a_name_as_long_as_a_disk_allows_is_unpacked(tmp_path: Path) -> None:
    name = f"P/{'x' * 251}.png"
    put_zip(tmp_path, zip_files({name: b"1"}))
    assert take_in(tmp_path).read([f"b/{name}"]) == [b"1"]


def test_names_of_a_zip_that_are_not_utf8_are_what_they_are_in_a_folder(tmp_path: Path) -> None:
    content = zip_files({"P/caf?.png": b"1"})
    put_zip(tmp_path, content.replace(b"caf?", b"caf\xe9"))
    batches = take_in(tmp_path)
    assert batches.list_files("b")["image_name"].tolist() == [r"caf\xe9.png"]
    assert batches.read([r"b/P/caf\xe9.png"]) == [b"1"]
    (file,) = (tmp_path / "images" / "b" / "P").iterdir()
    assert os.fsencode(file.name) == b"caf\xe9.png"


def test_a_link_in_a_zip_is_refused_with_the_reason(tmp_path: Path) -> None:
    file, link = io.BytesIO(), zipfile.ZipInfo("P/1.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("P/2.png", b"2")
    put_zip(tmp_path, file.getvalue())
    batches = take_in(tmp_path)
    reason, content = batches.try_open(["b/P/1.png", "b/P/2.png"])
    assert (str(reason), content) == ("it is a link, packed without the file it leads to", b"2")


def test_a_zip_of_somebody_else_or_on_another_disk_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_zip(tmp_path, b"torn")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "x")))
    take_in(tmp_path)
    assert (tmp_path / "images" / "b" / "b.zip").read_bytes() == b"torn"


def test_of_a_zip_that_grows_no_more_is_copied_than_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_zip(tmp_path, b"torn")

    def grow(*_: object) -> None:
        with (tmp_path / "incoming" / "b.zip").open("ab") as file:
            file.write(b" and more")
        raise OSError(errno.EXDEV, "x")

    monkeypatch.setattr(os, "link", grow)
    take_in(tmp_path)
    assert (tmp_path / "images" / "b" / "b.zip").read_bytes() == b"torn"
    assert (tmp_path / "incoming" / "b.zip").read_bytes() == b"torn and more"


def test_what_is_wrong_is_told_without_a_batch_being_moved(tmp_path: Path) -> None:
    put_zip(tmp_path, b"torn")
    (batch,) = InboxDataset(filepath=f"{tmp_path}/incoming").load().batches
    with pytest.raises(ArchiveError):
        batch.measure()
    assert module.measure(batch)[0] == 0
