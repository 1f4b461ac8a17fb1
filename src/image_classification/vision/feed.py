"""Batches for training and validation: shuffled, in bounded memory, repeatable."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from image_classification.vision.pixels import Pixels, without_tuning
from image_classification.vision.source import (
    HeldPixels,
    PixelSource,
    Rows,
    count_bytes,
    read_chunks,
)

Targets = npt.NDArray[np.integer]

HELD_BYTES = 2**29
"""Pixels held in memory: all of a smaller set, or the images that are shuffled together.

At 64 pixels a side 43,690 images."""

VALIDATION_BATCH = 256

PREPARED = 2
"""Batches ready for the step; more would only take memory."""


def fits(source: PixelSource, limit_bytes: int) -> bool:
    """Tell whether all pixels of a source may be held."""
    return count_bytes(source) <= limit_bytes


def feed_rows(targets: Targets, class_count: int, batch_size: int, seed: int) -> tf.data.Dataset:
    """Yield batches by their row numbers, for pixels that the device holds.

    Yields:
        ``((rows, key), labels)``: int64 ``(batch,)``, int64 ``()`` to augment by, float32
        ``(batch, classes)``. Each epoch has every row once, in another order.
    """
    with tf.device("/CPU:0"):
        labels = tf.one_hot(targets, class_count)
        order = tf.data.Dataset.range(len(targets)).shuffle(len(targets), seed=seed)
        batches = order.batch(batch_size).map(lambda rows: (rows, tf.gather(labels, rows)))
        return _add_keys(batches, seed)


def feed_pixels(
    source: PixelSource,
    targets: Targets,
    class_count: int,
    batch_size: int,
    seed: int,
    held_bytes: int = HELD_BYTES,
) -> tf.data.Dataset:
    """Yield batches of a source too large to be held, a window at a time.

    A window is filled from shards in random order, and its images are shuffled: nearly as random
    as a shuffle of all, while a shard is needed for one window of an epoch, or for two where it
    lies across an edge. Three windows at most exist at a time.

    Yields:
        ``((pixels, key), labels)``: uint8 ``(batch, size, size, 3)``, the others as `feed_rows`.
        Each epoch has every image once.
    """
    images, *shape = source.shape
    bytes_each = max(count_bytes(source) // max(images, 1), 1)
    window = max(held_bytes // bytes_each // batch_size, 1) * batch_size
    labels = np.eye(class_count, dtype=np.float32)[targets]
    epochs = count()

    def read_windows() -> Iterator[tuple[Pixels, npt.NDArray[np.float32]]]:
        for rows in shuffle_shards(source, window, np.random.default_rng([seed, next(epochs)])):
            yield source.read(rows), labels[rows]

    def cut(pixels: tf.Tensor, answers: tf.Tensor) -> tf.data.Dataset:
        starts = tf.data.Dataset.range(0, tf.shape(pixels, tf.int64)[0], batch_size)
        return starts.map(
            lambda start: (pixels[start : start + batch_size], answers[start : start + batch_size])
        )

    with tf.device("/CPU:0"):
        signature = (
            tf.TensorSpec((None, *shape), tf.uint8),
            tf.TensorSpec((None, class_count), tf.float32),
        )
        windows = tf.data.Dataset.from_generator(read_windows, output_signature=signature)
        batches = _tell_length(windows.prefetch(1).flat_map(cut), images, batch_size)
        return _add_keys(batches, seed)


def shuffle_shards(source: PixelSource, window: int, random: np.random.Generator) -> Iterator[Rows]:
    """Yield the rows of a source, each once, a window at a time: shards in random order, mixed."""
    shards = source.shards
    order = np.concatenate([shards[number] for number in random.permutation(len(shards))])
    for start in range(0, len(order), window):
        yield random.permutation(order[start : start + window])


def feed_validation(source: PixelSource, targets: Targets, class_count: int) -> tf.data.Dataset:
    """Yield ``(pixels, labels)`` of each image once; more than may be held are read as needed."""
    labels = np.eye(class_count, dtype=np.float32)[targets]
    if fits(source, HELD_BYTES):
        source = HeldPixels(source.read(np.arange(source.shape[0])))

    def read() -> Iterator[tuple[Pixels, npt.NDArray[np.float32]]]:
        for rows, pixels in read_chunks(source, VALIDATION_BATCH):
            yield pixels, labels[rows]

    with tf.device("/CPU:0"):
        signature = (
            tf.TensorSpec((None, *source.shape[1:]), tf.uint8),
            tf.TensorSpec((None, class_count), tf.float32),
        )
        batches = tf.data.Dataset.from_generator(read, output_signature=signature)
        batches = _tell_length(batches, source.shape[0], VALIDATION_BATCH)
        return without_tuning(batches.prefetch(PREPARED))


def _tell_length(batches: tf.data.Dataset, images: int, batch_size: int) -> tf.data.Dataset:
    """Say how many batches there are: of an unknown number, Keras takes the end for a fault."""
    return batches.apply(tf.data.experimental.assert_cardinality(-(-images // batch_size)))


def _add_keys(batches: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    """Give each batch a key, from one seeded generator that runs on through the epochs."""
    keys = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    keyed = tf.data.Dataset.zip(batches, keys)
    keyed = keyed.map(lambda batch, key: ((batch[0], key), batch[1]))
    return without_tuning(keyed.prefetch(PREPARED))


def augment(pixels: tf.Tensor, key: tf.Tensor, seed: int, symmetries: str = "all") -> tf.Tensor:
    """Turn a batch at random, as far as an image that is turned shows the same.

    Args:
        pixels: ``(batch, size, size, 3)``.
        key: another number, other turns.
        seed: of the run.
        symmetries: `all` eight of a square, since a smear has no up or left; `mirror`: left and
            right alone may change places; `none`: a 6 that is turned is a 9.
    """
    if symmetries == "none":
        return pixels
    keys = tf.random.split(tf.stack([tf.cast(seed, tf.int64), key]), 3)
    batch, height, width, channels = tf.unstack(tf.shape(pixels))
    # Reversed as rows of pixels, and as columns of rows: TensorFlow copies each of these whole.
    turned = _flip_some(pixels, (batch * height, width, channels), keys[0])
    if symmetries == "mirror":
        return turned
    turned = _flip_some(turned, (batch, height, width * channels), keys[1])
    quarter_turn = tf.random.stateless_uniform([], keys[2]) < 0.5
    return tf.cond(quarter_turn, lambda: tf.transpose(turned, [0, 2, 1, 3]), lambda: turned)


def _flip_some(pixels: tf.Tensor, view: tuple[tf.Tensor, ...], key: tf.Tensor) -> tf.Tensor:
    """Reverse about half of the images along the middle axis of a view.

    The same images as `tf.image.stateless_random_flip_*` would, which multiplies and adds, in half
    the time.
    """
    batch = tf.shape(pixels)[0]
    flipped = tf.reshape(tf.reverse(tf.reshape(pixels, view), [1]), tf.shape(pixels))
    chosen = tf.round(tf.random.stateless_uniform([batch], key))
    return tf.gather(
        tf.concat([pixels, flipped], 0), tf.range(batch) + batch * tf.cast(chosen, tf.int32)
    )
