"""The catalog's own datasets, on a disk and on an object store kept in memory."""

from __future__ import annotations

import time
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from image_classification import datasets
from image_classification.datasets import (
    GrowingTableDataset,
    ImageFolderDataset,
    PackedPixelsDataset,
    PixelShard,
    RegisteredNetworkDataset,
    WholeJSONDataset,
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
        write = datasets.write_whole

        def killed(filesystem: object, path: str, content: bytes) -> None:
            if path.endswith(".parquet"):
                raise KeyboardInterrupt
            write(filesystem, path, content)

        monkeypatch.setattr(datasets, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(shard(0, 2))
        monkeypatch.undo()
        assert dataset.load().image_ids(4) == set()
        dataset.save(shard(0, 2))
        assert dataset.load().image_ids(4) == {"image0", "image1"}


class TestGrowingTable:
    def test_an_absent_table_reads_as_empty_with_its_columns(self, root: str) -> None:
        dataset = GrowingTableDataset(filepath=f"{root}/a.parquet", columns=["path", "label"])
        assert dataset.load().columns.tolist() == ["path", "label"]
        assert len(dataset.load()) == 0

    def test_gives_back_what_was_saved(self, root: str) -> None:
        dataset = GrowingTableDataset(filepath=f"{root}/deep/a.parquet", columns=["n"])
        dataset.save(pd.DataFrame({"n": [1, 2]}))
        dataset.save(pd.DataFrame({"n": [3]}))
        assert dataset.load()["n"].tolist() == [3]

    def test_a_kill_between_writing_and_renaming_leaves_the_old_table(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = GrowingTableDataset(filepath=str(tmp_path / "a.parquet"), columns=["n"])
        dataset.save(pd.DataFrame({"n": [1]}))

        def killed(*paths: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(type(dataset._filesystem), "mv", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(pd.DataFrame({"n": [2]}))
        monkeypatch.undo()
        assert dataset.load()["n"].tolist() == [1]

    def test_a_failed_upload_leaves_the_old_table_on_an_object_store(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = GrowingTableDataset(filepath="memory://bucket/kept.parquet", columns=["n"])
        dataset.save(pd.DataFrame({"n": [1]}))

        def fail(*paths: object, **options: object) -> None:
            raise OSError("no answer")

        monkeypatch.setattr(type(dataset._filesystem), "pipe_file", fail)
        with pytest.raises(Exception, match="no answer"):
            dataset.save(pd.DataFrame({"n": [2]}))
        assert dataset.load()["n"].tolist() == [1]

    def test_an_empty_table_keeps_its_columns(self, root: str) -> None:
        dataset = GrowingTableDataset(filepath=f"{root}/a.parquet", columns=["path", "reason"])
        dataset.save(pd.DataFrame(columns=["path", "reason"], dtype=object))
        assert dataset.exists()
        assert dataset.load().columns.tolist() == ["path", "reason"]


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

    def test_tells_a_file_that_was_replaced_by_one_of_the_same_size(self, root: str) -> None:
        filesystem, path = fsspec.core.url_to_fs(f"{root}/cells/a/1.png")
        path = path.replace("/bucket", "")
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        found = []
        for content in (b"one", b"two"):
            time.sleep(0.02)  # the clock of a disk ticks every few milliseconds
            filesystem.pipe_file(path, content)
            found.append(ImageFolderDataset(filepath=f"{root}/cells").load().files.iloc[0])
        assert found[0]["size_bytes"] == found[1]["size_bytes"]
        assert found[0]["modified_at"] < found[1]["modified_at"]

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
        with pytest.raises(Exception, match=r"nowhere' does not exist.*IMAGE_CLASSIFICATION_IMAGE"):
            ImageFolderDataset(filepath=str(tmp_path / "nowhere")).load()

    def test_names_a_folder_without_images_and_what_was_expected(self, tmp_path: Path) -> None:
        (tmp_path / "readme.txt").touch()
        with pytest.raises(Exception, match=r"holds no image: expected <class>/<image>.*1 other"):
            ImageFolderDataset(filepath=str(tmp_path)).load()

    def test_raw_images_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(Exception, match="read-only"):
            ImageFolderDataset(filepath=str(tmp_path)).save(object())
