"""Grey images, and the mark of a network that learnt from colours."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from image_classification import vision
from image_classification.vision import HeldPixels
from image_classification.vision.colour import (
    GREY_WARNING,
    MARK,
    find_grey,
    mark_learnt_colours,
)
from image_classification.vision.pixels import Pixels

GREY: Pixels = np.repeat(
    np.random.default_rng(0).integers(0, 254, (6, 8, 8, 1), np.uint8), 3, axis=-1
)
COLOURS: Pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), np.uint8)


@pytest.fixture
def network() -> keras.Model:
    return vision.build_network("small", 16, 2, 0.0)


def test_an_image_is_grey_where_its_channels_are_nearly_equal_everywhere() -> None:
    pixels = np.stack([GREY[0], COLOURS[0], GREY[1], GREY[2], GREY[3]])
    pixels[2, 3, 5, 1] += 2
    pixels[3, 3, 5, 1] = pixels[3, 3, 5].max() + 3 if pixels[3, 3, 5].max() < 253 else 0
    pixels[4, 0, 0] = (90, 90, 93)
    assert find_grey(pixels).tolist() == [True, False, True, False, False]
    assert find_grey(GREY[:0]).tolist() == []
    assert find_grey(GREY).all()


def test_levels_at_the_ends_of_the_range_are_not_taken_for_one_another() -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[0, :, :, 2] = 255
    assert not find_grey(pixels).any()


@pytest.mark.parametrize(
    ("pixels", "marked"),
    [
        (COLOURS, True),
        (GREY, False),
        (np.concatenate([COLOURS, GREY]), False),
        (np.concatenate([COLOURS, GREY[:3]]), True),
        (GREY[:0], False),
    ],
)
def test_a_network_is_marked_where_most_of_what_it_learnt_from_has_colours(
    network: keras.Model, tmp_path: Path, pixels: Pixels, marked: bool
) -> None:
    for _ in range(2):
        mark_learnt_colours(network, HeldPixels(pixels))
    assert network.name == ("small_network" + MARK if marked else "small_network")
    network.save(tmp_path / "network.keras")
    loaded = vision.load_network(tmp_path / "network.keras")
    watch = vision.ColourWatch(loaded, 3)
    watch(slice(0, 2), np.stack([GREY[0], COLOURS[0]]))
    assert watch.warnings == ([GREY_WARNING, "", ""] if marked else ["", "", ""])


def test_training_marks_the_network_that_it_returns() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    pixels = np.repeat(np.repeat(COLOURS, 2, axis=1), 2, axis=2)
    network, _, _ = vision.fit_network(
        lambda: vision.build_network("small", 16, 2, 0.0),
        (pixels, labels),
        (pixels, labels),
        epochs=1,
        batch_size=6,
        learning_rate=0.001,
        weight_decay=0.0,
        label_smoothing=0.0,
        seed=0,
    )
    assert network.name.endswith(MARK)
