"""Scoring many images in chunks."""

from __future__ import annotations

import copy
import gc
import io
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

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


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_probabilities_are_those_that_the_network_predicts(
    network: keras.Model, count: int
) -> None:
    pixels = vision.decode_images(CONTENTS[:count], 16)

    np.testing.assert_allclose(
        vision.score_pixels(network, pixels, batch_size=2),
        network.predict(pixels, batch_size=2, verbose=0),
        rtol=1e-6,
    )


def test_a_network_is_traced_once_for_all_numbers_of_images(network: keras.Model) -> None:
    traced = 0

    class Counting(keras.Model):
        def call(self, pixels: object, training: bool | None = None) -> object:
            nonlocal traced
            traced += 1
            return network(pixels, training=training)

    counting = Counting()
    counting.build((None, 16, 16, 3))
    counting(np.zeros((1, 16, 16, 3)))
    counting.input_shape = counting.output_shape = network.input_shape
    traced = 0

    for count in (1, 5, 2, 9, 1):
        vision.score_pixels(counting, vision.decode_images(CONTENTS[:count], 16), batch_size=4)

    assert traced == 1


def test_a_network_that_is_trained_on_is_scored_as_it_is_now() -> None:
    network = vision.build_network("small", 16, 2, 0.0)
    pixels = vision.decode_images(CONTENTS, 16)
    before = vision.score_pixels(network, pixels)

    network.layers[-1].bias.assign([5.0, 0.0])

    after = vision.score_pixels(network, pixels)
    assert (after[:, 0] > before[:, 0] + 0.1).all()
    np.testing.assert_allclose(after, network.predict(pixels, verbose=0), rtol=1e-6)


def test_a_network_that_nobody_holds_is_forgotten() -> None:
    network = vision.share_network(vision.build_network("small", 16, 2, 0.0))
    vision.score_pixels(network, vision.decode_images(CONTENTS, 16))
    watched = weakref.ref(network)

    del network
    gc.collect()

    assert watched() is None


def test_a_copy_of_a_shared_network_is_itself(network: keras.Model) -> None:
    shared = vision.share_network(keras.models.clone_model(network))

    assert copy.deepcopy({"network": shared})["network"] is shared


def test_a_shared_network_is_saved_as_any_other(network: keras.Model, tmp_path: Path) -> None:
    shared = vision.share_network(keras.models.clone_model(network))
    shared.set_weights(network.get_weights())

    shared.save(tmp_path / "network.keras")

    pixels = vision.decode_images(CONTENTS, 16)
    np.testing.assert_array_equal(
        vision.score_pixels(vision.load_network(tmp_path / "network.keras"), pixels),
        vision.score_pixels(network, pixels),
    )


def test_a_saved_network_gives_the_same_probabilities(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "network.keras")
    pixels = vision.decode_images(CONTENTS, 16)

    loaded = vision.load_network(tmp_path / "network.keras")

    np.testing.assert_array_equal(
        vision.score_pixels(loaded, pixels), vision.score_pixels(network, pixels)
    )
    assert not loaded.compiled


def test_a_network_of_mixed_precision_answers_in_float32(tmp_path: Path) -> None:
    vision.set_seed(0)
    exact = vision.build_network("small", 16, 2, 0.0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = vision.build_network("small", 16, 2, 0.0)
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(exact.get_weights())
    mixed.save(tmp_path / "network.keras")
    pixels = vision.decode_images(CONTENTS, 16)

    loaded = vision.load_network(tmp_path / "network.keras")

    assert loaded.layers[2].compute_dtype == "bfloat16"
    for count in (len(CONTENTS), 1):
        probabilities = vision.score_pixels(loaded, pixels[:count])
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(
            probabilities, loaded.predict(pixels[:count], verbose=0), rtol=1e-6
        )
        np.testing.assert_allclose(
            probabilities, vision.score_pixels(exact, pixels[:count]), atol=0.02
        )


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


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("count", [0, 1, CHUNK, 2 * CHUNK + 1])
def test_sound_images_are_scored_as_without_the_others(network: keras.Model, count: int) -> None:
    probabilities, reasons = vision.score_sound_images(
        network, count, CONTENTS[:count].__getitem__, batch_size=3
    )

    np.testing.assert_allclose(
        probabilities, vision.score_images(network, count, CONTENTS[:count].__getitem__), rtol=1e-5
    )
    assert probabilities.shape == (count, 2)
    assert reasons == [""] * count


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize(
    "bad",
    [
        {0: b"no image"},
        {CHUNK - 1: "gone", CHUNK: b""},
        dict.fromkeys(range(CHUNK), "gone"),  # a whole chunk
        dict.fromkeys(range(2 * CHUNK + 1), b"no image"),
    ],
    ids=["first", "at the edge of a chunk", "a whole chunk", "all"],
)
def test_an_image_that_cannot_be_scored_costs_no_other(
    network: keras.Model, bad: dict[int, bytes | str]
) -> None:
    contents = [bad.get(number, content) for number, content in enumerate(CONTENTS)]

    probabilities, reasons = vision.score_sound_images(network, len(contents), contents.__getitem__)

    expected = vision.score_images(network, len(CONTENTS), CONTENTS.__getitem__)
    expected[list(bad)] = np.nan
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    for number, reason in enumerate(reasons):
        content = bad.get(number)
        if isinstance(content, str):
            assert reason == content
        else:
            assert reason.startswith("the file cannot be decoded") == (content is not None)


@pytest.mark.usefixtures("_small_chunks")
def test_a_long_list_tells_how_far_it_has_come(
    network: keras.Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scoring, "SECONDS_BETWEEN_LINES", -1.0)
    caplog.set_level("INFO", logger=scoring.__name__)

    vision.score_sound_images(network, CHUNK + 1, CONTENTS[: CHUNK + 1].__getitem__)

    assert caplog.messages == ["Scored 4 of 5 images", "Scored 5 of 5 images"]


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("score", [vision.score_images, vision.score_sound_images])
def test_no_more_than_a_chunk_is_read_before_it_is_due(
    network: keras.Model, monkeypatch: pytest.MonkeyPatch, score: Callable[..., object]
) -> None:
    read: list[int] = []
    ahead: list[int] = []
    score_pixels = scoring.score_pixels

    def read_part(part: slice) -> Sequence[bytes]:
        read.append(part.stop - part.start)
        return CONTENTS[:1] * read[-1]

    def watch(network: keras.Model, pixels: np.ndarray, batch_size: int) -> np.ndarray:
        ahead.append(sum(read) - CHUNK * len(ahead))
        return score_pixels(network, pixels, batch_size)

    monkeypatch.setattr(scoring, "score_pixels", watch)

    score(network, 5 * CHUNK, read_part)

    assert read == [CHUNK] * 5
    assert max(ahead) <= 2 * CHUNK


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("score", [vision.score_images, vision.score_sound_images])
@pytest.mark.parametrize("fails_at", [0, CHUNK, 2 * CHUNK])
def test_a_store_that_fails_ends_the_scoring(
    network: keras.Model, score: Callable[..., object], fails_at: int
) -> None:
    def read(part: slice) -> Sequence[bytes]:
        if part.start == fails_at:
            raise TimeoutError("no answer")
        return CONTENTS[part]

    with pytest.raises(TimeoutError, match="no answer"):
        score(network, len(CONTENTS), read)
