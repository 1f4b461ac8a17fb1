"""Folders and lists of images to score."""

from __future__ import annotations

import io
import logging
import posixpath

import fsspec
import pandas as pd

from image_classification.datasets.file import is_local, read_file
from image_classification.datasets.folder import (
    describe_left_out,
    list_images,
    list_left_out,
)
from image_classification.datasets.leftover import READ_SUFFIXES
from image_classification.errors import DataError
from image_classification.intake.sheet import decode_text, read_sheet

logger = logging.getLogger(__name__)

LIST_SUFFIXES = (".txt", ".csv", ".parquet")
LIST_COLUMNS = ["image_name", "path"]

HOW_TO_NAME = (
    "Name a folder of images, or a list of them "
    f"({', '.join(LIST_SUFFIXES)}), in the parameter inference.images (the field 'images' of the "
    "trigger form), or in IMAGE_CLASSIFICATION_INFERENCE."
)


def find_folder(place: str) -> str:
    """Return the folder of a list, or the place itself where it is none."""
    is_list = place.lower().endswith(LIST_SUFFIXES)
    return posixpath.dirname(place) or "." if is_list else place


def list_folder(filesystem: fsspec.AbstractFileSystem, root: str) -> pd.DataFrame:
    """Return `image_name` and `path` of the images below a folder; what is left out is logged.

    Raises:
        DataError: it holds no image.
    """
    files, ignored = list_images(filesystem, root)
    if files.empty:
        raise DataError(
            f"Folder '{root}' holds no image: expected files ending in "
            f"{', '.join(READ_SUFFIXES)}, found {ignored} other files. {HOW_TO_NAME}"
        )
    if ignored:
        left_out = list_left_out(filesystem, root)
        logger.warning("%s: %s", root, " ".join(describe_left_out(left_out)))
    names = files["path"].tolist()
    return _tabulate(filesystem, root, names, names)


def read_list(filesystem: fsspec.AbstractFileSystem, place: str) -> pd.DataFrame:
    """Return `image_name` and `path` of the images that a list names.

    Raises:
        DataError: it cannot be read, has no column `path`, or a row without one.
    """
    suffix = posixpath.splitext(place)[1].lower()
    if suffix not in LIST_SUFFIXES:
        raise DataError(
            f"'{place}' is a file that ends in '{suffix}', and no folder. {HOW_TO_NAME}"
        )
    try:
        table = _parse_list(read_file(filesystem, place), suffix)
    except Exception as error:  # noqa: BLE001 - of all that pandas and PyArrow may raise
        raise DataError(f"The list '{place}' cannot be read as {suffix}: {error}") from None
    if "path" not in table:
        raise DataError(
            f"The list '{place}' has no column 'path'. Received columns: "
            f"{', '.join(map(str, table)) or 'none'}."
        )
    if table.empty:
        raise DataError(f"The list '{place}' is empty. {HOW_TO_NAME}")
    paths = table["path"].astype(object).fillna("").astype(str)
    if (blank := paths == "").any():
        row = int(blank.to_numpy().argmax()) + 1
        raise DataError(
            f"The list '{place}' has {blank.sum()} rows without a path, first row {row}."
        )
    names = table.get("image_name", paths).astype(object).fillna("").astype(str)
    folder = posixpath.dirname(place)
    return _tabulate(filesystem, folder, names.where(names != "", paths).tolist(), paths.tolist())


def _parse_list(content: bytes, suffix: str) -> pd.DataFrame:
    if suffix == ".parquet":
        return pd.read_parquet(io.BytesIO(content))
    if suffix == ".csv":
        return _parse_csv(content)
    # Its lines alone: `splitlines` would cut a name at signs that names of files may have.
    lines = io.StringIO(decode_text(content), newline=None)
    return pd.DataFrame({"path": [line.strip() for line in lines if line.strip()]})


def _parse_csv(content: bytes) -> pd.DataFrame:
    columns, rows = read_sheet(content)
    cells: dict[str, list[str]] = {name: [] for name in columns}
    for row in rows:
        if row.fault:
            raise ValueError(f"line {row.line}: {row.fault}")
        for name, column in cells.items():
            column.append(row.cells[name])
    return pd.DataFrame(cells, dtype=object)


def _tabulate(
    filesystem: fsspec.AbstractFileSystem, folder: str, names: list[str], paths: list[str]
) -> pd.DataFrame:
    """Return names and places; a path without a protocol is one of this filesystem."""

    def place(path: str) -> str:
        if "://" in path:
            return path
        here = posixpath.join(folder, path)
        return here if is_local(filesystem) else str(filesystem.unstrip_protocol(here))

    placed = [place(path) for path in paths]
    return pd.DataFrame({"image_name": names, "path": placed}, columns=LIST_COLUMNS, dtype=object)
