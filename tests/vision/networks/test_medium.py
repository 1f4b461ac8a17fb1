"""The network `medium`."""

from __future__ import annotations

import keras

from image_classification import vision
from image_classification.vision.networks import medium


def test_its_convolutions_have_its_channels_stem_first() -> None:
    network = vision.build_network("medium", 64, 2, 0.0)
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert tuple(layer.filters for layer in convolutions) == medium.CHANNELS
    assert network.layers[-1].input.shape == (None, medium.CHANNELS[-1])
