"""The network `large`."""

from __future__ import annotations

import keras

from image_classification import vision
from image_classification.vision.networks import large


def test_its_convolutions_have_its_channels_stem_first() -> None:
    network = vision.build_network("large", 64, 2, 0.0)
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert tuple(layer.filters for layer in convolutions) == large.CHANNELS
    assert network.layers[-1].input.shape == (None, large.CHANNELS[-1])
