"""The table `labels.csv` of a batch: where it lies, and what stands in it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable

import fsspec
import pandas as pd

from image_classification.datasets.fault import describe_error, is_passing
from image_classification.datasets.file import is_local
from image_classification.datasets.taken import LABELS
from image_classification.errors import DataError
from image_classification.intake.sheet import read_sheet
from image_classification.text import escape_text, unify_text

LABEL_COLUMNS = ["image_name", "labelled_by", "labelled_on"]

RECEIVED_SHOWN = 200
"""So many letters of a wrong first line are told."""

MAXIMUM_BYTES = 2**25
"""A larger table is not read: one of 200,000 images has half of it."""


def find_labels(filesystem: fsspec.AbstractFileSystem, folder: str) -> str | None:
    """Return where the table of labels of a batch lies, below the folder of the batch, or None.

    It lies at the top, or in the one folder that an archive wraps its classes in, and may be called
    `Labels.CSV`.
    """
    within = [f"{name}/" for name in _list_names(filesystem, folder, folders=True)]
    for place in ("", *within):
        names = _list_names(filesystem, posixpath.join(folder, place))
        if found := sorted(name for name in names if name.lower() == LABELS):
            # As it is written here, where there are several.
            return f"{place}{LABELS if LABELS in found else found[0]}"
    return None


def read_labels(read: Callable[[], bytes], batch: str) -> pd.DataFrame:
    """Return who labelled which image, and when: `LABEL_COLUMNS`, one row per name.

    Args:
        read: reads the table.
        batch: what it belongs to, for sentences.

    Raises:
        DataError: it cannot be read, or has other columns.
    """
    try:
        table = parse_labels(read())
    except Exception as error:
        if is_passing(error):
            raise
        reason = describe_error(error)
        raise DataError(
            f"{LABELS} of batch '{batch}' cannot be read: {reason}. Save it as CSV in UTF-8."
        ) from None
    if missing := [name for name in LABEL_COLUMNS if name not in table]:
        received = escape_text(", ".join(map(str, table)))[:RECEIVED_SHOWN]
        raise DataError(
            f"{LABELS} of batch '{batch}' has no column {', '.join(missing)}: expected "
            f"{', '.join(LABEL_COLUMNS)}, received {received}. Save it as CSV in UTF-8, with "
            "these names in the first line."
        )
    repeated = table["image_name"].duplicated()
    if repeated.any():
        name = escape_text(table["image_name"][repeated].iloc[0])
        raise DataError(
            f"{LABELS} of batch '{batch}' names '{name}' more than once: one row per image is "
            "allowed. Remove all others."
        )
    return table[LABEL_COLUMNS]


def parse_labels(content: bytes) -> pd.DataFrame:
    """Return the rows of a table of labels, all str; names are as `list_images` has them.

    Raises:
        ValueError: it is no CSV, is too large, has two columns of one name, or a row with more
            cells than the first line.
    """
    if len(content) > MAXIMUM_BYTES:
        raise ValueError(f"it is {len(content)} bytes: at most {MAXIMUM_BYTES} are allowed")
    columns, rows = read_sheet(content)
    if not columns:
        raise ValueError("its first line names no column")
    cells: dict[str, list[str]] = {name: [] for name in columns}
    for row in rows:
        if row.fault:
            raise ValueError(f"line {row.line}: {row.fault}")
        for name in columns:
            cells[name].append(unify_text(row.cells[name]))
    return pd.DataFrame(cells, dtype=object)


def _list_names(
    filesystem: fsspec.AbstractFileSystem, folder: str, *, folders: bool = False
) -> list[str]:
    """Return the names of what lies directly in a folder, or of its folders; no link is followed.

    What cannot be opened, or is no folder, holds nothing.
    """
    try:
        if is_local(filesystem):
            with os.scandir(folder) as listing:
                return sorted(
                    entry.name
                    for entry in listing
                    if not folders or entry.is_dir(follow_symlinks=False)
                )
        return sorted(
            posixpath.basename(entry["name"].rstrip("/"))
            for entry in filesystem.ls(folder, detail=True)
            if not folders or entry["type"] == "directory"
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
