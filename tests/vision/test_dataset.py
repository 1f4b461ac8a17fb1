"""The network in the catalog."""

from __future__ import annotations

import copy
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from image_classification import vision

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)


@pytest.fixture
def network() -> keras.Model:
    inputs = keras.Input((4, 4, 3))
    return keras.Model(inputs, layers.Dense(2, "softmax")(layers.Flatten()(inputs)))


@pytest.fixture
def dataset(tmp_path: Path) -> vision.NetworkDataset:
    return vision.NetworkDataset(filepath=str(tmp_path / "network.keras"))


def test_a_network_that_was_trained_is_loaded_to_be_scored_with(
    network: keras.Model, dataset: vision.NetworkDataset
) -> None:
    network.compile("adam", "mse")
    dataset.save(network)

    loaded = dataset.load()

    assert not loaded.compiled
    np.testing.assert_array_equal(loaded(PIXELS), network(PIXELS))


def test_a_copy_of_a_loaded_network_is_itself(
    network: keras.Model, dataset: vision.NetworkDataset
) -> None:
    dataset.save(network)

    loaded = dataset.load()

    assert copy.deepcopy({"network": loaded})["network"] is loaded
