"""Scoring many images in chunks."""

from __future__ import annotations

import io
from collections.abc import Sequence

import keras
import numpy as np
import pytest
from PIL import Image

from image_classification import vision
from image_classification.errors import DataError
from image_classification.vision import scoring

CHUNK = 4


def draw(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (20, 14, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "PNG")
    return content.getvalue()


CONTENTS = [draw(seed) for seed in range(2 * CHUNK + 1)]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    vision.set_seed(0)
    return vision.build_network("small", 16, 2, 0.0)


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CHUNK_IMAGES", CHUNK)


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_chunks_change_neither_the_probabilities_nor_their_order(
    network: keras.Model, count: int
) -> None:
    read: list[int] = []

    def read_part(part: slice) -> Sequence[bytes]:
        contents = CONTENTS[:count][part]
        read.append(len(contents))
        return contents

    probabilities = vision.score_images(network, count, read_part, batch_size=3)

    whole = vision.score_pixels(network, vision.decode_images(CONTENTS[:count], 16))
    assert probabilities.shape == (count, 2)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, whole, rtol=1e-5)
    assert sum(read) == count
    assert max(read, default=0) <= CHUNK
    assert 0 not in read


@pytest.mark.usefixtures("_small_chunks")
def test_an_image_that_cannot_be_decoded_is_named(network: keras.Model) -> None:
    contents = [*CONTENTS[: CHUNK + 1], b"no image", *CONTENTS[CHUNK + 1 :]]
    names = [f"cell_{number}.png" for number in range(len(contents))]

    with pytest.raises(DataError, match=rf"Image cell_{CHUNK + 1}\.png: the file cannot be"):
        vision.score_images(network, len(contents), contents.__getitem__, name=names.__getitem__)


def test_no_pixels_give_no_rows(network: keras.Model) -> None:
    assert vision.score_pixels(network, np.empty((0, 16, 16, 3), np.uint8)).shape == (0, 2)


def test_embeddings_come_with_the_probabilities_of_the_same_pass(network: keras.Model) -> None:
    pixels = vision.decode_images(CONTENTS, 16)

    probabilities, embeddings = vision.embed_pixels(network, pixels, batch_size=4)

    np.testing.assert_allclose(probabilities, vision.score_pixels(network, pixels), rtol=1e-5)
    kernel, bias = network.layers[-1].get_weights()
    assert embeddings.shape == (len(CONTENTS), len(kernel))
    assert embeddings.dtype == np.float32
    powers = np.exp(embeddings @ kernel + bias)
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), probabilities, rtol=1e-4)


def test_no_pixels_give_no_embeddings(network: keras.Model) -> None:
    probabilities, embeddings = vision.embed_pixels(network, np.empty((0, 16, 16, 3), np.uint8))

    assert probabilities.shape == (0, 2)
    assert embeddings.shape == (0, len(network.layers[-1].get_weights()[0]))
