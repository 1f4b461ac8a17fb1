"""Deliver images: put them into the incoming folder as a batch that appears there whole."""

from __future__ import annotations

import csv
import io
import itertools
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

import fsspec

from image_classification.datasets.archive import open_archive
from image_classification.datasets.arrival import READY, clean_name
from image_classification.datasets.batch import LABEL_COLUMNS
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import (
    PARTIAL,
    encode_name,
    is_local,
    open_filesystem,
    write_whole,
)
from image_classification.datasets.folder import LINK_OUT, find_files
from image_classification.datasets.leftover import READ_SUFFIXES, explain_left_out
from image_classification.datasets.taken import LABELS
from image_classification.errors import DataError
from image_classification.text import escape_cell, unify_text


class Source:
    """Images to deliver: a folder with a sub-folder per class, or a zip of one.

    Attributes:
        path: of the folder or zip.
        files: the images in it, by their path below it. A copy in a second folder of the same
            class is left out: Kaggle's archive has one of every image.
        labels: the `labels.csv` in it, if there is one.
        left_out: all else that lies in it, by why it is left out.
    """

    def __init__(self, path: Path) -> None:
        """Look into a folder or zip.

        Raises:
            DataError: there is no such folder or zip, or no image in a class folder.
        """
        self.path = path
        self.is_zip = path.suffix.lower() == ".zip" and not path.is_dir()
        sizes = _list_zip(path) if self.is_zip else _list_folder(path)
        self.files = self._drop_copies(
            {file: size for file, size in sizes.items() if not _explain_left_out(file)}
        )
        self.labels = next((file for file in sizes if file.name.lower() == LABELS), None)
        self.left_out = {} if self.is_zip else _list_odd(path)
        for file in sizes.keys() - {*self.files, self.labels}:
            kind = _explain_left_out(file) or "copy of another one"
            self.left_out.setdefault(kind, []).append(encode_name(str(file)))
        self.left_out = {kind: sorted(self.left_out[kind]) for kind in sorted(self.left_out)}
        if not self.files:
            raise DataError(
                f"'{path}' holds no image in a class folder. Expected <class>/<image> files ending "
                f"in {', '.join(READ_SUFFIXES)}, or a zip of them."
            )

    def read(self, paths: Sequence[PurePosixPath]) -> Iterator[bytes]:
        """Yield the content of each file."""
        if self.is_zip:
            with self.path.open("rb") as file, open_archive(file, str(self.path)) as archive:
                members = {PurePosixPath(member.path): member for member in archive.members}
                yield from archive.read([members[path] for path in paths])
        else:
            for path in paths:
                yield (self.path / path).read_bytes()

    def _drop_copies(self, sizes: Mapping[PurePosixPath, int]) -> list[PurePosixPath]:
        alike: dict[tuple[str, str, int], list[PurePosixPath]] = {}
        for file, size in sizes.items():
            alike.setdefault((file.parent.name, file.name, size), []).append(file)
        kept = set(sizes)
        for files in alike.values():
            if len(files) > 1:
                contents: dict[bytes, PurePosixPath] = {}
                for file, content in zip(files, self.read(files), strict=True):
                    if contents.setdefault(content, file) != file:
                        kept.discard(file)
        return sorted(kept)


def deliver(
    source: Source,
    incoming: str,
    name: str | None = None,
    *,
    files: Sequence[PurePosixPath] | None = None,
    labelled_by: str | None = None,
) -> str:
    """Put images into the incoming folder as one batch, which appears there whole.

    Args:
        source: the images.
        incoming: the folder or fsspec URL.
        name: of the batch; None for the date and the source's name.
        files: those of the source to deliver; None for all.
        labelled_by: written into the batch's `labels.csv` for every image, with today's date,
            where the source has no such file.

    Returns:
        The name of the batch.

    Raises:
        DataError: a batch of this name lies there already, or a file cannot be read or written.
    """
    files = source.files if files is None else files
    today = datetime.now(UTC).date().isoformat()
    name = clean_name(name or f"{today}-{source.path.stem}")
    filesystem, root = open_filesystem(incoming)
    folder = posixpath.join(root, name)
    if filesystem.exists(folder) or filesystem.exists(f"{folder}.zip"):
        raise DataError(
            f"A batch '{name}' lies in {incoming} already, and was not taken in yet. Choose "
            "another name: --name"
        )
    aside = posixpath.join(root, f".{name}.{uuid4().hex}{PARTIAL}")
    aside = aside if is_local(filesystem) else folder
    try:
        for file, content in zip(files, source.read(files), strict=True):
            write_whole(filesystem, posixpath.join(aside, *_clean_parts(file)), content)
        if labels := _write_labels(source, files, labelled_by, today):
            write_whole(filesystem, posixpath.join(aside, LABELS), labels)
        _make_ready(filesystem, aside, folder)
    except BaseException as error:
        with suppress(OSError):
            filesystem.rm(aside, recursive=True)
        if isinstance(error, DataError) or not isinstance(error, Exception):
            raise
        raise DataError(
            f"'{source.path}' was not delivered to {incoming}, and nothing of it lies there: "
            f"{describe_error(error)}."
        ) from error
    return name


