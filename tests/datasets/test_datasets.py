"""The catalog's own datasets, on a disk and on an object store kept in memory."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
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
    ImageSource,
    ImageSourceDataset,
    InboxDataset,
    PackedPixelsDataset,
    PixelShard,
    RecordsDataset,
    RegisteredNetworkDataset,
    WholeJSONDataset,
    pixel,
    table,
)
from image_classification.datasets import file as file_module
from image_classification.datasets.file import (
    PIECE_BYTES,
    open_filesystem,
    read_in_parts,
    write_whole,
)
from image_classification.datasets.folder import find_files
from image_classification.datasets.parquet import decode_table, encode_table
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

    def test_a_shard_that_is_saved_holds_no_pixels_any_more(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        saved = shard(0, 2)
        dataset.save(saved)
        assert saved.pixels.nbytes == 0
        assert saved.pixels.base is None
        dataset.save(saved)
        assert dataset.load().image_ids(4) == {"image0", "image1"}

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

    def test_a_selection_is_read_a_part_at_a_time_and_knows_its_shards(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        dataset.save(shard(0, 3))
        dataset.save(shard(3, 2))
        selection = dataset.load().select(["image4", "image0", "image3", "image2"], 4)
        assert selection.shape == (4, 4, 4, 3)
        together = sorted(sorted(rows.tolist()) for rows in selection.shards)
        assert together == [[0, 2], [1, 3]]
        assert selection.read(np.array([2, 1]))[:, 0, 0, 0].tolist() == [3, 0]
        assert selection.read(np.array([], dtype=int)).shape == (0, 4, 4, 3)
        assert dataset.load().select([], 4).shards == []

    def test_no_shard_stays_open_after_it_was_read(self, tmp_path: Path) -> None:
        dataset = PackedPixelsDataset(filepath=str(tmp_path))
        dataset.save(shard(0, 3))
        selection = dataset.load().select(["image0"], 4)
        selection.read(np.array([0]))
        maps = Path("/proc/self/maps")
        assert not maps.exists() or str(tmp_path) not in maps.read_text()

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

        def killed(filesystem: object, path: str, *parts: bytes) -> None:
            if path.endswith(".parquet"):
                raise KeyboardInterrupt
            write(filesystem, path, *parts)

        monkeypatch.setattr(pixel, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(shard(0, 2))
        monkeypatch.undo()
        assert dataset.load().image_ids(4) == set()
        dataset.save(shard(0, 2))
        assert dataset.load().image_ids(4) == {"image0", "image1"}

    @pytest.mark.parametrize("step", [1, 2])
    def test_a_shard_is_the_file_that_numpy_writes(self, tmp_path: Path, step: int) -> None:
        whole = shard(0, 6)
        part = PixelShard(whole.image_ids[::step], whole.pixels[::step])
        PackedPixelsDataset(filepath=str(tmp_path)).save(part)
        (written,) = tmp_path.rglob("*.npy")
        np.save(tmp_path / "expected.npy", whole.pixels[::step])
        assert written.read_bytes() == (tmp_path / "expected.npy").read_bytes()


def count_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each part of an appended table that is opened."""
    opened: list[str] = []
    open_part = AppendedTableDataset._open

    def note(dataset: AppendedTableDataset, path: str) -> object:
        opened.append(path)
        return open_part(dataset, path)

    monkeypatch.setattr(AppendedTableDataset, "_open", note)
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
            monkeypatch.setattr(table, "HELD_ROWS", 0)
        opened = count_opened(monkeypatch)
        log.load()
        if end == "released":
            log.release()
        if end == "gone":
            log = self.open(root)
        log.load()
        assert len(opened) == 2

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

        monkeypatch.setattr("image_classification.datasets.folder.read_file", fail)
        with pytest.raises(TimeoutError):
            batches.try_read(["b/P/1.png"])

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

    def test_the_incoming_folder_cannot_be_written_through_the_catalog(self, root: str) -> None:
        with pytest.raises(Exception, match="image-classification deliver"):
            InboxDataset(filepath=f"{root}/incoming").save(object())


def test_files_on_a_disk_are_found_as_fsspec_finds_them(tmp_path: Path) -> None:
    for name in ("P/1.png", "P/.hidden/2.png", "top.png", "P/deep/er/3.png"):
        write_whole(fsspec.filesystem("file"), f"{tmp_path}/a/{name}", name.encode())
    (tmp_path / "a" / "link.png").symlink_to(tmp_path / "a" / "P" / "1.png")
    (tmp_path / "a" / "folder").symlink_to(tmp_path / "a" / "P")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere")
    filesystem, root = open_filesystem(f"{tmp_path}/a")

    found = find_files(filesystem, root)

    expected = filesystem.find(root, detail=True)
    assert [f"{root}/{path}" for path in found] == list(expected)
    for path, facts in found.items():
        told = expected[f"{root}/{path}"]
        assert facts == {"size": told["size"], "mtime": told["mtime"]}
    assert find_files(filesystem, f"{root}/absent") == {}


