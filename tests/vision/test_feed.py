"""Batches: every image once an epoch, in another order, turned honestly, in bounded memory."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import tensorflow as tf

from image_classification import vision
from image_classification.vision import feed

IMAGES, BATCH = 12, 5


class CountingSource:
    """A source of four shards that remembers what was read together."""

    def __init__(self, images: int = IMAGES) -> None:
        self.pixels = np.zeros((images, 4, 4, 3), np.uint8)
        self.pixels[:, 0, 1, 0] = np.arange(1, images + 1)
        self.shape = self.pixels.shape
        self.shards = np.array_split(np.arange(images), 4)
        self.reads: list[list[int]] = []

    def read(self, rows: np.ndarray) -> np.ndarray:
        self.reads.append(rows.tolist())
        return self.pixels[rows]


def list_windowed(source: CountingSource, seed: int = 0, window: int = BATCH) -> list[list[int]]:
    """Return the numbers of the images of each batch of two epochs."""
    held = window * 4 * 4 * 3
    targets = np.arange(len(source.pixels)) % 2
    batches = feed.feed_pixels(source, targets, 2, BATCH, seed, held)
    found = []
    for (pixels, _), labels in [*batches, *batches]:
        numbers = pixels.numpy().reshape(len(pixels), -1).max(axis=1)
        np.testing.assert_array_equal(labels.numpy().argmax(axis=1), (numbers - 1) % 2)
        found.append([int(number) for number in numbers])
    return found


def test_rows_of_an_epoch_are_all_rows_once_in_another_order() -> None:
    batches = feed.feed_rows(np.arange(IMAGES) % 2, 2, BATCH, seed=0)

    epochs = []
    for _ in range(2):
        found = [(rows.numpy(), labels.numpy()) for (rows, _), labels in batches]
        assert [len(rows) for rows, _ in found] == [5, 5, 2]
        rows = np.concatenate([rows for rows, _ in found])
        labels = np.concatenate([labels for _, labels in found]).argmax(axis=1)
        assert sorted(rows) == list(range(IMAGES))
        np.testing.assert_array_equal(labels, rows % 2)
        epochs.append(list(rows))
    assert epochs[0] != epochs[1]


def test_windows_of_an_epoch_are_all_images_once_in_another_order() -> None:
    batches = list_windowed(CountingSource())

    assert [len(batch) for batch in batches] == [5, 5, 2] * 2
    first, second = ([*chain(*batches[start : start + 3])] for start in (0, 3))
    assert sorted(first) == sorted(second) == list(range(1, IMAGES + 1))
    assert first != second


def test_windows_depend_on_the_seed_alone() -> None:
    assert list_windowed(CountingSource()) == list_windowed(CountingSource())
    assert list_windowed(CountingSource()) != list_windowed(CountingSource(), seed=1)


def test_no_more_is_read_together_than_may_be_held() -> None:
    source = CountingSource(100)
    list_windowed(source, window=10)

    assert max(map(len, source.reads)) == 10
    assert len(source.reads) == 20


def test_a_window_is_filled_from_few_shards() -> None:
    source = CountingSource(100)
    list_windowed(source, window=25)

    shard_of = np.repeat(np.arange(4), 25)
    assert {len(set(shard_of[rows])) for rows in source.reads} == {1}
    assert all(rows != sorted(rows) for rows in source.reads)


def test_a_window_holds_a_whole_batch_at_least() -> None:
    assert [len(batch) for batch in list_windowed(CountingSource(), window=1)] == [5, 5, 2] * 2


@pytest.mark.parametrize(
    ("held_bytes", "reads"),
    [
        (2**20, [list(range(IMAGES))]),
        (1, [[6, 7, 8, 9, 10], [11, 0, 1, 2, 3], [4, 5]]),
    ],
)
def test_validation_is_read_once_or_shard_by_shard_where_it_is_too_large(
    held_bytes: int, reads: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "VALIDATION_BATCH", 5)
    monkeypatch.setattr(feed, "HELD_BYTES", held_bytes)
    source = CountingSource()
    source.shards = [np.arange(6, 12), np.arange(6)]

    batches = feed.feed_validation(source, np.arange(IMAGES) % 2, 2)
    for _ in range(2 if held_bytes > 1 else 1):
        found = list(batches)
        numbers = np.concatenate([part for part, _ in found]).reshape(IMAGES, -1).max(axis=1)
        labels = np.concatenate([labels for _, labels in found])
        assert sorted(numbers) == list(range(1, IMAGES + 1))
        np.testing.assert_array_equal(labels.argmax(axis=1), (numbers - 1) % 2)

    assert source.reads == reads


ALL_PLACES = {(0, 1), (0, 2), (1, 0), (2, 0), (3, 1), (3, 2), (1, 3), (2, 3)}


@pytest.mark.parametrize(
    ("symmetries", "expected"),
    [("all", ALL_PLACES), ("mirror", {(0, 1), (0, 2)}), ("none", {(0, 1)})],
)
def test_a_batch_is_turned_in_all_honest_ways_and_no_other(
    symmetries: str, expected: set[tuple[int, int]]
) -> None:
    pixels = CountingSource().pixels
    turned = [
        np.array(feed.augment(pixels, tf.constant(key, tf.int64), 0, symmetries))
        for key in range(30)
    ]

    places = {tuple(np.argwhere(image.max(axis=-1))[0]) for part in turned for image in part}
    assert places == expected
    for part in turned:
        np.testing.assert_array_equal(part.reshape(IMAGES, -1).max(axis=1), np.arange(1, 13))


def test_as_many_pixels_as_the_limit_fit() -> None:
    pixels = CountingSource().pixels
    source = vision.HeldPixels(pixels)

    assert feed.fits(source, pixels.nbytes)
    assert not feed.fits(source, pixels.nbytes - 1)


def test_no_dataset_is_left_to_the_tuner() -> None:
    source, targets = CountingSource(), np.arange(IMAGES) % 2
    datasets = [
        feed.feed_rows(targets, 2, BATCH, seed=0),
        feed.feed_pixels(source, targets, 2, BATCH, seed=0),
        feed.feed_validation(source, targets, 2),
    ]
    assert [dataset.options().autotune.enabled for dataset in datasets] == [False] * 3


def test_keras_knows_how_many_batches_there_are() -> None:
    source, targets = CountingSource(), np.arange(IMAGES) % 2
    bytes_each = source.pixels[0].nbytes
    for batches in (
        feed.feed_rows(targets, 2, 5, seed=0),
        feed.feed_pixels(source, targets, 2, 5, seed=0, held_bytes=7 * bytes_each),
        feed.feed_pixels(source, targets, 2, 5, seed=0),
        feed.feed_validation(source, targets, 2),
    ):
        assert batches.cardinality().numpy() == len(list(batches))


def test_turns_are_those_of_tensorflow() -> None:
    pixels = tf.constant(np.random.default_rng(0).integers(0, 256, (7, 6, 6, 3), np.uint8))
    for number in range(8):
        key = tf.constant(number, tf.int64)
        keys = tf.random.split(tf.stack([tf.constant(3, tf.int64), key]), 3)
        flipped = tf.image.stateless_random_flip_left_right(pixels, keys[0])
        flipped = tf.image.stateless_random_flip_up_down(flipped, keys[1])

        turned = feed.augment(pixels, key, 3).numpy()

        expected = (flipped.numpy(), tf.transpose(flipped, [0, 2, 1, 3]).numpy())
        assert any(np.array_equal(turned, one) for one in expected)
