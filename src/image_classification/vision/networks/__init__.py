"""The networks that can be trained: one file each, of the network's name.

A file says `SMALLEST_IMAGE_PX`, the smallest side that the network can read, as a plain number
(it is read without running the file), and has a function::

    def build(image_size_px: int, class_count: int, dropout: float) -> keras.Model

that builds the network under the dtype policy in force. It reads raw pixels, ``(n, image_size_px,
image_size_px, 3)`` with values 0 to 255, and its last layer is that of `blocks.answer`. Nothing
else needs to know of it: the parameters, the trigger form and the tests list this folder.
"""

from __future__ import annotations

from importlib import import_module

import keras

from image_classification.configuration.networks import check_network
from image_classification.vision.weights import load_weights


def build_network(
    name: str, image_size_px: int, class_count: int, dropout: float, weights: str = ""
) -> keras.Model:
    """Build a network that reads raw pixels and answers class probabilities.

    Args:
        name: of a file of this folder.
        image_size_px: side of the square input, in pixels.
        class_count: how many classes, at least 2.
        dropout: share of the features hidden in training, 0 to 1.
        weights: a file to start from, as `load_weights` reads it; "" draws the weights at random.

    Returns:
        Keras model: input ``(n, image_size_px, image_size_px, 3)`` with values 0 to 255, output
        ``(n, class_count)`` float32 probabilities. It computes under the dtype policy in force:
        unless somebody changed it in float32, so that it answers alike on every machine.

    Raises:
        ConfigurationError: there is no network of this name, it cannot read so small images, or
            the file of the weights does not fit it.
    """
    check_network(name, image_size_px)
    module = import_module(f"{__name__}.{name}")
    network: keras.Model = module.build(image_size_px, class_count, dropout)
    if weights:
        load_weights(network, weights)
    return network
