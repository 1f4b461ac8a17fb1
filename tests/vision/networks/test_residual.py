"""The residual network."""

from __future__ import annotations

import keras
import numpy as np

from image_classification import vision
from image_classification.vision.networks import residual


def test_it_has_two_convolutions_in_each_of_six_blocks_and_projects_where_a_side_is_halved() -> (
    None
):
    network = vision.build_network("residual", 64, 2, 0.0)

    kernels = [
        layer.kernel.shape for layer in network.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert kernels.count((7, 7, 3, 32)) == 1
    assert sum(shape[:2] == (3, 3) for shape in kernels) == 12
    assert [shape for shape in kernels if shape[:2] == (1, 1)] == [(1, 1, 32, 64), (1, 1, 64, 128)]
    assert network.layers[-1].input.shape == (None, 128)


def test_a_block_whose_convolutions_give_nothing_passes_on_what_it_was_given() -> None:
    inputs = keras.Input((4, 4, 8))
    block = keras.Model(inputs, residual._add_block(inputs, 8, strides=1))
    block.set_weights(
        [
            weights if weights.ndim == 1 else np.zeros_like(weights)
            for weights in block.get_weights()
        ]
    )
    features = np.random.default_rng(0).random((2, 4, 4, 8), np.float32)

    np.testing.assert_allclose(block(features), features, rtol=1e-6)
