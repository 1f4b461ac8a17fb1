"""From the incoming folder to the folder of batches: moved whole, whatever interrupts it."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
from samples import fill_folder, zip_files

from image_classification.datasets import (
    ImageBatches,
    ImageBatchesDataset,
    InboxDataset,
    IncomingBatch,
    cache,
    file,
    folder,
    removal,
    transfer,
)
from image_classification.datasets import batch as module
from image_classification.datasets.archive import REMEDY
from image_classification.datasets.file import open_filesystem, write_whole
from image_classification.errors import DataError
from image_classification.intake.limit import DEFAULT_LIMITS


class TestBatches:
    """From the incoming folder to the folder of batches, each on a disk or an object store."""

    @pytest.fixture(params=["disk to disk", "memory to disk", "disk to memory", "memory"])
    def places(self, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
        fsspec.filesystem("memory").store.clear()
        disk, memory = str(tmp_path), "memory://bucket"
        incoming = memory if request.param.startswith("memory") else disk
        images = memory if request.param.endswith("memory") else disk
        return f"{incoming}/incoming", f"{images}/images"

    def put(self, root: str, name: str, content: bytes = b"") -> None:
        filesystem, path = open_filesystem(root)
        write_whole(filesystem, f"{path}/{name}", content)

    def take_in(self, places: tuple[str, str]) -> ImageBatchesDataset:
        batches = ImageBatchesDataset(filepath=places[1])
        for batch in InboxDataset(filepath=places[0]).load().batches:
            if batch.is_ready:
                batches.save(batch)
        return batches

    def test_a_batch_is_moved_whole(self, places: tuple[str, str]) -> None:
        for name in ("b/P/1.png", "b/U/2.png", "b/_READY"):
            self.put(places[0], name, name.encode())
        batches = self.take_in(places).load()
        assert batches.names() == ["b"]
        files = batches.list_files("b")
        assert files["path"].tolist() == ["b/P/1.png", "b/U/2.png"]
        assert files["label"].tolist() == ["P", "U"]
        assert batches.read(["b/U/2.png"]) == [b"b/U/2.png"]
        assert batches.read_manifest("b")["delivered_as"] == "b"
        assert InboxDataset(filepath=places[0]).load().batches == []

    def test_an_interrupted_move_is_finished_and_not_repeated(
        self, places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("b/P/1.png", "b/U/2.png", "b/_READY"):
            self.put(places[0], name, name.encode())
        with monkeypatch.context() as patch:
            patch.setattr(module, "remove_taken", lambda *_: None)
            self.take_in(places)
        removed = []
        with monkeypatch.context() as patch:
            sound = removal._remove_file

            def killed(filesystem: object, path: str) -> None:
                if removed:
                    raise KeyboardInterrupt
                removed.append(path)
                sound(filesystem, path)

            patch.setattr(removal, "_remove_file", killed)
            with suppress(KeyboardInterrupt):
                self.take_in(places)
        self.take_in(places)
        assert self.take_in(places).load().names() == ["b"]
        assert InboxDataset(filepath=places[0]).load().batches == []

    def test_a_file_that_comes_later_starts_a_batch_of_its_own(
        self, places: tuple[str, str]
    ) -> None:
        for name in ("b/P/1.png", "b/_READY"):
            self.put(places[0], name, b"1")
        self.take_in(places)
        for name in ("b/P/1.png", "b/_READY"):
            self.put(places[0], name, b"2")
        batches = self.take_in(places).load()
        assert batches.names() == ["b", "b-2"]
        assert batches.read(["b/P/1.png", "b-2/P/1.png"]) == [b"1", b"2"]

    def test_a_file_that_is_gone_is_told_from_a_store_that_does_not_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.put(f"{tmp_path}/images", "b/P/1.png", b"1")
        batches = ImageBatchesDataset(filepath=f"{tmp_path}/images").load()
        assert batches.try_read(["b/P/1.png", "b/P/2.png"]) == [b"1", None]

        def fail(*_: object) -> None:
            raise TimeoutError("no answer")

        monkeypatch.setattr("image_classification.datasets.folder.read_file", fail)
        with pytest.raises(TimeoutError):
            batches.try_read(["b/P/1.png"])

    @pytest.mark.parametrize("code", ["ELOOP", "EINVAL", "ENXIO", "EILSEQ", "ENAMETOOLONG"])
    def test_an_odd_file_is_told_alone_whatever_the_disk_calls_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        read = folder.read_file

        def fail(filesystem: Any, path: str, within: str | None) -> bytes:
            if path.endswith("2.png"):
                raise OSError(getattr(errno, code), "an odd file")
            return read(filesystem, path, within)

        for name in ("1.png", "2.png", "3.png"):
            self.put(f"{tmp_path}/images", f"b/P/{name}", b"1")
        batches = ImageBatchesDataset(filepath=f"{tmp_path}/images").load()
        monkeypatch.setattr(folder, "read_file", fail)
        paths = ["b/P/1.png", "b/P/2.png", "b/P/3.png"]
        assert batches.try_read(paths) == [b"1", None, b"1"]

    def test_labels_are_found_without_looking_at_the_images(
        self, places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = b"image_name,labelled_by,labelled_on\n1.png,Ada,2026-11-22\n"
        for name, content in {
            "a/P/1.png": b"1",
            "a/labels.csv": table,
            "b/w/P/1.png": b"1",
        }.items():
            self.put(places[1], name, content)
        self.put(places[1], "b/w/labels.csv", table)
        batches = ImageBatchesDataset(filepath=places[1]).load()

        def fail(*_: object, **__: object) -> None:
            pytest.fail("all files were listed")

        monkeypatch.setattr(type(batches.filesystem), "find", fail)
        for name in ("a", "b"):
            assert batches.read_labels(name)["labelled_by"].tolist() == ["Ada"]

    def test_the_manifest_tells_what_arrived_and_when(self, places: tuple[str, str]) -> None:
        for name in ("Lab A/P/1.png", "Lab A/_READY"):
            self.put(places[0], name)
        (arrived,) = InboxDataset(filepath=places[0]).load().batches
        manifest = self.take_in(places).load().read_manifest("Lab-A")
        assert manifest["delivered_as"] == "Lab A"
        assert manifest["delivery"] == arrived.digest
        taken_at = datetime.fromisoformat(manifest["taken_at"])
        assert taken_at.utcoffset() == timedelta(0)
        assert taken_at.microsecond == 0
        assert abs(datetime.now(UTC) - taken_at) < timedelta(minutes=5)
        vouched = [] if "://" in places[0] else ["depositor"]
        copied = ["spent_s"] if "://" in "".join(places) else []
        assert sorted(manifest) == ["delivered_as", "delivery", *vouched, *copied, "taken_at"]

    def test_who_has_delivered_a_batch_is_read_where_nobody_else_could_have_noted_it(
        self, places: tuple[str, str]
    ) -> None:
        for name in ("b/P/1.png", "b/_READY"):
            self.put(places[0], name)
        if "://" not in places[0]:
            Path(places[0]).chmod(0o755)
        batches = self.take_in(places).load()
        owner = None if "://" in places[0] else os.getuid()
        assert batches.read_depositor("b") == owner
        if "://" not in places[1]:
            Path(places[1], "b").chmod(0o777)
            assert batches.read_depositor("b") is None

    def test_markers_are_no_files_of_a_batch_that_was_taken_in(
        self, places: tuple[str, str]
    ) -> None:
        for name in ("b/P/1.png", "b/labels.csv", "b/_READY"):
            self.put(places[0], name)
        batches = self.take_in(places).load()
        assert batches.list_files("b")["path"].tolist() == ["b/P/1.png"]

    def test_folders_in_folders_are_left_behind_nowhere(self, places: tuple[str, str]) -> None:
        for name in ("b/w/P/1.png", "b/w/U/2.png", "b/_READY"):
            self.put(places[0], name)
        self.take_in(places)
        filesystem, path = open_filesystem(places[0])
        assert filesystem.find(path) == []
        assert not filesystem.exists(f"{path}/b")

    def test_a_folder_without_a_manifest_or_hidden_is_no_batch(
        self, places: tuple[str, str]
    ) -> None:
        self.put(places[1], "half/P/1.png")
        self.put(places[1], ".aside.partial/_BATCH.json")
        self.put(places[1], "b/_BATCH.json")
        self.put(places[1], "a/_BATCH.json")
        batches = ImageBatchesDataset(filepath=places[1]).load()
        assert batches.names() == ["a", "b"]
        self.put(places[1], "half/_BATCH.json")
        assert batches.names() == ["a", "b", "half"]

    def test_a_third_delivery_of_a_name_gets_the_next_number(self, places: tuple[str, str]) -> None:
        for content in (b"1", b"22", b"333"):
            for name in ("b/P/1.png", "b/_READY"):
                self.put(places[0], name, content)
            batches = self.take_in(places).load()
        assert batches.names() == ["b", "b-2", "b-3"]

    def test_a_zip_is_unpacked_and_removed_with_its_marker(self, places: tuple[str, str]) -> None:
        self.put(places[0], "b.zip", zip_files({"P/1.png": b"1", "../../x.png": b"2"}))
        self.put(places[0], "b.zip._READY")
        batches = self.take_in(places).load()
        assert batches.list_files("b")["path"].tolist() == ["b/P/1.png", "b/x.png"]
        assert "fault" not in batches.read_manifest("b")
        filesystem, path = open_filesystem(places[0])
        assert filesystem.find(path) == []

    @pytest.mark.parametrize("damage", ["torn", "too large"])
    def test_a_damaged_zip_is_taken_in_as_it_is_with_its_fault(
        self, places: tuple[str, str], damage: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = zip_files({"P/1.png": b"123", "P/2.png": b"1234"})
        if damage == "torn":
            content = content[:-30]
        monkeypatch.setitem(DEFAULT_LIMITS, "maximum_file_mib", 3 / 2**20)
        self.put(places[0], "b.zip", content)
        self.put(places[0], "b.zip._READY")
        batches = self.take_in(places).load()
        fault = batches.read_manifest("b")["fault"]
        if damage == "torn":
            assert fault.startswith("'b.zip' is not a whole zip file: ")
        else:
            assert fault.startswith(
                "'b.zip' cannot be unpacked, because of 'P/2.png' in it: it says"
            )
        assert fault.endswith(f". {REMEDY}.")
        filesystem, path = open_filesystem(places[1])
        assert filesystem.cat_file(f"{path}/b/b.zip") == content
        assert len(batches.list_files("b")) == 0
        assert len(filesystem.find(f"{path}/b")) == 2

    def test_what_is_left_of_an_interrupted_copy_is_written_anew(
        self, places: tuple[str, str]
    ) -> None:
        self.put(places[1], "b/P/old.png")
        self.put(places[1], ".b.partial/P/old.png")
        self.put(places[0], "b.zip", zip_files({"P/1.png": b"1"}))
        self.put(places[0], "b.zip._READY")
        if not places[1].startswith("memory"):
            shutil.rmtree(f"{places[1]}/b")
        assert self.take_in(places).load().list_files("b")["path"].tolist() == ["b/P/1.png"]

    def test_the_manifest_is_written_last(
        self, places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written, write = [], module.write_whole

        def record(filesystem: object, path: str, *parts: bytes) -> None:
            written.append(path.rpartition("/")[2])
            write(filesystem, path, *parts)

        monkeypatch.setattr(module, "write_whole", record)
        monkeypatch.setattr(transfer, "write_whole", record)
        monkeypatch.setattr(file, "write_whole", record)
        self.put(places[0], "b.zip", zip_files({"P/1.png": b"1", "U/2.png": b"2"}))
        self.put(places[0], "b.zip._READY")
        self.take_in(places)
        assert sorted(written[:2]) == ["1.png", "2.png"]
        assert written[2] == "_BATCH.json"

    def test_on_a_disk_a_batch_appears_whole(
        self, places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen, write = [], module.write_whole
        filesystem, path = open_filesystem(places[1])

        def look(*what: object) -> None:
            seen.append(filesystem.exists(f"{path}/b"))
            write(*what)

        monkeypatch.setattr(module, "write_whole", look)
        monkeypatch.setattr(transfer, "write_whole", look)
        self.put(places[0], "b.zip", zip_files({"P/1.png": b"1", "U/2.png": b"2"}))
        self.put(places[0], "b.zip._READY")
        self.take_in(places)
        assert seen[:3] == [False] * 3 or places[1].startswith("memory")
        assert filesystem.exists(f"{path}/b")
        assert not filesystem.exists(f"{path}/.b.partial")

    def test_a_manifest_is_written_so_that_a_person_can_read_it(
        self, places: tuple[str, str]
    ) -> None:
        for name in ("b/P/1.png", "b/_READY"):
            self.put(places[0], name)
        self.take_in(places)
        filesystem, path = open_filesystem(places[1])
        text = filesystem.cat_file(f"{path}/b/_BATCH.json").decode()
        assert text.startswith('{\n  "delivered_as": "b",\n  "delivery": "')

    def test_a_file_that_arrives_while_a_batch_is_taken_in_stays(
        self, places: tuple[str, str]
    ) -> None:
        for name in ("b/P/1.png", "b/_READY"):
            self.put(places[0], name)
        batches = ImageBatchesDataset(filepath=places[1])
        (batch,) = InboxDataset(filepath=places[0]).load().batches
        if not places[0].startswith("memory") and not places[1].startswith("memory"):
            batches._rename = lambda *_: False  # type: ignore[method-assign] - as to another disk
        self.put(places[0], "b/P/late.png", b"late")
        batches.save(batch)
        (left,) = InboxDataset(filepath=places[0]).load().batches
        assert (list(left.files), left.is_ready) == (["P/late.png"], False)


class TestOneDisk:
    """Where incoming folder and batches lie on one disk, a batch is renamed."""

    @pytest.fixture
    def arrived(self, tmp_path: Path) -> IncomingBatch:
        for name in ("b/P/1.png", "b/_READY"):
            write_whole(*open_filesystem(f"{tmp_path}/incoming/{name}"), b"1")
        (batch,) = InboxDataset(filepath=f"{tmp_path}/incoming").load().batches
        return batch

    def test_its_files_are_not_copied(
        self, arrived: IncomingBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = (tmp_path / "incoming" / "b" / "P" / "1.png").stat().st_ino
        monkeypatch.setattr(IncomingBatch, "read_files", lambda _: pytest.fail("it was copied"))
        ImageBatchesDataset(filepath=f"{tmp_path}/images").save(arrived)
        assert (tmp_path / "images" / "b" / "P" / "1.png").stat().st_ino == before

    def test_another_disk_gets_a_copy(
        self, arrived: IncomingBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Path.rename

        def refuse(self: Path, target: str) -> Path:
            if "incoming" in str(self):
                raise OSError(18, "Invalid cross-device link")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", refuse)
        batches = ImageBatchesDataset(filepath=f"{tmp_path}/images")
        batches.save(arrived)
        assert batches.load().read(["b/P/1.png"]) == [b"1"]
        assert sorted(path.name for path in (tmp_path / "images" / "b").iterdir()) == [
            "P",
            "_BATCH.json",
        ]
        assert list((tmp_path / "incoming").iterdir()) == []
        assert [path.name for path in (tmp_path / "images").iterdir()] == ["b"]


class TestLabels:
    """The table `labels.csv` of a batch."""

    def read(self, tmp_path: Path, content: bytes) -> pd.DataFrame:
        write_whole(*open_filesystem(f"{tmp_path}/b/labels.csv"), content)
        return ImageBatchesDataset(filepath=str(tmp_path)).load().read_labels("b")

    def test_a_batch_without_one_has_no_rows(self, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        labels = ImageBatchesDataset(filepath=str(tmp_path)).load().read_labels("b")
        assert labels.columns.tolist() == ["image_name", "labelled_by", "labelled_on"]
        assert labels.empty
        assert ImageBatchesDataset(filepath=str(tmp_path)).load().read_labels("c").empty

    def test_its_columns_are_text_in_their_order(self, tmp_path: Path) -> None:
        content = b"labelled_on,extra,image_name,labelled_by\n2026,x,007,NA\n"
        labels = self.read(tmp_path, content)
        assert labels.to_dict("records") == [
            {"image_name": "007", "labelled_by": "NA", "labelled_on": "2026"}
        ]

    @pytest.mark.parametrize("name", ["Labels.CSV", "LABELS.csv", "wrapped/Labels.csv"])
    def test_it_may_be_written_in_capitals_and_is_no_other_file(
        self, tmp_path: Path, name: str
    ) -> None:
        fill_folder(tmp_path / "b", {name: b"image_name,labelled_by,labelled_on\na,b,c\n"})
        batches = ImageBatchesDataset(filepath=str(tmp_path)).load()
        assert len(batches.read_labels("b")) == 1
        assert batches.list_left_out("b") == {}

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                b"name,labelled_by\nx,y\n",
                (
                    "labels.csv of batch 'b' has no column image_name, labelled_on: expected "
                    "image_name, labelled_by, labelled_on, received name, labelled_by. Save it as "
                    "CSV in UTF-8, with these names in the first line."
                ),
            ),
            (
                b"image_name,labelled_by,labelled_on\na,b,c\nz,b,c\nz,d,e\n",
                (
                    "labels.csv of batch 'b' names 'z' more than once: one row per image is "
                    "allowed. Remove all others."
                ),
            ),
        ],
    )
    def test_a_wrong_one_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        with pytest.raises(DataError) as raised:
            self.read(tmp_path, content)
        assert str(raised.value) == message

    @pytest.mark.parametrize(
        "content", [b"", b'image_name,labelled_by,labelled_on\n"', b"\xff\xfe,\n", b"a,b\n1,2,3\n4"]
    )
    def test_one_that_is_no_table_is_refused(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(DataError, match=r"^labels.csv of batch 'b' (cannot be read: |has no)"):
            self.read(tmp_path, content)


def test_a_closed_or_missing_file_is_none_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "b" / "folder.png").mkdir(parents=True)
    (tmp_path / "b" / "1.png").write_bytes(b"1")
    batches = ImageBatchesDataset(filepath=str(tmp_path)).load()
    paths = ["b/folder.png", "b/1.png", "b/2.png", "b/1.png/3.png"]
    assert batches.try_read(paths) == [None, b"1", None, None]
    with pytest.raises(DataError, match=r"'b/2\.png' cannot be read"):
        batches.read(["b/1.png", "b/2.png"])


class TestIndexedImages:
    """An image is what was indexed, or it is named."""

    @pytest.fixture
    def batches(self, tmp_path: Path) -> ImageBatches:
        for name in ("1.png", "2.png"):
            path = tmp_path / "b" / "P" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        return ImageBatchesDataset(filepath=str(tmp_path)).load()

    def list_images(self) -> pd.DataFrame:
        digests = [hashlib.sha256(name).hexdigest() for name in (b"1.png", b"2.png")]
        return pd.DataFrame({"path": ["b/P/1.png", "b/P/2.png"], "image_id": digests})

    def test_a_bucket_is_asked_for_each_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "_folder", f"{tmp_path}/cache")
        filesystem, root = open_filesystem("memory://bucket")
        write_whole(filesystem, f"{root}/first/1.png", b"a cell")
        batches = ImageBatches(root, filesystem)
        digest = hashlib.sha256(b"a cell").hexdigest()
        images = pd.DataFrame({"path": ["first/1.png"], "image_id": [digest]})
        assert batches.read_images(images) == [b"a cell"]
        filesystem.rm(root, recursive=True)
        assert batches.read_images(images) == [b"a cell"]

    def test_images_as_indexed_are_read_in_order(self, batches: ImageBatches) -> None:
        images = self.list_images()
        assert batches.read_images(images) == [b"1.png", b"2.png"]
        assert batches.try_read_images(images[::-1]) == [b"2.png", b"1.png"]

    def test_an_image_that_was_changed_is_named_and_not_used(
        self, batches: ImageBatches, tmp_path: Path
    ) -> None:
        (tmp_path / "b" / "P" / "2.png").write_bytes(b"another cell")
        with pytest.raises(DataError, match=r"1 of 2 images are not .*'b/P/2\.png'.*Restore"):
            batches.read_images(self.list_images())
        assert batches.try_read_images(self.list_images()) == [b"1.png", None]
