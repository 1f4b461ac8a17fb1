"""The classifier: a small convolutional network."""

from __future__ import annotations

import keras
from keras import layers

from image_classification.errors import ConfigurationError, name_near_misses

NETWORK_SIZES: dict[str, tuple[int, tuple[int, ...]]] = {
    "small": (32, (64, 96)),
    "medium": (48, (96, 192)),
    "large": (64, (128, 256, 256)),
}
"""Name to (channels of the stem, channels of each stage that follows)."""


def build_network(size: str, image_size_px: int, class_count: int, dropout: float) -> keras.Model:
    """Build a convolutional network that reads raw pixels and answers class probabilities.

    A stem with stride 4, then stages of convolution, 2x2 maximum, batch normalisation (Ioffe and
    Szegedy, 2015, arXiv:1502.03167) and ReLU, then the global mean of each channel (Lin et al.,
    2013, arXiv:1312.4400). Shrinking early and widening late suits a CPU: most of the arithmetic
    happens where the channels are wide, and after the maximum a quarter of the values is left to
    normalise. Channels were chosen by accuracy against time (docs/performance.md). Rescaling is
    part of the network, so that serving cannot disagree with training.

    Args:
        size: a key of `NETWORK_SIZES`.
        image_size_px: side of the square input, in pixels.
        class_count: how many classes, at least 2.
        dropout: share of the features hidden in training, 0 to 1.

    Returns:
        Keras model: input ``(n, image_size_px, image_size_px, 3)`` with values 0 to 255,
        output ``(n, class_count)`` float32 probabilities. It computes in float32, so that it
        answers alike on every machine.

    Raises:
        ConfigurationError: `size` is not a known size.
    """
    if size not in NETWORK_SIZES:
        raise ConfigurationError(
            f"Network size '{size}' is unknown: allowed are {', '.join(NETWORK_SIZES)}."
            + name_near_misses(size, NETWORK_SIZES)
        )
    stem_channels, stage_channels = NETWORK_SIZES[size]
    inputs = keras.Input((image_size_px, image_size_px, 3), name="pixels")
    features = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)
    features = _convolve(features, stem_channels, kernel_size=7, strides=4)
    features = _activate(features)
    for channels in stage_channels:
        features = _convolve(features, channels, kernel_size=3, strides=1)
        # "same": what a small image has become may be one pixel already.
        features = layers.MaxPooling2D(padding="same")(features)
        features = _activate(features)
    features = layers.GlobalAveragePooling2D()(features)
    features = layers.Dropout(dropout)(features)
    outputs = layers.Dense(
        class_count, activation="softmax", dtype="float32", name="probabilities"
    )(features)
    return keras.Model(inputs, outputs, name=f"{size}_network")


def _convolve(
    features: keras.KerasTensor, channels: int, kernel_size: int, strides: int
) -> keras.KerasTensor:
    return layers.Conv2D(channels, kernel_size, strides, padding="same", use_bias=False)(features)


def _activate(features: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
