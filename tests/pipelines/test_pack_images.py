"""`pack_images`: each image is decoded once for each size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from samples import (
    DATA_PROCESSING,
    NEGATIVE,
    POSITIVE,
    draw_cells,
    fill_folder,
    no_inspections,
    open_folder,
)

from image_classification import vision
from image_classification.datasets import ImageFolder, PackedPixelsDataset
from image_classification.pipelines.data_processing import nodes
from image_classification.pipelines.data_processing.nodes import index_images, pack_images


@pytest.fixture
def raw_images(tmp_path: Path) -> ImageFolder:
    """Ten images."""
    return open_folder(fill_folder(tmp_path / "raw", draw_cells([POSITIVE, NEGATIVE], 5)))


@pytest.fixture
def index(raw_images: ImageFolder) -> pd.DataFrame:
    return index_images(raw_images, no_inspections(), DATA_PROCESSING)[1]


@pytest.fixture
def store(tmp_path: Path) -> PackedPixelsDataset:
    return PackedPixelsDataset(filepath=str(tmp_path / "pixels"))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call decodes from now on."""
    decode, counts = vision.decode_images, []

    def count(contents: Sequence[bytes], size_px: int) -> np.ndarray:
        counts.append(len(contents))
        return decode(contents, size_px)

    monkeypatch.setattr(vision, "decode_images", count)
    return counts


def pack(
    raw_images: ImageFolder, index: pd.DataFrame, store: PackedPixelsDataset, size_px: int
) -> None:
    """Do what Kedro does: save each shard as it comes."""
    for shard in pack_images(raw_images, index, store.load(), size_px):
        store.save(shard)


def test_packed_pixels_are_those_of_the_files(
    raw_images: ImageFolder, index: pd.DataFrame, store: PackedPixelsDataset
) -> None:
    pack(raw_images, index, store, 16)

    packed = store.load().read(index["image_id"].tolist(), 16)
    assert packed.shape == (10, 16, 16, 3)
    np.testing.assert_array_equal(
        packed, vision.decode_images(raw_images.read(index["path"].tolist()), 16)
    )


def test_only_new_images_are_decoded(
    raw_images: ImageFolder, index: pd.DataFrame, store: PackedPixelsDataset, decoded: list[int]
) -> None:
    pack(raw_images, index.iloc[:7], store, 16)
    pack(raw_images, index, store, 16)
    pack(raw_images, index, store, 16)

    assert decoded == [7, 3]
    assert store.load().image_ids(16) == set(index["image_id"])


def test_another_size_is_packed_apart(
    raw_images: ImageFolder, index: pd.DataFrame, store: PackedPixelsDataset, decoded: list[int]
) -> None:
    pack(raw_images, index, store, 16)
    pack(raw_images, index.iloc[:4], store, 24)

    assert decoded == [10, 4]
    assert store.load().image_ids(16) == set(index["image_id"])
    assert store.load().image_ids(24) == set(index["image_id"].iloc[:4])


@pytest.mark.parametrize(("chunk", "counts"), [(3, [3, 3, 3, 1]), (10, [10]), (5, [5, 5])])
def test_shards_come_one_at_a_time_and_hold_no_more_than_a_chunk(
    raw_images: ImageFolder,
    index: pd.DataFrame,
    store: PackedPixelsDataset,
    decoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    counts: list[int],
) -> None:
    monkeypatch.setattr(nodes, "CHUNK_IMAGES", chunk)

    shards = pack_images(raw_images, index, store.load(), 16)

    assert decoded == []
    assert len(next(shards).image_ids) == counts[0]
    assert decoded == counts[:1]
    assert [len(shard.pixels) for shard in shards] == counts[1:]


def test_a_run_cut_short_goes_on_where_it_stopped(
    raw_images: ImageFolder,
    index: pd.DataFrame,
    store: PackedPixelsDataset,
    decoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nodes, "CHUNK_IMAGES", 4)
    store.save(next(pack_images(raw_images, index, store.load(), 16)))

    pack(raw_images, index, store, 16)

    assert decoded == [4, 4, 2]
    assert store.load().image_ids(16) == set(index["image_id"])
