"""What the networks are made of."""

from __future__ import annotations

import keras
import numpy as np

from image_classification.vision import blocks


def test_raw_pixels_are_rescaled_inside_the_network() -> None:
    inputs, scaled = blocks.read_pixels(16)
    pixels = np.zeros((1, 16, 16, 3))
    pixels[0, 0, :3, 0] = 0, 127.5, 255

    network = keras.Model(inputs, scaled)

    assert inputs.shape == (None, 16, 16, 3)
    assert inputs.name == "pixels"
    assert network.layers[1].name == "rescale"
    np.testing.assert_allclose(network(pixels)[0, 0, :3, 0], [-1, 0, 1], atol=1e-6)


def test_an_answer_is_float32_whatever_came_before() -> None:
    features = keras.Input((8,), dtype="bfloat16")
    network = keras.Model(features, blocks.answer(features, 3, 0.5))

    probabilities = network(np.ones((2, 8), np.float32)).numpy()

    assert probabilities.dtype == np.float32
    assert network.layers[-1].name == "probabilities"
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_a_convolution_has_no_bias_and_its_normalisation_follows_soon() -> None:
    features = keras.Input((8, 8, 3))
    network = keras.Model(features, blocks.activate(blocks.convolve(features, 4, 3, 2)))
    _, convolution, normalisation, _ = network.layers

    assert network.output_shape == (None, 4, 4, 4)
    assert not convolution.use_bias
    assert normalisation.momentum == 0.9
    assert (network(np.random.default_rng(0).normal(size=(2, 8, 8, 3))).numpy() >= 0).all()
