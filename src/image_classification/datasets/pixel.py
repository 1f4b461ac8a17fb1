"""Decoded images, packed into shards."""

from __future__ import annotations

import hashlib
import io
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from image_classification.datasets.file import FilesystemDataset, is_local, write_whole
from image_classification.errors import DataError


@dataclass(frozen=True)
class PixelShard:
    """Pixels of some images: `pixels` uint8 ``(n, size, size, 3)``, `image_ids` n strings."""

    image_ids: list[str]
    pixels: npt.NDArray[np.uint8]

    @classmethod
    def empty(cls, size_px: int) -> PixelShard:
        """Return a shard of no images."""
        return cls([], np.empty((0, size_px, size_px, 3), np.uint8))


class PackedPixels:
    """Decoded images of one or more sizes, addressed by the sha256 of their files."""

    def __init__(self, root: str, filesystem: fsspec.AbstractFileSystem) -> None:
        self._root = root
        self._filesystem = filesystem
        self._places: dict[int, dict[str, tuple[str, int]]] = {}

    def image_ids(self, size_px: int) -> set[str]:
        """Return the ids of all images packed at this size."""
        return set(self._list_places(size_px))

    def read(self, image_ids: Sequence[str], size_px: int) -> npt.NDArray[np.uint8]:
        """Return the pixels of these images, in order.

        Returns:
            Array ``(len(image_ids), size_px, size_px, 3)``, uint8.

        Raises:
            DataError: an image is not packed at this size.
        """
        places = self._list_places(size_px)
        missing = [image_id for image_id in image_ids if image_id not in places]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(image_ids)} images are not packed at {size_px} px "
                f"(first: {missing[0]}). Run the pipeline data_processing with "
                f"image_size_px={size_px}."
            )
        pixels = np.empty((len(image_ids), size_px, size_px, 3), np.uint8)
        by_shard: dict[str, list[tuple[int, int]]] = {}
        for row, image_id in enumerate(image_ids):
            shard, place = places[image_id]
            by_shard.setdefault(shard, []).append((row, place))
        for shard, pairs in by_shard.items():
            rows, shard_rows = np.array(pairs).T
            pixels[rows] = self._open_shard(shard)[shard_rows]
        return pixels

    def _list_places(self, size_px: int) -> dict[str, tuple[str, int]]:
        """Return shard and row of each image packed at this size; listed when first asked for."""
        if size_px not in self._places:
            self._filesystem.invalidate_cache()
            places = {}
            for ids_path in sorted(self._filesystem.glob(f"{self._root}/{size_px}px/*.parquet")):
                content = io.BytesIO(self._filesystem.cat_file(ids_path))
                shard = ids_path.removesuffix(".parquet") + ".npy"
                ids = pd.read_parquet(content)["image_id"]
                places.update({image_id: (shard, row) for row, image_id in enumerate(ids)})
            self._places[size_px] = places
        return self._places[size_px]

    def _open_shard(self, path: str) -> npt.NDArray[np.uint8]:
        if is_local(self._filesystem):
            opened: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
        else:
            opened = np.load(io.BytesIO(self._filesystem.cat_file(path)))
        return opened


class PackedPixelsDataset(FilesystemDataset[PixelShard, PackedPixels]):
    """A folder of pixel shards that only grows.

    Each save adds one shard: ``<size>px/<digest of its image ids>.npy`` with the ids beside it
    in a ``.parquet``, written last, so that a shard without ids was never finished and counts as
    absent. Saving the same shard again replaces it by itself.
    """

    def load(self) -> PackedPixels:
        """Return what is packed; listed and read on demand."""
        return PackedPixels(self._root, self._filesystem)

    def save(self, data: PixelShard) -> None:
        """Add a shard; one of no images adds nothing."""
        if not data.image_ids:
            return
        name = hashlib.sha256("\n".join(data.image_ids).encode()).hexdigest()[:16]
        stem = posixpath.join(self._root, f"{data.pixels.shape[1]}px", name)
        array = io.BytesIO()
        np.save(array, data.pixels)
        write_whole(self._filesystem, f"{stem}.npy", array.getvalue())
        ids = pd.DataFrame({"image_id": data.image_ids})
        write_whole(self._filesystem, f"{stem}.parquet", ids.to_parquet(index=False))

    def _exists(self) -> bool:
        return bool(self._filesystem.glob(f"{self._root}/*px/*.parquet"))
