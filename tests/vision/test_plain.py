"""The plain network in its three widths."""

from __future__ import annotations

import keras
import pytest

from image_classification import vision
from image_classification.vision.networks import large, medium, small


@pytest.mark.parametrize("width", [small, medium, large])
def test_each_width_has_its_channels_and_its_name(width: object) -> None:
    name = width.__name__.rpartition(".")[2]

    network = vision.build_network(name, 32, 4, 0.2)

    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert tuple(layer.filters for layer in convolutions) == width.CHANNELS
    assert [layer.strides for layer in convolutions] == [(4, 4)] + [(1, 1)] * (
        len(width.CHANNELS) - 1
    )
    assert network.input_shape == (None, 32, 32, 3)
    assert network.output_shape == (None, 4)
    assert network.name == f"{name}_network"


def test_a_larger_network_has_more_weights() -> None:
    counts = [
        vision.build_network(name, 16, 2, 0.0).count_params()
        for name in ("small", "medium", "large")
    ]

    assert counts == sorted(counts)
    assert len(set(counts)) == len(counts)
