"""The plain convolutional network, of which `small`, `medium` and `large` are three widths."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from image_classification.vision import blocks


def build_plain(
    channels: Sequence[int], image_size_px: int, class_count: int, dropout: float, name: str
) -> keras.Model:
    """Build a stem with stride 4, then stages of convolution, 2x2 maximum, normalisation and ReLU.

    At the end stands the global mean of each channel (Lin et al., 2013, arXiv:1312.4400).
    Shrinking early and widening late suits a CPU: most of the arithmetic happens where the
    channels are wide, and after the maximum a quarter of the values is left to normalise. The
    channels were chosen by accuracy against time (docs/performance.md).

    Args:
        channels: of the stem, then of each stage.
        image_size_px: side of the square input, in pixels.
        class_count: how many classes, at least 2.
        dropout: share of the features hidden in training, 0 to 1.
        name: of the model.
    """
    stem_channels, *stage_channels = channels
    inputs, features = blocks.read_pixels(image_size_px)
    features = blocks.convolve(features, stem_channels, kernel_size=7, strides=4)
    features = blocks.activate(features)
    for width in stage_channels:
        features = blocks.convolve(features, width, kernel_size=3)
        # "same": what a small image has become may be one pixel already.
        features = layers.MaxPooling2D(padding="same")(features)
        features = blocks.activate(features)
    features = layers.GlobalAveragePooling2D()(features)
    return keras.Model(inputs, blocks.answer(features, class_count, dropout), name=name)
