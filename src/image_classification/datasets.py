"""Catalog datasets of our own: image folders, packed pixels, registered networks."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Never
from uuid import uuid4

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import get_protocol_and_path
from kedro_datasets.json import JSONDataset

from image_classification import registry, vision
from image_classification.errors import DataError, RegistryError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
# What filesystems call it: local, S3, Google, Azure, memory.
MODIFIED_KEYS = ("mtime", "LastModified", "updated", "last_modified", "created")
FILE_COLUMNS = ("path", "image_name", "label", "size_bytes", "modified_at")


@dataclass(frozen=True)
class ImageFolder:
    """The image files under a folder, read when asked for.

    Attributes:
        files: one row per file, sorted by path. `path` (str, below the folder), `image_name`
            (str), `label` (str, the folder the file lies in, "" for the top), `size_bytes`
            (int), `modified_at` (str, UTC, ISO 8601).
        ignored: how many files had no image suffix.
    """

    root: str
    files: pd.DataFrame
    filesystem: fsspec.AbstractFileSystem
    ignored: int = 0

    def read(self, paths: Sequence[str]) -> list[bytes]:
        """Return the content of each file, in order, read several at a time.

        Raises:
            DataError: a file cannot be read.
        """
        if not len(paths):
            return []
        with ThreadPoolExecutor(max_workers=min(16, len(paths))) as pool:
            return list(pool.map(self._read_one, paths))

    def _read_one(self, path: str) -> bytes:
        try:
            content = self.filesystem.cat_file(posixpath.join(self.root, path))
        except OSError as error:
            raise DataError(
                f"Image file '{path}' cannot be read from '{self.root}': {error}. Restore it, give "
                "read access, or remove it; data_processing then takes the folder as it is."
            ) from error
        return content if isinstance(content, bytes) else bytes(content)


class ImageFolderDataset(AbstractDataset[Never, ImageFolder]):
    """Lists the image files below a folder, on any filesystem that fsspec knows."""

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset; nothing is read before `load`.

        Args:
            filepath: the folder, a local path or an fsspec URL. Its sub-folders are the labels.
            credentials: arguments of the fsspec filesystem.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._protocol, path = get_protocol_and_path(filepath)
        self._root = path.rstrip("/")
        self._filesystem = fsspec.filesystem(self._protocol, **(credentials or {}))
        self.metadata = metadata

    def load(self) -> ImageFolder:
        """List the files.

        Raises:
            DataError: the folder does not exist or holds no image.
        """
        if not self._filesystem.isdir(self._root):
            raise DataError(
                f"Image folder '{self._root}' does not exist. Put the images there, one sub-folder "
                "per class, or name another folder in IMAGE_CLASSIFICATION_IMAGES."
            )
        self._filesystem.invalidate_cache()
        found = self._filesystem.find(self._root, detail=True)
        rows = [self._describe_file(path, info) for path, info in found.items()]
        images = sorted(row for row in rows if row[1].lower().endswith(IMAGE_SUFFIXES))
        if not images:
            raise DataError(
                f"Image folder '{self._root}' holds no image: expected <class>/<image> files "
                f"ending in {', '.join(IMAGE_SUFFIXES)}, found {len(rows)} other files."
            )
        return ImageFolder(
            root=self._root,
            files=pd.DataFrame(images, columns=list(FILE_COLUMNS)),
            filesystem=self._filesystem,
            ignored=len(rows) - len(images),
        )

    def _describe_file(self, path: str, info: dict[str, Any]) -> tuple[str, str, str, int, str]:
        below = posixpath.relpath(path, self._root)
        modified = next((info[key] for key in MODIFIED_KEYS if info.get(key)), "")
        if isinstance(modified, int | float):
            modified = datetime.fromtimestamp(modified, UTC).isoformat()
        label = posixpath.dirname(below)
        return below, posixpath.basename(below), label, int(info["size"] or 0), str(modified)

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: raw images stay as they arrived."""
        raise DatasetError("Raw images are read-only.")

    def _exists(self) -> bool:
        return bool(self._filesystem.isdir(self._root))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._root, "protocol": self._protocol}


@dataclass(frozen=True)
class PixelShard:
    """Pixels of some images: `pixels` uint8 ``(n, size, size, 3)``, `image_ids` n strings."""

    image_ids: list[str]
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PackedPixels:
    """Decoded images of one or more sizes, addressed by the sha256 of their files."""

    places: dict[int, dict[str, tuple[str, int]]] = field(default_factory=dict)
    filesystem: fsspec.AbstractFileSystem | None = None

    def image_ids(self, size_px: int) -> set[str]:
        """Return the ids of all images packed at this size."""
        return set(self.places.get(size_px, ()))

    def read(self, image_ids: Sequence[str], size_px: int) -> npt.NDArray[np.uint8]:
        """Return the pixels of these images, in order.

        Returns:
            Array ``(len(image_ids), size_px, size_px, 3)``, uint8.

        Raises:
            DataError: an image is not packed at this size.
        """
        places = self.places.get(size_px, {})
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

    def _open_shard(self, path: str) -> npt.NDArray[np.uint8]:
        if self.filesystem is None or "file" in _protocols(self.filesystem):
            opened: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
        else:
            opened = np.load(io.BytesIO(self.filesystem.cat_file(path)))
        return opened


