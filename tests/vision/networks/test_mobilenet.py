"""MobileNetV3 Small with an answer of our own."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from image_classification import vision
from image_classification.vision.networks import mobilenet


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return vision.build_network("mobilenet", 32, 3, 0.1)


def test_it_scales_raw_pixels_itself(network: keras.Model) -> None:
    (rescaling,) = (
        layer
        for layer in network.get_layer("MobileNetV3Small").layers
        if isinstance(layer, keras.layers.Rescaling)
    )
    np.testing.assert_allclose(rescaling(np.array([0, 127.5, 255])), [-1, 0, 1], atol=1e-6)


def test_its_running_means_follow_within_a_night(network: keras.Model) -> None:
    momenta = {
        layer.momentum
        for layer in network.get_layer("MobileNetV3Small").layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {mobilenet.MOMENTUM}


def test_weights_of_the_published_body_fit(network: keras.Model, tmp_path: Path) -> None:
    # As the docstring of `build` says: the published file holds the body alone.
    published = keras.applications.MobileNetV3Small(include_top=False, weights=None)
    published.save_weights(tmp_path / "published.weights.h5")

    network.get_layer("MobileNetV3Small").load_weights(tmp_path / "published.weights.h5")

    body = network.get_layer("MobileNetV3Small").get_weights()
    for one, other in zip(body, published.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
