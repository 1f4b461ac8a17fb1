"""The network: from raw pixels to probabilities."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from image_classification import vision
from image_classification.errors import ConfigurationError


@pytest.fixture(scope="module")
def network() -> keras.Model:
    vision.set_seed(0)
    return vision.build_network("small", 16, 3, 0.1)


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_each_size_reads_pixels_and_gives_a_value_per_class(size: str) -> None:
    built = vision.build_network(size, 32, 4, 0.2)

    assert built.input_shape == (None, 32, 32, 3)
    assert built.output_shape == (None, 4)
    assert built.name == f"{size}_network"


def test_a_larger_size_has_more_weights() -> None:
    counts = [
        vision.build_network(size, 16, 2, 0.0).count_params() for size in vision.NETWORK_SIZES
    ]

    assert counts == sorted(counts)
    assert len(set(counts)) == len(counts)


def test_an_unknown_size_is_refused_with_the_name_it_resembles() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'smal' is unknown: allowed are small.*Did you mean 'small'"
    ):
        vision.build_network("smal", 16, 2, 0.0)


def test_probabilities_sum_to_one(network: keras.Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)

    probabilities = vision.score_pixels(network, pixels)

    assert probabilities.shape == (5, 3)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_raw_pixels_are_rescaled_inside_the_network(network: keras.Model) -> None:
    rescale = network.get_layer("rescale")
    pixels = np.array([0, 127.5, 255], np.float32)

    np.testing.assert_allclose(rescale(pixels), [-1, 0, 1], atol=1e-6)
    assert network.layers[1] is rescale


def test_one_seed_gives_one_set_of_weights(network: keras.Model) -> None:
    vision.set_seed(0)
    same = vision.build_network("small", 16, 3, 0.1)
    other = vision.build_network("small", 16, 3, 0.1)

    kernel = network.get_weights()[0]
    np.testing.assert_array_equal(same.get_weights()[0], kernel)
    assert not np.array_equal(other.get_weights()[0], kernel)


def test_a_saved_network_gives_the_same_probabilities(
    network: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("network") / "network.keras"
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    network.save(path)

    loaded = vision.load_network(path)

    np.testing.assert_array_equal(
        vision.score_pixels(loaded, pixels), vision.score_pixels(network, pixels)
    )
    assert not loaded.compiled


def test_a_name_that_vision_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'decode_image'"):
        _ = vision.decode_image


def test_every_name_that_vision_offers_is_there() -> None:
    for name in vision.__all__:
        assert getattr(vision, name) is not None