def test_a_file_is_written_whole_of_many_pieces(root: str) -> None:
    content = np.random.default_rng(0).integers(0, 256, 3 * PIECE_BYTES + 5, np.uint8)
    filesystem, path = open_filesystem(f"{root}/folder/file")

    write_whole(filesystem, path, b"head", content.data, b"")

    assert filesystem.cat_file(path) == b"head" + content.tobytes()
    assert len(filesystem.find(path.rpartition("/")[0])) == 1


@pytest.mark.parametrize(
    ("from_memory_s", "alone", "threaded"),
    [(1e9, True, False), (0.0, True, True), (1e9, False, True)],
)
def test_files_are_read_by_threads_unless_they_come_as_from_memory(
    from_memory_s: float, alone: bool, threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "FROM_MEMORY_S", from_memory_s)
    parts: list[tuple[int, list[str]]] = []

    def read(some: Sequence[str]) -> list[str]:
        parts.append((threading.get_ident(), list(some)))
        return [f"content of {path}" for path in some]

    paths = [f"{number}.png" for number in range(60)]
    contents = read_in_parts(read, paths, 4, alone=alone)
    assert contents == [f"content of {path}" for path in paths]
    assert sorted(path for _, some in parts for path in some) == sorted(paths)
    by_threads = [some for thread, some in parts if thread != threading.get_ident()]
    assert bool(by_threads) == threaded
    assert len(by_threads) <= 4
    assert read_in_parts(read, [], 4, alone=alone) == []


def test_a_table_of_the_index_is_what_pandas_reads() -> None:
    table = pd.DataFrame({"name": ["a", "b", ""], "count": [1, 2, 3], "share": [0.5, np.nan, 1.0]})
    content = encode_table(table)
    pd.testing.assert_frame_equal(decode_table(content), table)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(content)), table)
    pd.testing.assert_frame_equal(decode_table(table.to_parquet()), table)


