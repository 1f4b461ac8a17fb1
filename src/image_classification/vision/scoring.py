"""Class probabilities of many images, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast
from weakref import WeakKeyDictionary

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from image_classification.errors import DataError
from image_classification.vision.pixels import Pixels, decode_images, find_decoding_error

Probabilities = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float32]

_EMBEDDERS: WeakKeyDictionary[keras.Model, keras.Model] = WeakKeyDictionary()
"""Networks with both outputs, kept since TensorFlow traces a new one for seconds."""

CHUNK_IMAGES = 1024
"""Images decoded together: bounds the memory of a long list, whatever its length."""


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
    size_px = network.input_shape[1]
    scored = []
    for start in range(0, count, CHUNK_IMAGES):
        contents = read(slice(start, start + CHUNK_IMAGES))
        try:
            pixels = decode_images(contents, size_px)
        except tf.errors.InvalidArgumentError:
            for number, content in enumerate(contents, start):
                if reason := find_decoding_error(content):
                    raise DataError(f"Image {name(number)}: {reason}") from None
            raise
        scored.append(score_pixels(network, pixels, batch_size))
    return np.concatenate(scored) if scored else score_pixels(network, decode_images([], size_px))
