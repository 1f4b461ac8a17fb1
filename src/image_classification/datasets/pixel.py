"""Decoded images, packed into shards."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from image_classification.datasets.cache import forget_entry, open_entry, read_entry
from image_classification.datasets.dataset import FilesystemDataset
from image_classification.datasets.file import (
    is_local,
    list_entries,
    read_in_parts,
    write_whole,
)
from image_classification.datasets.parquet import decode_table, encode_table
from image_classification.errors import DataError

logger = logging.getLogger(__name__)

IDS = ".parquet"
"""Ending of the file that names the images of a shard, in order; the shard itself is ``.npy``."""

DIGEST = "sha256"
"""Column of that file: the sha256 of the shard."""

READERS = 16
"""Lists of shards that are read at the same time from an object store."""

READ_BYTES = 2**22


@dataclass
class PixelShard:
    """Pixels of some images: `pixels` uint8 ``(n, size, size, 3)``, `image_ids` n strings."""

    image_ids: list[str]
    pixels: npt.NDArray[np.uint8]

    @classmethod
    def empty(cls, size_px: int) -> PixelShard:
        """Return a shard of no images."""
        return cls([], np.empty((0, size_px, size_px, 3), np.uint8))

    def release(self) -> None:
        """Let go of the images, so that whoever still holds the shard holds no pixels."""
        self.image_ids, self.pixels = [], self.pixels[:0].copy()


class PackedPixels:
    """Decoded images of one or more sizes, addressed by the sha256 of their files."""

    def __init__(self, root: str, filesystem: fsspec.AbstractFileSystem) -> None:
        self._root = root
        self._filesystem = filesystem
        self._places: dict[int, dict[str, tuple[str, int]]] = {}
        self._digests: dict[str, str] = {}
        self._entries: dict[str, dict[str, Any]] = {}
        self._checked: set[str] = set()
        self.cut: dict[str, str] = {}
        """Shards that are not whole, and why, of the sizes that were listed."""

    def image_ids(self, size_px: int) -> set[str]:
        """Return the ids of all images packed at this size, without those of a cut shard."""
        return set(self._list_places(size_px))

    def find_damaged(self, size_px: int) -> dict[str, str]:
        """Return the shards of this size whose content is not what was packed, and why."""
        self._list_places(size_px)
        damaged = {}
        for shard in self._digests:
            try:
                self._check(shard)
            except DataError as error:
                damaged[shard] = str(error)
        return damaged

    def read(self, image_ids: Sequence[str], size_px: int) -> npt.NDArray[np.uint8]:
        """Return the pixels of these images, in order.

        Returns:
            Array ``(len(image_ids), size_px, size_px, 3)``, uint8.

        Raises:
            DataError: an image is not packed at this size.
        """
        return self.select(image_ids, size_px).read(np.arange(len(image_ids)))

    def select(self, image_ids: Sequence[str], size_px: int) -> PixelSelection:
        """Return these images in order, to be read a part at a time.

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
        return PixelSelection(self, [places[image_id] for image_id in image_ids], size_px)

    def _list_places(self, size_px: int) -> dict[str, tuple[str, int]]:
        """Return shard and row of each image packed at this size, listed at the first call."""
        if size_px not in self._places:
            places: dict[str, tuple[str, int]] = {}
            listed = list_entries(self._filesystem, f"{self._root}/{size_px}px")
            found = {entry["name"]: entry for entry in listed}
            lists = [entry for path, entry in found.items() if path.endswith(IDS)]
            alone = is_local(self._filesystem)
            tables = read_in_parts(self._read_tables, lists, READERS, alone=alone)
            for entry, table in zip(lists, tables, strict=True):
                shard = entry["name"].removesuffix(IDS) + ".npy"
                size = self._measure_file(found.get(shard))
                ids = self._accept_ids(entry["name"], table, size, size_px)
                places.update({image_id: (shard, row) for row, image_id in enumerate(ids)})
            self._entries |= found
            self._places[size_px] = places
        return self._places[size_px]

    def _read_tables(self, entries: Sequence[Mapping[str, Any]]) -> list[pd.DataFrame | Exception]:
        return [self._try_read_table(entry) for entry in entries]

    def _try_read_table(self, entry: Mapping[str, Any]) -> pd.DataFrame | Exception:
        """Return the ids of a shard, or what is wrong with the file.

        Raises:
            OSError: an object store does not give it; another try may succeed.
        """
        try:
            content = read_entry(self._filesystem, entry)
        except OSError as error:
            if not is_local(self._filesystem):
                raise
            return error
        try:
            table = decode_table(content)
        except pa.ArrowException as error:
            return error
        return table if "image_id" in table else KeyError("image_id")

    def _measure_file(self, entry: Mapping[str, Any] | None) -> int:
        """Return the size of a file that was listed, 0 where there is none."""
        if entry is None:
            return 0
        return int(entry["size"] if "size" in entry else Path(entry["name"]).stat().st_size)

    def _accept_ids(
        self, path: str, table: pd.DataFrame | Exception, size: int, size_px: int
    ) -> list[str]:
        """Return the ids of a shard; none, with a warning, where it is not whole.

        A file may be cut or empty after a power cut. Its images then count as not packed, and the
        next intake packs them again.

        Args:
            path: the file of the ids.
            table: what it holds, or why it cannot be read.
            size: of the file of the pixels, in bytes.
            size_px: side of the images.
        """
        if isinstance(table, Exception):
            logger.warning("'%s' cannot be read: its images are packed again: %s", path, table)
            self.cut[path] = str(table)
            return []
        ids: list[str] = table["image_id"].tolist()
        if size < _measure((len(ids), size_px, size_px, 3)):
            logger.warning("The pixels of '%s' are cut or gone: they are packed again", path)
            self.cut[path] = "the file of its pixels is cut or gone"
            return []
        if DIGEST in table and ids:
            self._digests[path.removesuffix(IDS) + ".npy"] = str(table[DIGEST].iloc[0])
        return ids

    def _check(self, path: str) -> None:
        """Check a shard against the digest that was written with it, once.

        Raises:
            DataError: it holds something else. Shards of before have no digest.
        """
        expected = self._digests.get(path)
        if expected is None or path in self._checked:
            return
        entry = self._entries[path]
        if open_entry(self._filesystem, entry, _digest) != expected:
            # What was kept of it here may be damaged, and not the store's own file.
            forget_entry(self._filesystem, entry)
        if open_entry(self._filesystem, entry, _digest) != expected:
            raise DataError(
                f"The pixels in '{path}' are not those that were packed: the file was changed or "
                "damaged since. Run 'image-classification check --repair', which makes them again "
                "from the images."
            )
        self._checked.add(path)

    def open_shard(self, path: str) -> npt.NDArray[np.uint8]:
        """Return a shard, memory-mapped; one of an object store is fetched once.

        Raises:
            DataError: it is not what was packed.
        """
        self._check(path)

        def load(file: Path) -> npt.NDArray[np.uint8]:
            shard: npt.NDArray[np.uint8] = np.load(file, mmap_mode="r")
            return shard

        return open_entry(self._filesystem, self._entries[path], load)


