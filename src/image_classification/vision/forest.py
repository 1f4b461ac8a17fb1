"""A random forest on thumbnails: what a simple method makes of the same images.

Bounded, so that it takes a second or two of a night: the accuracy beside which a network is read,
and by which nothing is decided. Method: Breiman L. (2001), Machine Learning 45:5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from image_classification.vision.source import PixelSource

MOST_IMAGES = 1500
"""Of each split: the first in the order they come in, which is that of the digests of the files."""

TREES = 40
THUMBNAIL_PX = 12


def answer_by_forest(
    train: tuple[PixelSource, npt.NDArray[np.int64]], asked: PixelSource, seed: int
) -> npt.NDArray[np.int64]:
    """Train a forest on some images, and return the class that it calls for some others.

    Args:
        train: pixels, uint8 ``(n, side, side, 3)``, and the number of the class of each image; at
            most `MOST_IMAGES` of them are read.
        asked: pixels of the others, of which at most `MOST_IMAGES` are answered.
        seed: of the forest.

    Returns:
        A class for each of the first images that are asked for, ``(m,)``.
    """
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - a second of other tasks

    pixels, labels = train
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    forest.fit(_read_thumbnails(pixels), labels[:MOST_IMAGES])
    answers: npt.NDArray[np.int64] = forest.predict(_read_thumbnails(asked))
    return answers


def _read_thumbnails(source: PixelSource) -> npt.NDArray[np.float32]:
    rows = np.arange(min(source.shape[0], MOST_IMAGES))
    thumbnails = _shrink(_shrink(source.read(rows), 1), 2)
    return thumbnails.reshape(len(rows), -1)


def _shrink(pixels: npt.NDArray[Any], axis: int) -> npt.NDArray[np.float32]:
    """Return images with at most `THUMBNAIL_PX` means along an axis."""
    side = pixels.shape[axis]
    count = min(side, THUMBNAIL_PX)
    starts: Sequence[int] = [side * place // count for place in range(count)]
    sums = np.add.reduceat(pixels, starts, axis=axis, dtype=np.float32)
    shape = [-1 if place == axis else 1 for place in range(pixels.ndim)]
    means = sums / np.diff([*starts, side]).reshape(shape)
    return means.astype(np.float32)
