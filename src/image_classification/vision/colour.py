"""Grey images, and networks that have learnt from colours."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from image_classification.vision.pixels import Pixels
from image_classification.vision.source import PixelSource

TOLERANCE = 2
"""Levels by which the channels of a grey image may differ: JPEG moves them as it packs."""

STEP = 4
"""Every fourth row and column is looked at first: nearly every image of colours shows there."""

LOOKED_AT_SHARDS = 16
LOOKED_AT_IMAGES = 16
"""So many shards of the training pixels are looked at, and so many images of each."""

MARK = "_trained_on_colours"
"""Ends the name of a network that learnt from colours, which Keras keeps with the network."""

GREY_WARNING = (
    "the image is grey and the model was trained on images with colours: its answer cannot be "
    "relied on"
)


def find_grey(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Return which images ``(n, size, size, 3)`` have no colour, ``(n,)``."""
    grey = _has_no_colour(pixels[:, ::STEP, ::STEP])
    grey[grey] = _has_no_colour(pixels[grey])
    return grey


def mark_learnt_colours(network: keras.Model, source: PixelSource) -> None:
    """Mark a network that was trained on these pixels, where most of the images have colours."""
    shards = [rows for rows in source.shards if len(rows)]
    some = shards[:: -(-len(shards) // LOOKED_AT_SHARDS)] if shards else []
    grey = [find_grey(source.read(rows[:LOOKED_AT_IMAGES])) for rows in some]
    if grey and np.concatenate(grey).mean() < 0.5:
        network.name = f"{network.name.removesuffix(MARK)}{MARK}"


class ColourWatch:
    """Finds the grey images among those that a network is asked about.

    It is called with the rows and the pixels of each part as they are scored. A network without the
    mark learnt from grey images, or before networks were marked: then nothing is found.
    """

    def __init__(self, network: keras.Model, count: int) -> None:
        self._warns = network.name.endswith(MARK)
        self._grey = np.zeros(count, bool)

    def __call__(self, rows: slice, pixels: Pixels) -> None:
        """Look at the pixels of some images."""
        if self._warns:
            self._grey[rows] = find_grey(pixels)

    @property
    def warnings(self) -> list[str]:
        """Why the answer for an image cannot be relied on, "" where it can."""
        return [GREY_WARNING if grey else "" for grey in self._grey]


def _has_no_colour(pixels: Pixels) -> npt.NDArray[np.bool_]:
    red, green, blue = (pixels[..., channel] for channel in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return np.asarray((highest - lowest).max(axis=(1, 2), initial=0) <= TOLERANCE)
