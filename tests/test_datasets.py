"""The catalog's own datasets, on a disk and on an object store kept in memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from image_classification.datasets import (
    AppendedTableDataset,
    BatchTablesDataset,
    ImageBatchesDataset,
    ImageFolderDataset,
    InboxDataset,
    PackedPixelsDataset,
    PixelShard,
    RecordsDataset,
    RegisteredNetworkDataset,
    WholeJSONDataset,
    pixel,
)
from image_classification.errors import DataError


def shard(first: int, count: int, size_px: int = 4) -> PixelShard:
    pixels = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None]
    ids = [f"image{number}" for number in range(first, first + count)]
    return PixelShard(ids, np.broadcast_to(pixels, (count, size_px, size_px, 3)).copy())


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path)
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"


class TestPackedPixels:
    def test_gives_pixels_back_in_the_order_asked_for(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        dataset.save(shard(0, 3))
        dataset.save(shard(3, 2))
        pixels = dataset.load().read(["image4", "image0", "image3"], 4)
        assert pixels.shape == (3, 4, 4, 3)
        assert pixels.dtype == np.uint8
        assert pixels[:, 0, 0, 0].tolist() == [4, 0, 3]

    def test_keeps_sizes_apart(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        dataset.save(shard(0, 2, size_px=4))
        dataset.save(shard(0, 1, size_px=8))
        packed = dataset.load()
        assert packed.image_ids(4) == {"image0", "image1"}
        assert packed.image_ids(8) == {"image0"}
        assert packed.image_ids(16) == set()

    def test_saving_a_shard_again_changes_nothing(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        for _ in range(2):
            dataset.save(shard(0, 2))
        assert dataset.load().image_ids(4) == {"image0", "image1"}

    def test_names_how_many_images_are_missing_and_the_remedy(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        dataset.save(shard(0, 1))
        with pytest.raises(DataError, match=r"1 of 2 images .*image7.*data_processing"):
            dataset.load().read(["image0", "image7"], 4)

    def test_an_image_asked_for_twice_is_given_twice(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        dataset.save(shard(0, 3))
        pixels = dataset.load().read(["image1", "image1", "image0"], 4)
        assert pixels[:, 0, 0, 0].tolist() == [1, 1, 0]
        assert dataset.load().read([], 4).shape == (0, 4, 4, 3)

    def test_an_image_packed_at_another_size_is_missing_at_this_one(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        dataset.save(shard(0, 1, size_px=4))
        with pytest.raises(DataError, match=r"not packed at 8 px.*image_size_px=8"):
            dataset.load().read(["image0"], 8)

    def test_a_new_shard_is_seen_by_a_dataset_opened_before(self, root: str) -> None:
        before = PackedPixelsDataset(filepath=f"{root}/pixels")
        assert not before.exists()
        before.load()
        PackedPixelsDataset(filepath=f"{root}/pixels").save(shard(0, 1))
        assert before.exists()
        assert before.load().image_ids(4) == {"image0"}

    def test_an_empty_store_is_empty(self, root: str) -> None:
        assert PackedPixelsDataset(filepath=f"{root}/none").load().image_ids(4) == set()

    def test_a_shard_killed_before_its_ids_were_written_counts_as_absent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = PackedPixelsDataset(filepath=str(tmp_path))
        write = pixel.write_whole

        def killed(filesystem: object, path: str, content: bytes) -> None:
            if path.endswith(".parquet"):
                raise KeyboardInterrupt
            write(filesystem, path, content)

        monkeypatch.setattr(pixel, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(shard(0, 2))
        monkeypatch.undo()
        assert dataset.load().image_ids(4) == set()
        dataset.save(shard(0, 2))
        assert dataset.load().image_ids(4) == {"image0", "image1"}


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

        monkeypatch.setattr(type(log._filesystem), "mv", killed)
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
    def test_records_are_a_mapping_sorted_by_name(self, root: str) -> None:
        dataset = RecordsDataset(filepath=f"{root}/records")
        assert dict(dataset.load()) == {}
        dataset.save({"b": {"n": 1}, "a": {"n": 2}})
        dataset.save({"b": {"n": 3}})
        assert dict(dataset.load()) == {"a": {"n": 2}, "b": {"n": 3}}
        assert dataset.load().get("c") is None


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
        from image_classification.datasets.file import open_filesystem, write_whole

        filesystem, path = open_filesystem(root)
        write_whole(filesystem, f"{path}/{name}", content)

    def take_in(self, places: tuple[str, str]) -> ImageBatchesDataset:
        batches = ImageBatchesDataset(filepath=places[1])
        for batch in InboxDataset(filepath=places[0]).load().batches:
            if batch.is_ready or batch.is_taken:
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
        from image_classification.datasets import batch as module

        for name in ("b/P/1.png", "b/U/2.png", "b/_READY"):
            self.put(places[0], name, name.encode())
        with monkeypatch.context() as patch:
            patch.setattr(module, "_remove", lambda _: None)
            self.take_in(places)
        removed = []
        with monkeypatch.context() as patch:
            sound = module._remove_file

            def killed(filesystem: object, path: str) -> None:
                if removed:
                    raise KeyboardInterrupt
                removed.append(path)
                sound(filesystem, path)

            patch.setattr(module, "_remove_file", killed)
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

    def test_hidden_files_and_folders_are_no_batches(self, places: tuple[str, str]) -> None:
        for name in (".b.partial/P/1.png", ".DS_Store", "lost.png"):
            self.put(places[0], name)
        inbox = InboxDataset(filepath=places[0]).load()
        assert inbox.batches == []
        assert inbox.stray == ["lost.png"]

    def test_a_file_that_is_gone_is_told_from_a_store_that_does_not_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.put(f"{tmp_path}/images", "b/P/1.png", b"1")
        batches = ImageBatchesDataset(filepath=f"{tmp_path}/images").load()
        assert batches.try_read(["b/P/1.png", "b/P/2.png"]) == [b"1", None]

        def fail(*_: object) -> None:
            raise TimeoutError("no answer")

        monkeypatch.setattr(type(batches.filesystem), "cat_file", fail)
        with pytest.raises(TimeoutError):
            batches.try_read(["b/P/1.png"])

    def test_the_incoming_folder_cannot_be_written_through_the_catalog(self, root: str) -> None:
        with pytest.raises(Exception, match="image-classification deliver"):
            InboxDataset(filepath=f"{root}/incoming").save(object())


def test_a_kill_leaves_the_old_json_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = WholeJSONDataset(filepath=str(tmp_path / "names.json"))
    dataset.save(["a", "b"])

    def killed(*paths: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(dataset._fs), "mv", killed)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(["c"])
    assert dataset.load() == ["a", "b"]


def test_a_registered_network_cannot_be_saved() -> None:
    with pytest.raises(Exception, match="cannot be saved through the catalog"):
        RegisteredNetworkDataset(model_name="cells", alias="champion").save(object())


def test_a_shared_json_file_is_replaced_whole(tmp_path: Path) -> None:
    dataset = WholeJSONDataset(filepath=str(tmp_path / "names.json"))
    dataset.save(["a", "b"])
    dataset.save(["c"])
    assert dataset.load() == ["c"]
    assert [path.name for path in tmp_path.iterdir()] == ["names.json"]


class TestImageFolder:
    def test_lists_images_with_their_labels_and_ignores_other_files(self, tmp_path: Path) -> None:
        for name in ("b/2.PNG", "a/1.jpg", "a/Thumbs.db", "c/3.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(name.encode())
        folder = ImageFolderDataset(filepath=str(tmp_path)).load()
        assert folder.files["path"].tolist() == ["a/1.jpg", "b/2.PNG"]
        assert folder.files["label"].tolist() == ["a", "b"]
        assert folder.ignored == 2
        assert folder.read(["b/2.PNG", "a/1.jpg"]) == [b"b/2.PNG", b"a/1.jpg"]

    def test_reads_an_object_store_as_a_disk(self, root: str) -> None:
        fsspec.filesystem("memory").store.clear()
        for name in ("b/2.png", "a/1.png", "a/Thumbs.db"):
            filesystem, path = fsspec.core.url_to_fs(f"{root}/cells/{name}")
            # Kedro leaves the bucket out of addresses in memory.
            path = path.replace("/bucket", "")
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(path, name.encode())
        folder = ImageFolderDataset(filepath=f"{root}/cells").load()
        assert folder.files["path"].tolist() == ["a/1.png", "b/2.png"]
        assert folder.files["label"].tolist() == ["a", "b"]
        assert folder.files["size_bytes"].tolist() == [7, 7]
        assert folder.ignored == 1
        assert folder.read(["b/2.png"]) == [b"b/2.png"]

    def test_names_a_file_that_is_gone_and_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").touch()
        folder = ImageFolderDataset(filepath=str(tmp_path)).load()
        (tmp_path / "1.png").unlink()
        with pytest.raises(DataError, match=r"'1\.png' cannot be read .*Restore it"):
            folder.read(["1.png"])

    def test_reads_nothing_when_asked_for_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").touch()
        assert ImageFolderDataset(filepath=str(tmp_path)).load().read([]) == []

    def test_names_a_missing_folder_and_how_to_set_another(self, tmp_path: Path) -> None:
        with pytest.raises(Exception, match=r"nowhere' does not exist.*IMAGE_CLASSIFICATION_INF"):
            ImageFolderDataset(filepath=str(tmp_path / "nowhere")).load()

    def test_names_a_folder_without_images_and_what_was_expected(self, tmp_path: Path) -> None:
        (tmp_path / "readme.txt").touch()
        with pytest.raises(Exception, match=r"holds no image: expected files ending in.*1 other"):
            ImageFolderDataset(filepath=str(tmp_path)).load()

    def test_images_to_classify_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(Exception, match="read-only"):
            ImageFolderDataset(filepath=str(tmp_path)).save(object())
