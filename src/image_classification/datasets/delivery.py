"""Deliver images: put them into the incoming folder as a batch that appears there whole."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

import fsspec

from image_classification.datasets.archive import Archive, Member, open_archive
from image_classification.datasets.arrival import READY, clean_name
from image_classification.datasets.budget import Budget
from image_classification.datasets.fault import describe_error
from image_classification.datasets.file import (
    PARTIAL,
    encode_name,
    exists,
    is_local,
    open_filesystem,
    read_file,
    restore_name,
    write_many,
    write_whole,
)
from image_classification.datasets.folder import CLOSED_FILE, CLOSED_FOLDER, LINK_OUT, find_files
from image_classification.datasets.label import LABEL_COLUMNS, read_labels
from image_classification.datasets.leftover import DEBRIS, READ_SUFFIXES, explain_left_out
from image_classification.datasets.taken import LABELS
from image_classification.errors import DataError
from image_classification.intake.limit import DEFAULT_LIMITS, MIB, ArrivalLimits, find_excess
from image_classification.text import escape_cell, escape_text, unify_text

PACKED_LINK = "link, packed without the file it leads to"


class Source:
    """Images to deliver: a folder with a sub-folder per class, or a zip of one.

    Attributes:
        path: of the folder or zip.
        files: the images in it, by their path below it. A copy in a second folder of the same
            class is left out: Kaggle's archive has one of every image.
        labels: the `labels.csv` in it, if there is one.
        left_out: all else that lies in it, by why it is left out.
    """

    def __init__(self, path: Path, limits: ArrivalLimits = DEFAULT_LIMITS) -> None:
        """Look into a folder or zip.

        Args:
            path: of the folder or zip.
            limits: what a batch may hold.

        Raises:
            DataError: there is no such folder or zip, no image in a class folder, more than is
                allowed, or a folder that cannot be opened.
        """
        self.path, self.limits = path, limits
        self.is_zip = path.suffix.lower() == ".zip" and not path.is_dir()
        sizes, self.left_out = self._list_zip() if self.is_zip else self._list_folder()
        most = limits["maximum_file_mib"] * MIB
        large = {file for file, size in sizes.items() if size > most}
        self.files = self._drop_copies(
            {
                file: size
                for file, size in sizes.items()
                if file not in large and not _explain_left_out(file)
            }
        )
        self.labels = next((file for file in sizes if file.name.lower() == LABELS), None)
        for file in sizes.keys() - {*self.files, self.labels}:
            kind = _explain_left_out(file) or "copy of another one"
            kind = f"larger than {limits['maximum_file_mib']:g} MiB" if file in large else kind
            self.left_out.setdefault(kind, []).append(encode_name(str(file)))
        self.left_out = {kind: sorted(self.left_out[kind]) for kind in sorted(self.left_out)}
        if not self.files:
            raise DataError(
                f"'{path}' holds no image in a class folder. Expected <class>/<image> files ending "
                f"in {', '.join(READ_SUFFIXES)}, or a zip of them."
            )
        named = {str(file): sizes[file] for file in self.files}
        if (found := find_excess(named, limits))[1]:
            reason = escape_text(": ".join(filter(None, found)))
            raise DataError(f"'{path}' is not delivered: {reason}.")
        self.total_bytes = sum(named.values())

    def read(self, paths: Sequence[PurePosixPath]) -> Iterator[bytes]:
        """Yield the content of each file.

        Raises:
            ArchiveError: a file in the zip cannot be unpacked.
            OSError: a file cannot be read.
        """
        if self.is_zip:
            with self._open() as archive:
                members = {_name_member(member): member for member in archive.members}
                yield from archive.read([members[path] for path in paths])
        else:
            local = fsspec.filesystem("file")
            for path in paths:
                yield read_file(local, str(self.path / path))

    def find_label_fault(self) -> str:
        """Return why the intake could not read the `labels.csv`, "" where it can."""
        labels = self.labels
        try:
            if labels is not None:
                read_labels(lambda: next(self.read([labels])), self.path.stem)
        except DataError as error:
            return str(error)
        return ""

    @contextmanager
    def _open(self) -> Iterator[Archive]:
        try:
            with (
                self.path.open("rb") as file,
                open_archive(file, str(self.path), self.limits) as archive,
            ):
                yield archive
        except OSError as error:
            raise DataError(f"'{self.path}' cannot be read: {describe_error(error)}.") from error

    def _list_zip(self) -> tuple[dict[PurePosixPath, int], dict[str, list[str]]]:
        if not self.path.is_file():
            raise DataError(f"'{self.path}' does not exist.")
        with self._open() as archive:
            archive.check()
            files = [member for member in archive.members if not member.is_link]
            links = [member.path for member in archive.members if member.is_link]
            sizes = {_name_member(member): member.info.file_size for member in files}
            return sizes, {PACKED_LINK: links} if links else {}

    def _list_folder(self) -> tuple[dict[PurePosixPath, int], dict[str, list[str]]]:
        """Return the size of each file, and what could not be delivered, by what it is."""
        if not self.path.is_dir():
            raise DataError(f"'{self.path}' is neither a folder nor a .zip file.")
        sizes: dict[PurePosixPath, int] = {}
        odd: dict[str, list[str]] = {}
        for name, facts in find_files(fsspec.filesystem("file"), str(self.path)).items():
            kind = facts.get("kind", "")
            if kind in (CLOSED_FOLDER, CLOSED_FILE) and explain_left_out(name) != DEBRIS:
                raise DataError(
                    f"'{self.path}' is not delivered: '{escape_text(name) or '.'}' is a {kind}. "
                    "Give yourself read access (chmod -R u+rX)."
                )
            if kind in ("", LINK_OUT):  # whoever delivers may link
                sizes[PurePosixPath(restore_name(name))] = facts["size"]
            else:
                odd.setdefault(kind, []).append(name)
        return sizes, odd

    def _drop_copies(self, sizes: Mapping[PurePosixPath, int]) -> list[PurePosixPath]:
        alike: dict[tuple[str, str, int], list[PurePosixPath]] = {}
        for file, size in sizes.items():
            alike.setdefault((file.parent.name, file.name, size), []).append(file)
        # Read in one pass: a zip is opened once, however many copies are in it.
        doubtful = [file for files in alike.values() if len(files) > 1 for file in files]
        kept, known = set(sizes), set()
        for file, content in zip(doubtful, self.read(doubtful) if doubtful else (), strict=True):
            image = (file.parent.name, file.name, hashlib.sha256(content).digest())
            if image in known:
                kept.discard(file)
            known.add(image)
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
    if exists(filesystem, folder) or exists(filesystem, f"{folder}.zip"):
        raise DataError(
            f"A batch '{name}' lies in {incoming} already, and was not taken in yet. Choose "
            "another name: --name"
        )
    aside = posixpath.join(root, f".{name}.{uuid4().hex}{PARTIAL}")
    aside = aside if is_local(filesystem) else folder
    try:
        budget = Budget(source.limits, filesystem, root)
        budget.check_space(source.total_bytes)

        def read() -> Iterator[tuple[str, bytes]]:
            for file, content in zip(files, source.read(files), strict=True):
                budget.spend(len(content))
                below = "/".join(_clean_parts(file))
                below = below if is_local(filesystem) else encode_name(below)
                yield posixpath.join(aside, below), content

        write_many(filesystem, read())
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
    days than nights, days are cut. Names without a date say nothing of an order, and often begin
    with the class: their digests share them out, so that each night has some of all.
    """
    ordered = sorted(files, key=lambda file: (read_date(file), _mix(file), file.name))
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


def _mix(path: PurePosixPath) -> bytes:
    return b"" if read_date(path) else hashlib.sha256(encode_name(str(path)).encode()).digest()


def read_date(path: PurePosixPath) -> str:
    """Return the first eight digits of a file's name, its date; "" where there are none."""
    match = re.search(r"\d{8}", path.name)
    return match[0] if match else ""


def _name_member(member: Member) -> PurePosixPath:
    """Return the path of a file in a zip, as Python names a local file."""
    return PurePosixPath(restore_name(member.path))


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

    The umask of whoever delivers would close it to the intake. Where a sticky bit keeps users apart
    they may only read it: it stays clear who has delivered it (`find_depositor`).
    """
    mode = stat.S_IMODE(incoming.stat().st_mode)
    mode &= 0o555 if mode & stat.S_ISVTX else 0o777
    for path in [*batch.rglob("*"), batch]:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | (mode if path.is_dir() else mode & 0o666))
