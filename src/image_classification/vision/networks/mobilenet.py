"""`mobilenet`: MobileNetV3 Small, as Keras has it."""

from __future__ import annotations

import keras
from keras import layers

from image_classification.vision import blocks

SMALLEST_IMAGE_PX = 32
"""Keras builds it for no smaller ones: it halves the side five times."""

MOMENTUM = 0.9
"""Of the running means. Keras's 0.999 needs thousands of steps; a night may have hundreds."""


def build(image_size_px: int, class_count: int, dropout: float) -> keras.Model:
    """Build MobileNetV3 Small (Howard et al., 2019, arXiv:1905.02244) with an answer of our own.

    It scales the pixels 0 to 255 itself. Its weights are drawn at random: nothing is ever
    downloaded. To start from published weights, which are those of the body alone, load them once
    with ``network.get_layer("MobileNetV3Small").load_weights(file)``, keep the whole network with
    ``network.save_weights("start.weights.h5")``, and name that file in `training.weights`.
    """
    inputs = keras.Input((image_size_px, image_size_px, 3), name="pixels")
    body = keras.applications.MobileNetV3Small(
        input_shape=inputs.shape[1:],
        include_top=False,
        weights=None,
        pooling="avg",
        include_preprocessing=True,
    )
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = MOMENTUM
    outputs = blocks.answer(body(inputs), class_count, dropout)
    return keras.Model(inputs, outputs, name="mobilenet_network")
