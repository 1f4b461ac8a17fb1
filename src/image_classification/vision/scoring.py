"""Class probabilities of many images, in bounded memory."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from image_classification.errors import DataError
from image_classification.vision.pixels import Pixels, decode_sound_images

logger = logging.getLogger(__name__)

Probabilities = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float32]
Look = Callable[[slice, Pixels], None]

_EMBEDDERS: WeakKeyDictionary[keras.Model, keras.Model] = WeakKeyDictionary()
"""Networks with both outputs, kept since TensorFlow traces a new one for seconds."""

_FUNCTIONS: WeakKeyDictionary[keras.Model, Any] = WeakKeyDictionary()
"""Networks as TensorFlow functions, kept for the same reason."""

CHUNK_IMAGES = 512
"""Images decoded together, while those before are scored: bounds the memory of a long list."""

SECONDS_BETWEEN_LINES = 15.0
"""Of the log, while a long list is scored."""


def load_network(path: str | Path) -> keras.Model:
    """Load a network saved in Keras format, to score with (its optimizer is left out)."""
    return keras.saving.load_model(path, compile=False)


def share_network(network: keras.Model) -> keras.Model:
    """Make a network that is only scored with its own copy, and return it.

    A model of kedro-mlflow copies all that it holds at every call. A network is copied by saving
    and loading it, and TensorFlow traces the copy anew, which is a thousand times the work of
    scoring an image.
    """
    itself = weakref.ref(network)
    network.__deepcopy__ = lambda _: itself()
    return network


def score_pixels(network: keras.Model, pixels: Pixels, batch_size: int = 256) -> Probabilities:
    """Return the class probabilities, shape ``(n, classes)``, of pixels ``(n, size, size, 3)``.

    The same as ``network.predict`` gives, without the input pipeline that it makes at every call,
    which takes a hundred times as long as the answer for one image.
    """
    if not len(pixels):
        return np.empty((0, network.output_shape[-1]), np.float32)
    function = _compile(network)
    steps = range(0, len(pixels), batch_size)
    # A GPU computes on while the next steps are handed over: nothing waits for an answer here.
    answers = [function(pixels[start : start + batch_size]) for start in steps]
    return np.concatenate([answer.numpy() for answer in answers])


def embed_pixels(
    network: keras.Model, pixels: Pixels, batch_size: int = 256
) -> tuple[Probabilities, Embeddings]:
    """Return what the network answers and what it sees, in one pass over the pixels.

    The embedding of an image is the input of the last dense layer: for a network of
    `build_network` the mean of each channel of the last stage.

    Args:
        network: a model whose last layer is dense.
        pixels: shape ``(n, size, size, 3)``, dtype uint8.
        batch_size: images per step.

    Returns:
        Probabilities ``(n, classes)`` and embeddings ``(n, channels)``, float32, in the order of
        `pixels`.
    """
    features = network.layers[-1].input
    if not len(pixels):
        return score_pixels(network, pixels), np.empty((0, features.shape[-1]), np.float32)
    if network not in _EMBEDDERS:
        _EMBEDDERS[network] = keras.Model(network.inputs, [network.outputs[0], features])
    probabilities, embeddings = _EMBEDDERS[network].predict(
        pixels, batch_size=batch_size, verbose=0
    )
    return probabilities, embeddings


def score_images(
    network: keras.Model,
    count: int,
    read: Callable[[slice], Sequence[bytes]],
    batch_size: int = 256,
    name: Callable[[int], str] = "number {}".format,
    look: Look | None = None,
) -> Probabilities:
    """Return the class probabilities of encoded images, decoded as for training.

    Args:
        network: a model whose input is square.
        count: how many images there are.
        read: gives the bytes of the images in a slice of ``range(count)``; called in order, in a
            thread of its own where there are many.
        batch_size: images per step.
        name: gives what to call the image of a number in ``range(count)``, in an error.
        look: called with the pixels of each part of the images.

    Returns:
        Array of shape ``(count, classes)``, dtype float32, rows summing to 1.

    Raises:
        DataError: an image cannot be decoded.
    """
    probabilities = np.empty((count, network.output_shape[-1]), np.float32)
    for chunk in _decode_chunks(network.input_shape[1], count, read):
        for number, reason in enumerate(chunk.reasons, chunk.rows.start):
            if reason:
                raise DataError(f"Image {name(number)}: {reason}")
        probabilities[chunk.rows] = score_pixels(network, chunk.pixels, batch_size)
        if look:
            look(chunk.rows, chunk.pixels)
    return probabilities


def score_sound_images(
    network: keras.Model,
    count: int,
    read: Callable[[slice], Sequence[bytes | str]],
    batch_size: int = 256,
    look: Look | None = None,
) -> tuple[Probabilities, list[str]]:
    """Score as `score_images`, and say of each image why it cannot be, "" where it can.

    A long list tells in the log how far it has come.

    Args:
        network: a model whose input is square.
        count: how many images there are.
        read: gives the images in a slice of ``range(count)``: the bytes of each, or why there are
            none (str).
        batch_size: images per step.
        look: called with the pixels of each part of the images, zeros where one cannot be decoded.

    Returns:
        Probabilities ``(count, classes)``, NaN where an image cannot be scored, and the reasons.
    """
    probabilities = np.full((count, network.output_shape[-1]), np.nan, np.float32)
    reasons: list[str] = []
    spoke_at = time.monotonic()
    for chunk in _decode_chunks(network.input_shape[1], count, read):
        sound = np.array([not reason for reason in chunk.reasons])
        pixels = chunk.pixels if sound.all() else chunk.pixels[sound]
        probabilities[chunk.rows][sound] = score_pixels(network, pixels, batch_size)
        reasons += chunk.reasons
        if look:
            look(chunk.rows, chunk.pixels)
        if time.monotonic() - spoke_at > SECONDS_BETWEEN_LINES:
            spoke_at = time.monotonic()
            logger.info("Scored %d of %d images", len(reasons), count)
    return probabilities, reasons


class _Chunk(NamedTuple):
    """Decoded images: pixels, zeros where one cannot be, and why it cannot, "" where it can."""

    rows: slice
    pixels: Pixels
    reasons: list[str]


def _decode_chunks(
    size_px: int, count: int, read: Callable[[slice], Sequence[bytes | str]]
) -> Iterator[_Chunk]:
    """Read and decode all images, a chunk at a time, the next while this one is scored."""
    parts = [
        slice(start, min(start + CHUNK_IMAGES, count)) for start in range(0, count, CHUNK_IMAGES)
    ]
    if len(parts) < 2:
        yield from (_decode_chunk(size_px, rows, read) for rows in parts)
        return
    with ThreadPoolExecutor(1, "decode") as ahead:
        coming = ahead.submit(_decode_chunk, size_px, parts[0], read)
        for rows in parts[1:]:
            chunk = coming.result()
            coming = ahead.submit(_decode_chunk, size_px, rows, read)
            yield chunk
        yield coming.result()


def _decode_chunk(
    size_px: int, rows: slice, read: Callable[[slice], Sequence[bytes | str]]
) -> _Chunk:
    contents = read(rows)
    reasons = [content if isinstance(content, str) else "" for content in contents]
    readable = {row: content for row, content in enumerate(contents) if isinstance(content, bytes)}
    pixels, faults = decode_sound_images(list(readable.values()), size_px)
    if len(readable) == len(contents):
        return _Chunk(rows, pixels, faults)
    whole = np.zeros((len(contents), size_px, size_px, 3), np.uint8)
    whole[list(readable)] = pixels
    for row, fault in zip(readable, faults, strict=True):
        reasons[row] = fault
    return _Chunk(rows, whole, reasons)


def _compile(network: keras.Model) -> Any:
    """Return a network as a TensorFlow function, traced once for batches of any length.

    Not compiled by XLA, which starts anew for each length.
    """
    if network not in _FUNCTIONS:
        itself = weakref.proxy(network)  # or the cache would keep what it is to forget
        shape = tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8)
        _FUNCTIONS[network] = tf.function(
            lambda pixels: itself(pixels, training=False), input_signature=[shape], autograph=False
        )
    return _FUNCTIONS[network]