class PackedPixelsDataset(AbstractDataset[PixelShard, PackedPixels]):
    """A folder of pixel shards that only grows.

    Each save adds one shard: ``<size>px/<digest of its image ids>.npy`` with the ids beside it
    in a ``.parquet``, written last, so that a shard without ids was never finished and counts as
    absent. Saving the same shard again replaces it by itself.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset of the folder `filepath`, a local path or an fsspec URL."""
        self._protocol, path = get_protocol_and_path(filepath)
        self._root = path.rstrip("/")
        self._filesystem = fsspec.filesystem(self._protocol, **(credentials or {}))
        self.metadata = metadata

    def load(self) -> PackedPixels:
        """List what is packed; an empty store where nothing is. Pixels are read on demand."""
        self._filesystem.invalidate_cache()
        places: dict[int, dict[str, tuple[str, int]]] = {}
        for ids_path in sorted(self._filesystem.glob(f"{self._root}/*px/*.parquet")):
            size_px = int(posixpath.basename(posixpath.dirname(ids_path)).removesuffix("px"))
            ids = pd.read_parquet(io.BytesIO(self._filesystem.cat_file(ids_path)))["image_id"]
            shard = ids_path.removesuffix(".parquet") + ".npy"
            places.setdefault(size_px, {}).update(
                {image_id: (shard, row) for row, image_id in enumerate(ids)}
            )
        return PackedPixels(places, self._filesystem)

    def save(self, data: PixelShard) -> None:
        """Add a shard."""
        name = hashlib.sha256("\n".join(data.image_ids).encode()).hexdigest()[:16]
        stem = posixpath.join(self._root, f"{data.pixels.shape[1]}px", name)
        array = io.BytesIO()
        np.save(array, data.pixels)
        write_whole(self._filesystem, f"{stem}.npy", array.getvalue())
        ids = pd.DataFrame({"image_id": data.image_ids})
        write_whole(self._filesystem, f"{stem}.parquet", ids.to_parquet(index=False))

    def _exists(self) -> bool:
        return bool(self._filesystem.glob(f"{self._root}/*px/*.parquet"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._root, "protocol": self._protocol}


class GrowingTableDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A Parquet table that a later run reads before it writes: absent reads as empty.

    Written aside and then renamed, so that a reader meets the old table or the new one.
    """

    def __init__(
        self,
        *,
        filepath: str,
        columns: Sequence[str],
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset of the file `filepath`; `columns` are those of the empty table."""
        self._protocol, self._path = get_protocol_and_path(filepath)
        self._columns = list(columns)
        self._filesystem = fsspec.filesystem(self._protocol, **(credentials or {}))
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read the table."""
        if not self._filesystem.exists(self._path):
            return pd.DataFrame(columns=self._columns, dtype=object)
        return pd.read_parquet(io.BytesIO(self._filesystem.cat_file(self._path)))

    def save(self, data: pd.DataFrame) -> None:
        """Replace the table."""
        write_whole(self._filesystem, self._path, data.to_parquet(index=False))

    def _exists(self) -> bool:
        return bool(self._filesystem.exists(self._path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path, "protocol": self._protocol}


class WholeJSONDataset(JSONDataset):
    """A JSON file that later runs share: a reader meets the old content or the new one."""

    def save(self, data: Any) -> None:
        """Replace the file."""
        write_whole(self._fs, self._filepath.as_posix(), json.dumps(data, indent=2).encode())


@dataclass(frozen=True)
class RegisteredNetwork:
    """A network out of the registry: the Keras model, its classes in order, its version."""

    network: Any
    class_names: list[str]
    version: str


class RegisteredNetworkDataset(AbstractDataset[Never, RegisteredNetwork | None]):
    """The network of the model version that an alias points to.

    The packaged model carries the network as a file of its own, which loads whatever has become
    of the code since.
    """

    def __init__(
        self,
        *,
        model_name: str,
        alias: str,
        required: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset.

        Args:
            model_name: the registered model.
            alias: `champion` or `challenger`.
            required: raise when no version holds the alias; if false, load None.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._model_name = model_name
        self._alias = alias
        self._required = required
        self.metadata = metadata

    def load(self) -> RegisteredNetwork | None:
        """Load the network.

        Raises:
            RegistryError: no version holds the alias, and one is required.
        """
        version = registry.find_version(self._model_name, self._alias)
        if version is None:
            if not self._required:
                return None
            raise RegistryError(
                f"Registered model '{self._model_name}' has no version with the alias "
                f"'{self._alias}'. Run the pipeline 'retraining' first, or set the alias in MLflow."
            )
        with registry.open_parts(self._model_name, version.version) as parts:
            return RegisteredNetwork(
                network=vision.load_network(parts.network),
                class_names=parts.class_names,
                version=str(version.version),
            )

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: a version is registered by logging a model."""
        raise DatasetError("A registered network cannot be saved through the catalog.")

    def _exists(self) -> bool:
        return registry.find_version(self._model_name, self._alias) is not None

    def _describe(self) -> dict[str, Any]:
        return {"model_name": self._model_name, "alias": self._alias, "required": self._required}


def write_whole(filesystem: fsspec.AbstractFileSystem, path: str, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    An object store does so by itself; on a disk the file is written aside, then renamed.
    """
    if "file" not in _protocols(filesystem):
        filesystem.pipe_file(path, content)
        return
    filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
    aside = f"{path}.{uuid4().hex}.partial"
    filesystem.pipe_file(aside, content)
    filesystem.mv(aside, path)


def _protocols(filesystem: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