def split_by_date(files: Sequence[PurePosixPath], nights: int) -> list[list[PurePosixPath]]:
    """Share files out over nights of about equal size, in the order of the dates in their names.

    The images of one day stay together, and every night gets at least one day. If there are fewer
    days than nights, days are cut.
    """
    ordered = sorted(files, key=lambda file: (read_date(file), file.name))
    cuts = [round(len(ordered) * night / nights) for night in range(nights + 1)]
    days = [read_date(file) for file in ordered]
    starts = [place for place, day in enumerate(days) if place == 0 or day != days[place - 1]]
    if len(starts) >= nights:
        chosen = [0]
        for night in range(1, nights):
            later = starts[len(chosen) :][: len(starts) - len(chosen) - (nights - night) + 1]
            later = [start for start in later if start > chosen[-1]]
            chosen.append(min(later, key=lambda start: abs(start - cuts[night])))
        cuts = [*chosen, len(ordered)]
    return [ordered[start:end] for start, end in itertools.pairwise(cuts)]


def read_date(path: PurePosixPath) -> str:
    """Return the first eight digits of a file's name, its date; "" where there are none."""
    match = re.search(r"\d{8}", path.name)
    return match[0] if match else ""


def _list_folder(path: Path) -> dict[PurePosixPath, int]:
    if not path.is_dir():
        raise DataError(f"'{path}' is neither a folder nor a .zip file.")
    return {
        PurePosixPath(file.relative_to(path).as_posix()): file.stat().st_size
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def _list_zip(path: Path) -> dict[PurePosixPath, int]:
    if not path.is_file():
        raise DataError(f"'{path}' does not exist.")
    with path.open("rb") as file, open_archive(file, str(path)) as archive:
        archive.check()
        return {PurePosixPath(m.path): m.info.file_size for m in archive.members}


def _list_odd(path: Path) -> dict[str, list[str]]:
    """Return what lies in a folder and is no file that could be delivered, by what it is."""
    odd: dict[str, list[str]] = {}
    for name, facts in find_files(fsspec.filesystem("file"), str(path)).items():
        if (kind := facts.get("kind", "")) and kind != LINK_OUT:  # whoever delivers may link
            odd.setdefault(kind, []).append(name)
    return odd


def _explain_left_out(path: PurePosixPath) -> str:
    """Return why a file is no image to be delivered, "" where it is one."""
    if reason := explain_left_out(path.as_posix()):
        return reason
    return "" if path.parent.name else "beside the class folders"


def _clean_parts(path: PurePosixPath) -> list[str]:
    """Return the parts of a path that cannot lead out of the folder it is put into."""
    return [part for part in path.parts if part not in ("/", "..")]


def _write_labels(
    source: Source, files: Sequence[PurePosixPath], labelled_by: str | None, today: str
) -> bytes | None:
    if source.labels is not None:
        return next(source.read([source.labels]))
    if not labelled_by:
        return None
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(LABEL_COLUMNS)
    names = sorted({unify_text(encode_name(file.name)) for file in files})
    writer.writerows([escape_cell(name), escape_cell(labelled_by), today] for name in names)
    return table.getvalue().encode()


def _make_ready(filesystem: fsspec.AbstractFileSystem, aside: str, folder: str) -> None:
    write_whole(filesystem, posixpath.join(aside, READY), b"")
    if aside != folder:
        _open_as(Path(aside), Path(folder).parent)
        Path(aside).rename(folder)


def _open_as(batch: Path, incoming: Path) -> None:
    """Let those read and write a batch who may read and write the incoming folder.

    The umask of whoever delivers would close it to the intake.
    """
    mode = stat.S_IMODE(incoming.stat().st_mode) & 0o777
    for path in [*batch.rglob("*"), batch]:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | (mode if path.is_dir() else mode & 0o666))
