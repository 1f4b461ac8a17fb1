"""Class probabilities of many images, in bounded memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast
from weakref import WeakKeyDictionary

import keras
import numpy as np
import numpy.typing as npt

from image_classification.errors import DataError
from image_classification.vision.pixels import Pixels, decode_images, decode_sound_images

logger = logging.getLogger(__name__)

Probabilities = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float32]

_EMBEDDERS: WeakKeyDictionary[keras.Model, keras.Model] = WeakKeyDictionary()
"""Networks with both outputs, kept since TensorFlow traces a new one for seconds."""

CHUNK_IMAGES = 1024
"""Images decoded together: bounds the memory of a long list, whatever its length."""

SECONDS_BETWEEN_LINES = 15.0
"""Of the log, while a long list is scored."""


def load_network(path: str | Path) -> keras.Model:
    """Load a network saved in Keras format, to score with (its optimizer is left out)."""
    return keras.saving.load_model(path, compile=False)


def score_pixels(network: keras.Model, pixels: Pixels, batch_size: int = 256) -> Probabilities:
    """Return the class probabilities, shape ``(n, classes)``, of pixels ``(n, size, size, 3)``."""
    if not len(pixels):
        return np.empty((0, network.output_shape[-1]), np.float32)
    return cast("Probabilities", network.predict(pixels, batch_size=batch_size, verbose=0))


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
) -> Probabilities:
    """Return the class probabilities of encoded images, decoded as for training.

    Args:
        network: a model whose input is square.
        count: how many images there are.
        read: gives the bytes of the images in a slice of ``range(count)``.
        batch_size: images per step.
        name: gives what to call the image of a number in ``range(count)``, in an error.

    Returns:
        Array of shape ``(count, classes)``, dtype float32, rows summing to 1.

    Raises:
        DataError: an image cannot be decoded.
    """
    scored = [score_pixels(network, decode_images([], network.input_shape[1]))]
    for start in range(0, count, CHUNK_IMAGES):
        contents = read(slice(start, start + CHUNK_IMAGES))
        probabilities, reasons = _score_chunk(network, contents, batch_size)
        for number, reason in enumerate(reasons, start):
            if reason:
                raise DataError(f"Image {name(number)}: {reason}")
        scored.append(probabilities)
    return np.concatenate(scored)


def score_sound_images(
    network: keras.Model,
    count: int,
    read: Callable[[slice], Sequence[bytes | str]],
    batch_size: int = 256,
) -> tuple[Probabilities, list[str]]:
    """Score as `score_images`, and say of each image why it cannot be, "" where it can.

    A long list tells in the log how far it has come.

    Args:
        network: a model whose input is square.
        count: how many images there are.
        read: gives the images in a slice of ``range(count)``: the bytes of each, or why there are
            none (str).
        batch_size: images per step.

    Returns:
        Probabilities ``(count, classes)``, NaN where an image cannot be scored, and the reasons.
    """
    probabilities = np.full((count, network.output_shape[-1]), np.nan, np.float32)
    reasons: list[str] = []
    spoke_at = time.monotonic()
    for start in range(0, count, CHUNK_IMAGES):
        contents = read(slice(start, start + CHUNK_IMAGES))
        readable = {
            start + row: content
            for row, content in enumerate(contents)
            if isinstance(content, bytes)
        }
        reasons += [content if isinstance(content, str) else "" for content in contents]
        scores, faults = _score_chunk(network, list(readable.values()), batch_size)
        for row, score, fault in zip(readable, scores, faults, strict=True):
            reasons[row] = fault
            probabilities[row] = np.nan if fault else score
        if time.monotonic() - spoke_at > SECONDS_BETWEEN_LINES:
            spoke_at = time.monotonic()
            logger.info("Scored %d of %d images", len(reasons), count)
    return probabilities, reasons


def _score_chunk(
    network: keras.Model, contents: Sequence[bytes], batch_size: int
) -> tuple[Probabilities, list[str]]:
    """Return probabilities, meaningless for a file that cannot be decoded, and why it cannot."""
    pixels, reasons = decode_sound_images(contents, network.input_shape[1])
    return score_pixels(network, pixels, batch_size), reasons
