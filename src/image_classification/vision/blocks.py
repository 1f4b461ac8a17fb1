"""What the networks are made of: the pixels that they read, their layers, their answer."""

from __future__ import annotations

import keras
from keras import layers


def read_pixels(image_size_px: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the input of a network, and the same pixels scaled to -1 to 1.

    The scaling is part of the network, so that serving cannot disagree with training.

    Args:
        image_size_px: side of the square input, in pixels.

    Returns:
        The input ``(n, image_size_px, image_size_px, 3)`` with values 0 to 255, and the scaled
        pixels of the same shape.
    """
    inputs = keras.Input((image_size_px, image_size_px, 3), name="pixels")
    return inputs, layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)


def convolve(
    features: keras.KerasTensor, channels: int, kernel_size: int, strides: int = 1
) -> keras.KerasTensor:
    """Convolve without a bias: the normalisation that follows has one."""
    return layers.Conv2D(channels, kernel_size, strides, padding="same", use_bias=False)(features)


def normalise(features: keras.KerasTensor) -> keras.KerasTensor:
    """Normalise over the batch (Ioffe and Szegedy, 2015, arXiv:1502.03167)."""
    return layers.BatchNormalization(momentum=0.9)(features)


def activate(features: keras.KerasTensor) -> keras.KerasTensor:
    """Normalise over the batch, then cut off at zero (ReLU)."""
    return layers.ReLU()(normalise(features))


def answer(features: keras.KerasTensor, class_count: int, dropout: float) -> keras.KerasTensor:
    """Return the class probabilities of features: the last layer of every network.

    It computes in float32 whatever the rest computes in: a probability, and the logarithm that
    the loss takes of it, need all digits.

    Args:
        features: shape ``(n, channels)``.
        class_count: how many classes, at least 2.
        dropout: share of the features hidden in training, 0 to 1.

    Returns:
        Shape ``(n, class_count)``, float32, rows summing to 1.
    """
    features = layers.Dropout(dropout)(features)
    return layers.Dense(class_count, activation="softmax", dtype="float32", name="probabilities")(
        features
    )
