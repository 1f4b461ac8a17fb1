"""Folders of other projects below a place that is shared with them: a mark tells them.

Of a place that a variable names, such as `IMAGE_CLASSIFICATION_INCOMING`, a project without a name
uses all, and one that has a name the folder of that name. To the first one that folder looks like a
batch that has arrived: so the second one marks it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from contextlib import suppress

from image_classification.datasets.file import (
    create_file,
    exists,
    is_local,
    list_entries,
    open_filesystem,
    read_in_parts,
)

MARK = ".image-classification-project"
"""File in the folder of a project that has a name."""

READERS = 16
"""Folders that are looked at at the same time in an object store."""

OF_ANOTHER = "in the folder of another project"


def mark_folder(place: str, name: str) -> None:
    """Mark a folder as that of a project.

    Args:
        place: a folder or an fsspec URL.
        name: what the names of the project begin with.

    Raises:
        OSError: nothing can be written there.
    """
    filesystem, root = open_filesystem(place)
    mark = posixpath.join(root, MARK)
    if not exists(filesystem, mark):
        said = f"This folder belongs to the project '{name}': see docs/environments.md.\n"
        with suppress(FileExistsError):
            # Everybody may read it: whoever finds it has to know.
            create_file(filesystem, mark, said.encode(), 0o644)


def find_marked(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the folders of other projects, each with a "/", among paths of files below a place."""
    return tuple(path.removesuffix(MARK) for path in paths if path.endswith(f"/{MARK}"))


def list_neighbours(place: str) -> list[str]:
    """Return the folders of other projects directly below a folder or an fsspec URL."""
    filesystem, root = open_filesystem(place)

    def have_marks(names: Sequence[str]) -> list[bool]:
        return [exists(filesystem, posixpath.join(root, name, MARK)) for name in names]

    names = [
        posixpath.basename(entry["name"])
        for entry in list_entries(filesystem, root)
        if entry.get("type", "directory") == "directory"
    ]
    marked = read_in_parts(have_marks, names, READERS, alone=is_local(filesystem))
    return [name for name, is_marked in zip(names, marked, strict=True) if is_marked]
