"""Images to score: those of a folder, or those of a list."""

from __future__ import annotations

import errno
import io
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

import fsspec
import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from image_classification.datasets.file import (
    is_local,
    open_filesystem,
    read_file,
    read_in_parts,
)
from image_classification.datasets.folder import (
    LASTING_ERRORS,
    READERS,
    list_images,
)
from image_classification.datasets.leftover import READ_SUFFIXES
from image_classification.errors import DataError

LIST_SUFFIXES = (".txt", ".csv", ".parquet")
LIST_COLUMNS = ["image_name", "path"]
IMPOSSIBLE_PATHS = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of a path that no file can have."""

HOW_TO_NAME = (
    "Name a folder of images, or a list of them "
    f"({', '.join(LIST_SUFFIXES)}), in the parameter inference.images (the field 'images' of the "
    "trigger form), or in IMAGE_CLASSIFICATION_INFERENCE."
)


NOT_READ = "the file cannot be read"
"""How the reason begins where there is no content to look at."""


@dataclass(frozen=True)
class ImageSource:
    """Images on any filesystem that fsspec knows, listed and read when asked for.

    Attributes:
        default: the folder or list where no other is named.
        credentials: arguments of the fsspec filesystem.
    """

    default: str
    credentials: dict[str, Any] = field(default_factory=dict, repr=False)

    def list_images(self, place: str = "") -> pd.DataFrame:
        """List the images of a folder, sorted by path, or of a list, in its order.

        Args:
            place: a local path or an fsspec URL; "" for the default. A folder, whatever its
                sub-folders; or a list: `.txt` with a path per line, `.csv` or `.parquet` with a
                column `path` and, if wanted, `image_name`. Paths in a list are URLs, or lie on
                its filesystem; relative ones start from its folder.

        Returns:
            One row per image: `image_name` (str, in a folder the path below it, else of the
            list, else the path as listed) and `path` (str, what `read` opens).

        Raises:
            DataError: there is no such folder or list, it cannot be read, or it names no image.
        """
        place = place or self.default
        filesystem, root = open_filesystem(place, self.credentials)
        if is_local(filesystem):
            root = str(Path(root).resolve())
        filesystem.invalidate_cache()
        if filesystem.isdir(root):
            return _list_folder(filesystem, root)
        if not filesystem.exists(root):
            raise DataError(f"'{place}' does not exist. {HOW_TO_NAME}")
        return _read_list(filesystem, root)

    def read(self, paths: Sequence[str]) -> list[bytes | str]:
        """Return the content of each file in order, or the reason (str) why there is none.

        Raises:
            OSError: a file cannot be read for a reason that may pass, such as a network that is
                down.
        """
        local = not any("://" in path for path in paths)
        return read_in_parts(
            lambda some: [self._try_read(path) for path in some], paths, READERS, alone=local
        )

    def _try_read(self, path: str) -> bytes | str:
        protocol, separator, _ = path.partition("://")
        try:
            filesystem = fsspec.filesystem(protocol if separator else "file", **self.credentials)
            return read_file(filesystem, filesystem._strip_protocol(path))
        except (OSError, ValueError) as error:
            if reason := _explain(error):
                return f"{NOT_READ}: {reason}"
            raise


class ImageSourceDataset(AbstractDataset[Never, ImageSource]):
    """Where images to score come from."""

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset; nothing is read yet.

        Args:
            filepath: the folder or list where no other is named, a local path or an fsspec URL.
            credentials: arguments of the fsspec filesystem.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._source = ImageSource(filepath, credentials or {})
        self.metadata = metadata

    def load(self) -> ImageSource:
        """Return the source; nothing is listed yet."""
        return self._source

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: these images are somebody else's."""
        raise DatasetError("Images to score are read-only.")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._source.default}


def _list_folder(filesystem: fsspec.AbstractFileSystem, root: str) -> pd.DataFrame:
    files, ignored = list_images(filesystem, root)
    if files.empty:
        raise DataError(
            f"Folder '{root}' holds no image: expected files ending in "
            f"{', '.join(READ_SUFFIXES)}, found {ignored} other files. {HOW_TO_NAME}"
        )
    names = files["path"].tolist()
    return _tabulate(filesystem, root, names, names)


def _read_list(filesystem: fsspec.AbstractFileSystem, place: str) -> pd.DataFrame:
    suffix = posixpath.splitext(place)[1].lower()
    if suffix not in LIST_SUFFIXES:
        raise DataError(
            f"'{place}' is a file that ends in '{suffix}', and no folder. {HOW_TO_NAME}"
        )
    try:
        table = _parse_list(filesystem.cat_file(place), suffix)
    except (ValueError, PermissionError) as error:
        raise DataError(f"The list '{place}' cannot be read as {suffix}: {error}") from None
    if "path" not in table:
        raise DataError(
            f"The list '{place}' has no column 'path'. Received columns: "
            f"{', '.join(map(str, table)) or 'none'}."
        )
    if table.empty:
        raise DataError(f"The list '{place}' is empty. {HOW_TO_NAME}")
    paths = table["path"].fillna("").astype(str)
    if (blank := paths == "").any():
        row = int(blank.to_numpy().argmax()) + 1
        raise DataError(
            f"The list '{place}' has {blank.sum()} rows without a path, first row {row}."
        )
    names = table.get("image_name", paths).fillna("").astype(str)
    folder = posixpath.dirname(place)
    return _tabulate(filesystem, folder, names.where(names != "", paths).tolist(), paths.tolist())


def _parse_list(content: bytes, suffix: str) -> pd.DataFrame:
    if suffix == ".parquet":
        return pd.read_parquet(io.BytesIO(content))
    if suffix == ".csv":
        return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    lines = content.decode("utf-8-sig").splitlines()
    return pd.DataFrame({"path": [line.strip() for line in lines if line.strip()]})


def _tabulate(
    filesystem: fsspec.AbstractFileSystem, folder: str, names: list[str], paths: list[str]
) -> pd.DataFrame:
    """Return names and places; a path without a protocol is one of this filesystem."""
    placed = [path if "://" in path else posixpath.join(folder, path) for path in paths]
    if not is_local(filesystem):
        placed = [filesystem.unstrip_protocol(path) for path in placed]
    return pd.DataFrame({"image_name": names, "path": placed}, columns=LIST_COLUMNS, dtype=object)


def _explain(error: OSError | ValueError) -> str:
    """Return why a file cannot be read; "" if another try may succeed.

    A ValueError means an impossible path, or an unknown kind of filesystem.
    """
    if isinstance(error, FileNotFoundError):
        return "there is no such file"  # a store's own message is the name alone
    if isinstance(error, (*LASTING_ERRORS, ValueError)):
        return str(error)
    return str(error) if error.errno in IMPOSSIBLE_PATHS else ""
