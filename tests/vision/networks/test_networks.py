"""What holds for every network, those that are still to come among them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from image_classification import vision
from image_classification.configuration.networks import list_networks
from image_classification.errors import ConfigurationError
from image_classification.vision.precision import build_in_precision

NETWORKS = list_networks()
CLASS_COUNT = 3
MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


def draw(count: int, side_px: int, seed: int = 0) -> np.ndarray:
    shape = (count, side_px, side_px, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module", params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def network(name: str) -> keras.Model:
    """Each network, for the smallest images that it reads."""
    vision.set_seed(0)
    return vision.build_network(name, NETWORKS[name], CLASS_COUNT, 0.1)


def test_it_reads_raw_pixels_and_gives_a_probability_per_class(network: keras.Model) -> None:
    side_px = network.input_shape[1]
    pixels = draw(4, side_px)

    probabilities = network(pixels).numpy()

    assert network.input_shape == (None, side_px, side_px, 3)
    assert network.output_shape == (None, CLASS_COUNT)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    # In training, since the running means of a new network know nothing yet.
    assert np.ptp(network(pixels, training=True), axis=0).max() > 1e-6


def test_its_embedding_is_what_its_last_layer_reads(network: keras.Model) -> None:
    features = network.layers[-1].input
    kernel, bias = network.layers[-1].get_weights()
    pixels = draw(3, network.input_shape[1])

    embeddings = keras.Model(network.inputs, features)(pixels).numpy()

    assert isinstance(network.layers[-1], keras.layers.Dense)
    assert features.shape == (None, len(kernel))
    powers = np.exp(embeddings @ kernel + bias)
    np.testing.assert_allclose(
        powers / powers.sum(axis=1, keepdims=True), network(pixels), rtol=1e-4
    )


@pytest.mark.parametrize("precision", MIXED)
def test_it_is_built_in_any_precision_and_answers_in_float32(
    name: str, network: keras.Model, precision: str
) -> None:
    side_px = network.input_shape[1]
    built = iter([network, None])

    def build() -> keras.Model:
        return next(built) or vision.build_network(name, side_px, CLASS_COUNT, 0.1)

    kept, trained = build_in_precision(build, precision)

    assert keras.config.dtype_policy().name == "float32"
    assert kept.layers[-1].input.dtype == "float32"
    assert trained.layers[-1].input.dtype == MIXED[precision]
    assert trained.output.dtype == "float32"
    for one, other in zip(trained.get_weights(), kept.get_weights(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)
    pixels = draw(2, side_px)
    np.testing.assert_allclose(trained(pixels), kept(pixels), atol=0.05)


def test_an_unknown_name_is_refused_with_the_name_it_resembles() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'smal' is unknown: allowed are .*small.*Did you mean 'small'"
    ):
        vision.build_network("smal", 16, 2, 0.0)


def test_images_that_a_network_cannot_read_are_refused_before_keras_sees_them() -> None:
    with pytest.raises(ConfigurationError, match="'mobilenet' reads images of 32 px and more"):
        vision.build_network("mobilenet", 31, 2, 0.0)


def test_one_seed_gives_one_set_of_weights() -> None:
    vision.set_seed(0)
    one, other = (vision.build_network("small", 16, 3, 0.1) for _ in range(2))
    vision.set_seed(0)
    same = vision.build_network("small", 16, 3, 0.1)

    kernel = one.get_weights()[0]
    np.testing.assert_array_equal(same.get_weights()[0], kernel)
    assert not np.array_equal(other.get_weights()[0], kernel)


# `medium` and `large` are `small` with other numbers.
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", *MIXED])
@pytest.mark.parametrize("trained", [one for one in NETWORKS if one not in ("medium", "large")])
def test_it_is_trained_in_any_precision_kept_in_float32_and_answers_alike_when_loaded(
    trained: str, precision: str, tmp_path: Path
) -> None:
    side_px = max(32, NETWORKS[trained])
    targets = np.arange(60) % 2
    pixels = draw(60, side_px) // 4 + (targets * 130 + 30)[:, None, None, None].astype(np.uint8)
    build = partial(vision.build_network, trained, side_px, 2, 0.1)
    vision.set_seed(1)
    before = build().get_weights()

    network, history, setup = vision.fit_network(
        build,
        (pixels[:40], targets[:40]),
        (pixels[40:], targets[40:]),
        epochs=6,
        batch_size=8,
        learning_rate=0.003,
        weight_decay=0.01,
        label_smoothing=0.05,
        seed=1,
        precision=precision,
    )

    assert setup["precision"] == precision
    assert history.train_loss[-1] < history.train_loss[0]
    moved = [not np.array_equal(*pair) for pair in zip(before, network.get_weights(), strict=True)]
    assert all(moved)
    assert all(np.isfinite(weights).all() for weights in network.get_weights())
    assert network.layers[-1].input.dtype == network.output.dtype == "float32"
    network.save(tmp_path / "network.keras")
    loaded = vision.load_network(tmp_path / "network.keras")
    answers = vision.score_pixels(network, pixels)
    np.testing.assert_array_equal(vision.score_pixels(loaded, pixels), answers)
    probabilities, embeddings = vision.embed_pixels(loaded, pixels)
    np.testing.assert_allclose(probabilities, answers, atol=1e-5)
    assert embeddings.shape == (len(pixels), len(network.layers[-1].get_weights()[0]))
