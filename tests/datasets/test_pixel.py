"""Packed pixels: given back as they were, and never named before they are there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from image_classification.datasets import PackedPixelsDataset, PixelShard, pixel
from image_classification.datasets.parquet import decode_table, encode_table
from image_classification.errors import DataError


def shard(first: int, count: int, size_px: int = 4) -> PixelShard:
    pixels = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None]
    ids = [f"image{number}" for number in range(first, first + count)]
    return PixelShard(ids, np.broadcast_to(pixels, (count, size_px, size_px, 3)).copy())


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

    def test_the_ids_are_never_written_before_the_pixels(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written, write = [], pixel.write_whole

        def record(filesystem: object, path: str, *parts: bytes) -> None:
            written.append(path.removeprefix(root.removeprefix("memory:/")))
            write(filesystem, path, *parts)

        monkeypatch.setattr(pixel, "write_whole", record)
        PackedPixelsDataset(filepath=f"{root}/pixels").save(shard(0, 2))
        digest = hashlib.sha256(b"image0\nimage1").hexdigest()[:16]
        assert written == [f"/pixels/4px/{digest}.npy", f"/pixels/4px/{digest}.parquet"]

    def test_pixels_are_listed_once_for_each_size(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = PackedPixelsDataset(filepath=str(tmp_path))
        dataset.save(shard(0, 1))
        dataset.save(shard(0, 2, size_px=8))
        packed = dataset.load()
        assert (len(packed.image_ids(4)), len(packed.image_ids(8))) == (1, 2)
        dataset.save(shard(3, 1))
        assert len(packed.image_ids(4)) == 1
        assert len(dataset.load().image_ids(4)) == 2

    def test_a_shard_of_no_images_adds_nothing(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        empty = PixelShard.empty(6)
        assert empty.image_ids == []
        assert (empty.pixels.shape, empty.pixels.dtype) == ((0, 6, 6, 3), np.uint8)
        dataset.save(empty)
        assert not dataset.exists()

    def test_a_shard_on_a_disk_is_mapped_and_not_read_as_a_whole(self, tmp_path: Path) -> None:
        dataset = PackedPixelsDataset(filepath=str(tmp_path))
        dataset.save(shard(0, 2))
        (path,) = tmp_path.rglob("*.npy")
        packed = dataset.load()
        packed.image_ids(4)
        opened = packed.open_shard(str(path))
        assert isinstance(opened, np.memmap)
        assert not opened.flags.writeable

    def test_the_rows_of_a_shard_are_those_of_the_selection_that_lie_in_it(self, root: str) -> None:
        dataset = PackedPixelsDataset(filepath=f"{root}/pixels")
        for first in (0, 3, 6):
            dataset.save(shard(first, 3))
        selection = dataset.load().select([f"image{n}" for n in (7, 0, 8, 1, 6)], 4)
        rows = sorted((rows.tolist() for rows in selection.shards), key=lambda rows: rows[0])
        assert rows == [[0, 2, 4], [1, 3]]
        assert selection.read(np.array([4, 0, 3]))[:, 0, 0, 0].tolist() == [6, 7, 1]

    @pytest.mark.parametrize("step", [1, 2])
    def test_a_shard_is_the_file_that_numpy_writes(self, tmp_path: Path, step: int) -> None:
        whole = shard(0, 6)
        part = PixelShard(whole.image_ids[::step], whole.pixels[::step])
        PackedPixelsDataset(filepath=str(tmp_path)).save(part)
        (written,) = tmp_path.rglob("*.npy")
        np.save(tmp_path / "expected.npy", whole.pixels[::step])
        assert written.read_bytes() == (tmp_path / "expected.npy").read_bytes()


class TestWhatWasPacked:
    """A shard is what was packed, or it is named."""

    @staticmethod
    def pack(folder: Path) -> tuple[PackedPixelsDataset, Path, Path]:
        dataset = PackedPixelsDataset(filepath=str(folder))
        dataset.save(shard(0, 2))
        (pixels,), (ids,) = folder.rglob("*.npy"), folder.rglob("*.parquet")
        return dataset, pixels, ids

    def test_changed_pixels_are_named_with_the_remedy_and_not_used(self, tmp_path: Path) -> None:
        dataset, pixels, _ = self.pack(tmp_path)
        content = bytearray(pixels.read_bytes())
        content[-1] ^= 1
        pixels.write_bytes(content)
        packed = dataset.load()
        with pytest.raises(DataError, match=rf"'{pixels}' are not those .*check --repair"):
            packed.read(["image0"], 4)
        assert list(dataset.load().find_damaged(4)) == [str(pixels)]

    def test_a_shard_is_checked_once(self, tmp_path: Path) -> None:
        dataset, pixels, _ = self.pack(tmp_path)
        packed = dataset.load()
        packed.read(["image0"], 4)
        pixels.write_bytes(pixels.read_bytes()[:-1] + b"x")
        packed.read(["image0"], 4)
        assert dataset.load().find_damaged(4)

    @pytest.mark.parametrize("which", ["pixels", "ids"])
    @pytest.mark.parametrize("left", [0.5, 0, None])
    def test_what_is_cut_empty_or_gone_counts_as_not_packed(
        self, tmp_path: Path, which: str, left: float | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        dataset, pixels, ids = self.pack(tmp_path)
        file = pixels if which == "pixels" else ids
        if left is None:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[: int(left * file.stat().st_size)])
        assert dataset.load().image_ids(4) == set()
        assert str(ids) in caplog.text or left is None
        dataset.save(shard(0, 2))
        assert dataset.load().read(["image1"], 4)[0, 0, 0, 0] == 1

    def test_shards_of_before_have_no_digest_and_are_read(self, tmp_path: Path) -> None:
        dataset, _, ids = self.pack(tmp_path)
        ids.write_bytes(encode_table(decode_table(ids.read_bytes())[["image_id"]]))
        assert dataset.load().read(["image1"], 4)[0, 0, 0, 0] == 1
        assert dataset.load().find_damaged(4) == {}
