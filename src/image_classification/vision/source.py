"""Pixels that a network is trained on or scored over, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from image_classification.vision.pixels import Pixels

Rows = npt.NDArray[np.integer]


class PixelSource(Protocol):
    """Images of one size in a fixed order, read a part at a time."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, height, width and channels of all of them together."""

    @property
    def shards(self) -> Sequence[Rows]:
        """The rows that lie together and are cheap to read together; each row in one of them."""

    def read(self, rows: Rows) -> Pixels:
        """Return the pixels of these rows, in this order, uint8 ``(len(rows), h, w, 3)``."""


@dataclass(frozen=True)
class HeldPixels:
    """A source that is an array in memory, uint8 ``(n, size, size, 3)``."""

    pixels: Pixels

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the array."""
        count, height, width, channels = self.pixels.shape
        return count, height, width, channels

    @property
    def shards(self) -> Sequence[Rows]:
        """All rows: none is dearer than another."""
        return [np.arange(len(self.pixels))]

    def read(self, rows: Rows) -> Pixels:
        """Pick them out of the array."""
        return self.pixels[rows]


def count_bytes(source: PixelSource) -> int:
    """Return the size of all pixels of a source, in bytes."""
    return int(np.prod(source.shape, dtype=np.int64))


def read_chunks(source: PixelSource, images: int) -> Iterator[tuple[Rows, Pixels]]:
    """Yield rows and their pixels, each row once, at most so many images at a time.

    In the order of the shards: row by row, nearly every chunk would need every shard.
    """
    order = np.concatenate([np.empty(0, np.intp), *source.shards])
    for start in range(0, len(order), images):
        rows = order[start : start + images]
        yield rows, source.read(rows)