class PixelSelection:
    """Some packed images in order: a `vision.PixelSource`.

    A shard is open only while it is read, so that nothing of it stays in memory.
    """

    def __init__(
        self, packed: PackedPixels, places: Sequence[tuple[str, int]], size_px: int
    ) -> None:
        self._packed = packed
        self._size_px = size_px
        names = [shard for shard, _ in places]
        self._names, numbers = np.unique(np.array(names, dtype=object), return_inverse=True)
        self._shard_of: npt.NDArray[np.intp] = numbers
        self._place_of = np.array([place for _, place in places], dtype=np.intp)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, height, width, channels."""
        return len(self._place_of), self._size_px, self._size_px, 3

    @property
    def shards(self) -> list[npt.NDArray[np.intp]]:
        """The rows of each shard."""
        order = np.argsort(self._shard_of, kind="stable")
        ends = np.cumsum(np.bincount(self._shard_of, minlength=len(self._names)))[:-1]
        return [rows for rows in np.split(order, ends) if len(rows)]

    def read(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Return the pixels of these rows, in this order."""
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        shard_of, place_of = self._shard_of[rows], self._place_of[rows]
        for number in np.unique(shard_of):
            here = np.flatnonzero(shard_of == number)
            pixels[here] = self._packed.open_shard(self._names[number])[place_of[here]]
        return pixels


class PackedPixelsDataset(FilesystemDataset[PixelShard, PackedPixels]):
    """A folder of pixel shards that only grows.

    Each save adds one shard: ``<size>px/<digest of its image ids>.npy``, and its ids in a
    ``.parquet`` beside it. The ids are written last: a shard without ids was never finished, and
    counts as absent. Saving the same shard again changes nothing.
    """

    def load(self) -> PackedPixels:
        """Return what is packed; it is listed and read on demand."""
        return PackedPixels(self._root, self._filesystem)

    def save(self, data: PixelShard) -> None:
        """Add a shard, and let go of its pixels; one of no images adds nothing.

        Kedro's runner keeps up to 57 of the items that a node with several outputs yields
        (`itertools.tee`). If they kept their pixels, memory would grow with the images.
        """
        if not data.image_ids:
            return
        name = hashlib.sha256("\n".join(data.image_ids).encode()).hexdigest()[:16]
        stem = posixpath.join(self._root, f"{data.pixels.shape[1]}px", name)
        content = _encode(data.pixels)
        write_whole(self._filesystem, f"{stem}.npy", *content)
        digest = hashlib.sha256(content[0])
        digest.update(content[1])
        ids = pd.DataFrame({"image_id": data.image_ids, DIGEST: digest.hexdigest()})
        write_whole(self._filesystem, f"{stem}{IDS}", encode_table(ids))
        data.release()

    def _exists(self) -> bool:
        return bool(list_entries(self._filesystem, self._root))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _measure(shape: tuple[int, ...]) -> int:
    """Return the size of the file of an array of bytes, as `np.save` writes it."""
    header = io.BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.tell() + math.prod(shape)


def _encode(pixels: npt.NDArray[np.uint8]) -> tuple[bytes, memoryview]:
    """Return header and content of a file as `np.save` writes it."""
    pixels = np.ascontiguousarray(pixels)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(pixels))
    return header.getvalue(), pixels.data.cast("B")
