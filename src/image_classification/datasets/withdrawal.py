"""Take a batch back out of the system, to mend it and to deliver it again."""

from __future__ import annotations

import posixpath
import shutil
from pathlib import Path

from image_classification.datasets.arrival import MARKERS
from image_classification.datasets.batch import ImageBatches
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import PARTIAL, is_local, restore_name
from image_classification.datasets.folder import find_files
from image_classification.datasets.guarded import open_guarded
from image_classification.errors import DataError, name_near_misses


def copy_batch(batches: ImageBatches, batch: str, to: Path) -> tuple[int, dict[str, list[str]]]:
    """Copy a batch as it was delivered into a new folder, which appears whole.

    The batch stays in the system as well: its images may be in the index.

    Args:
        batches: those taken in.
        batch: its name.
        to: the folder; it must not exist yet.

    Returns:
        How many files were copied, and what could not be, by kind: pipes, links out of the batch.

    Raises:
        DataError: there is no such batch, the folder exists, or cannot be written.
    """
    if batch not in (known := batches.names()):
        raise DataError(
            f"There is no batch '{batch}'. Taken in last: {', '.join(known[-10:]) or 'none'}."
            f"{name_near_misses(batch, known)}"
        )
    if to.exists():
        raise DataError(f"'{to}' exists already: name a folder that does not (--to).")
    aside = to.with_name(f".{to.name}{PARTIAL}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        found = _copy_files(batches, batch, aside)
        aside.rename(to)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise DataError(
            f"Batch '{batch}' was not copied to '{to}', and nothing of it lies there: "
            f"{describe_error(error)}."
        ) from error
    return found


def _copy_files(
    batches: ImageBatches, batch: str, folder: Path
) -> tuple[int, dict[str, list[str]]]:
    """Copy the regular files of a batch; return how many, and what is none, by kind."""
    root = posixpath.join(batches.root, batch)
    copied, odd = 0, dict[str, list[str]]()
    for path, facts in find_files(batches.filesystem, root).items():
        if path in MARKERS:
            continue
        if kind := facts.get("kind"):
            odd.setdefault(kind, []).append(path)
            continue
        below = restore_name(path) if is_local(batches.filesystem) else path
        (folder / below).parent.mkdir(parents=True, exist_ok=True)
        # In pieces: a zip that was set aside may be of any size.
        if is_local(batches.filesystem):
            with (
                open_guarded(posixpath.join(root, below), root) as file,
                (folder / below).open("wb") as copy,
            ):
                shutil.copyfileobj(file, copy)
        else:
            batches.filesystem.get_file(posixpath.join(root, below), str(folder / below))
        copied += 1
    return copied, odd