def test_a_kill_leaves_the_old_json_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = WholeJSONDataset(filepath=str(tmp_path / "names.json"))
    dataset.save(["a", "b"])

    def killed(*paths: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
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


class TestImageSource:
    """Images to score: a folder or a list, on a disk or an object store."""

    def put_list(self, root: str, table: pd.DataFrame, suffix: str) -> str:
        content = (
            table.to_parquet(index=False) if suffix == ".parquet" else table.to_csv(index=False)
        )
        place = f"{root}/lists/cells{suffix}"
        encoded = content if isinstance(content, bytes) else content.encode()
        write_whole(*open_filesystem(place), encoded)
        return place

    def test_a_folder_gives_the_images_of_all_its_sub_folders_sorted(self, root: str) -> None:
        for name in ("b/2.PNG", "a/x/1.jpg", "0.tif", "a/Thumbs.db", ".hidden/3.png"):
            write_whole(*open_filesystem(f"{root}/cells/{name}"), name.encode())
        source = ImageSourceDataset(filepath=f"{root}/cells").load()
        images = source.list_images()
        assert list(images) == ["image_name", "path"]
        assert images["image_name"].tolist() == ["0.tif", "a/x/1.jpg", "b/2.PNG"]
        assert source.read(images["path"]) == [b"0.tif", b"a/x/1.jpg", b"b/2.PNG"]

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_a_table_gives_the_images_in_its_order_each_as_often_as_it_names_them(
        self, root: str, suffix: str
    ) -> None:
        for name in ("lists/2.png", "lists/sub/1.png"):
            write_whole(*open_filesystem(f"{root}/{name}"), name.encode())
        table = pd.DataFrame({"extra": [1, 2, 3], "path": ["2.png", "sub/1.png", "2.png"]})
        source = ImageSource("never looked at")
        images = source.list_images(self.put_list(root, table, suffix))
        assert images["image_name"].tolist() == ["2.png", "sub/1.png", "2.png"]
        assert source.read(images["path"]) == [
            b"lists/2.png",
            b"lists/sub/1.png",
            b"lists/2.png",
        ]

    def test_a_table_may_name_its_images_otherwise(self, root: str) -> None:
        table = pd.DataFrame({"path": ["1.png", "2.png"], "image_name": ["first", ""]})
        images = ImageSource("").list_images(self.put_list(root, table, ".csv"))
        assert images["image_name"].tolist() == ["first", "2.png"]

    def test_a_text_file_gives_a_path_per_line(self, root: str) -> None:
        write_whole(*open_filesystem(f"{root}/2.png"), b"2")
        content = "\ufeff 2.png \r\n\r\nsub/1.png\n".encode()
        write_whole(*open_filesystem(f"{root}/cells.TXT"), content)
        images = ImageSource("").list_images(f"{root}/cells.TXT")
        assert images["image_name"].tolist() == ["2.png", "sub/1.png"]
        assert ImageSource("").read(images["path"]) == [
            b"2",
            "the file cannot be read: there is no such file",
        ]

    def test_a_list_on_a_disk_may_name_files_elsewhere(self, tmp_path: Path) -> None:
        fsspec.filesystem("memory").store.clear()
        fsspec.filesystem("memory").pipe_file("/bucket/1.png", b"1")
        (tmp_path / "2.png").write_bytes(b"2")
        (tmp_path / "lists").mkdir()
        paths = ["memory://bucket/1.png", f"{tmp_path}/2.png"]
        (tmp_path / "lists" / "cells.txt").write_text("\n".join(paths))
        source = ImageSource("")
        images = source.list_images(str(tmp_path / "lists" / "cells.txt"))
        assert images["image_name"].tolist() == images["path"].tolist() == paths
        assert source.read(images["path"]) == [b"1", b"2"]

    def test_a_relative_place_is_found_from_another_folder_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "cells").mkdir()
        (tmp_path / "cells" / "1.png").write_bytes(b"1")
        (tmp_path / "cells.txt").write_text("cells/1.png")
        monkeypatch.chdir(tmp_path)
        listed = [ImageSource("").list_images(place) for place in ("cells", "cells.txt")]
        monkeypatch.chdir("/")
        assert [ImageSource("").read(images["path"]) for images in listed] == [[b"1"], [b"1"]]

    def test_what_cannot_be_read_is_told_for_each_file(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"1")
        paths = [
            *(f"{tmp_path}/1.png", f"{tmp_path}/2.png", str(tmp_path), f"{tmp_path}/1.png/3.png"),
            *(f"{tmp_path}/{'x' * 300}.png", "flying://4.png", f"{tmp_path}/\0.png"),
        ]
        first, *others = ImageSource("").read(paths)
        assert first == b"1"
        assert len(others) == 6
        for reason in others:
            assert isinstance(reason, str)
            assert reason.startswith("the file cannot be read: ")
        assert "flying" in str(others[4])

    def test_a_store_that_does_not_answer_is_no_reason_against_an_image(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise TimeoutError("no answer")

        monkeypatch.setattr("image_classification.datasets.source.read_file", fail)
        with pytest.raises(TimeoutError):
            ImageSource("").read([f"{tmp_path}/1.png"])

    def test_nothing_is_read_when_nothing_is_asked_for(self) -> None:
        assert ImageSource("").read([]) == []

    @pytest.mark.parametrize(
        ("place", "content", "message"),
        [
            ("nowhere", None, r"nowhere' does not exist\. Name a folder.*IMAGE_CLASSIFICATION_INF"),
            (
                "cells.xlsx",
                b"",
                r"a file that ends in '\.xlsx', and no folder.*\.txt, \.csv, \.par",
            ),
            ("cells/readme.md", b"", r"holds no image: expected files ending in.*found 1 other"),
            ("cells.txt", b" \n\n", r"list '.*cells\.txt' is empty"),
            ("cells.csv", b"path,image_name\n", r"list '.*cells\.csv' is empty"),
            ("cells.csv", b"", r"cells\.csv' cannot be read as \.csv: No columns"),
            ("cells.csv", b"file\n1.png\n", r"no column 'path'\. Received columns: file\."),
            ("cells.csv", b"path,n\n1.png,1\n,2\n,3\n", r"2 rows without a path, first row 2"),
            ("cells.parquet", b"PAR1", r"cells\.parquet' cannot be read as \.parquet"),
            ("cells.txt", b"\xff\xfe1", r"cells\.txt' cannot be read as \.txt"),
        ],
        ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
    )
    def test_what_is_wrong_with_a_folder_or_list_is_named(
        self, tmp_path: Path, place: str, content: bytes | None, message: str
    ) -> None:
        if content is not None:
            (tmp_path / place).parent.mkdir(exist_ok=True)
            (tmp_path / place).write_bytes(content)
        place = "cells" if place.startswith("cells/") else place
        with pytest.raises(DataError, match=message):
            ImageSource("").list_images(str(tmp_path / place))

    def test_images_to_score_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(Exception, match="read-only"):
            ImageSourceDataset(filepath=str(tmp_path)).save(object())
