"""Pixels wherever they lie: a part at a time, each once."""

from __future__ import annotations

import numpy as np
import pytest

from image_classification import vision
from image_classification.vision.source import count_bytes

IMAGES = 10


class ShardedPixels(vision.HeldPixels):
    """Held pixels that say that they lie in two shards."""

    @property
    def shards(self) -> list[np.ndarray]:
        return [np.arange(6, IMAGES), np.arange(6)]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3), np.uint8)


def test_held_pixels_are_a_source_of_one_shard(pixels: np.ndarray) -> None:
    source = vision.HeldPixels(pixels)

    assert source.shape == pixels.shape
    assert [rows.tolist() for rows in source.shards] == [list(range(IMAGES))]
    np.testing.assert_array_equal(source.read(np.array([3, 1])), pixels[[3, 1]])


def test_the_size_of_a_source_is_that_of_all_its_pixels(pixels: np.ndarray) -> None:
    assert count_bytes(vision.HeldPixels(pixels)) == pixels.nbytes
    assert count_bytes(vision.HeldPixels(pixels[:0])) == 0


def test_chunks_have_each_row_once_in_the_order_of_the_shards(pixels: np.ndarray) -> None:
    chunks = list(vision.read_chunks(ShardedPixels(pixels), 4))

    assert [rows.tolist() for rows, _ in chunks] == [[6, 7, 8, 9], [0, 1, 2, 3], [4, 5]]
    for rows, read in chunks:
        np.testing.assert_array_equal(read, pixels[rows])


def test_no_pixels_give_no_chunk(pixels: np.ndarray) -> None:
    assert list(vision.read_chunks(vision.HeldPixels(pixels[:0]), 4)) == []
