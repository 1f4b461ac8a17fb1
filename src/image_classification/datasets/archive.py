"""Zip files, of every making: what is in them, or a sentence that says why it cannot be read."""

from __future__ import annotations

import itertools
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, NamedTuple, cast

from image_classification.datasets.fault import describe_error, is_passing
from image_classification.datasets.file import encode_name
from image_classification.errors import DataError
from image_classification.intake.limit import (
    DEFAULT_LIMITS,
    RATIO_COUNTS_FROM_BYTES,
    ArrivalLimits,
    find_excess,
    find_large_file,
)
from image_classification.text import escape_text
from image_classification.vendor.zipfile import locate_members

ENCRYPTED, UTF_8 = 0x1, 0x800
"""Bits of a member's flags: it needs a password; its name is UTF-8."""

UNICODE_PATH = 0x7075
FIELD_HEAD = struct.Struct("<HH")
"""Kind and length of a field that an entry may have more."""

DOS, UNIX = 0, 3
"""Systems that a member may have been packed on."""

DOS_FOLDER = 0x10

KNOWN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
"""The ways to pack that Python knows."""

UNBOUNDED_METHODS = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
"""Those of which Python unpacks all that it has read at once, however long that gets."""

METHODS = {9: "Deflate64", 93: "Zstandard", 98: "PPMd", 99: "AES"}
"""What others are called."""

HEADER_BYTES = 30
"""What stands before a member, its name not counted, at least."""

ENTRY = b"PK\x01\x02"
"""How each entry of the list of members begins."""

PIECE_BYTES, MAXIMUM_LIST_BYTES = 2**20, 2**28

STEP_BYTES = 64
"""So much of a packed member is unpacked at a time where the result may be a million times as long.
"""

REMEDY = "Pack the folder anew, as a plain zip without a password, or deliver the folder itself"


class ArchiveError(DataError):
    """A zip file cannot be unpacked."""


class Member(NamedTuple):
    """A file in a zip.

    Attributes:
        path: where it is unpacked, below the folder of the batch; never out of it. Bytes that are
            not UTF-8 are written as `encode_name` does.
        info: what the zip says of it.
        is_link: it is a link that was packed without the file that it leads to.
    """

    path: str
    info: zipfile.ZipInfo
    is_link: bool = False


class Archive:
    """A zip file that is open. Whatever is wrong with it is an `ArchiveError`."""

    def __init__(self, archive: zipfile.ZipFile, name: str, limits: ArrivalLimits) -> None:
        """Look into a zip; no member is unpacked yet."""
        self._archive, self._name, self._limits = archive, name, limits
        infos = [info for info in archive.infolist() if not _is_folder(info)]
        self.members = [
            Member(encode_name(_clean_path(_read_name(info))), info, _is_link(info))
            for info in infos
        ]

    def check(self) -> None:
        """Look at what the zip says of its members, before any of them is unpacked.

        Raises:
            ArchiveError: it holds more than is allowed; or a member needs a password, is too large,
                or has a name that is impossible.
        """
        counts = Counter(member.path for member in self.members)
        folders = {str(parent) for path in counts for parent in PurePosixPath(path).parents}
        for path, info, _ in self.members:
            if info.flag_bits & ENCRYPTED:
                raise self._refuse(path, "it needs a password")
            if not path or path in folders:
                raise self._refuse(path, "its name is that of a folder, too")
            if counts[path] > 1:
                raise self._refuse(path, f"{counts[path]} files have this name")
        sizes = {_clean_path(_read_name(info)): info.file_size for _, info, _ in self.members}
        for find in (find_large_file, find_excess):
            path, reason = find(sizes, self._limits)
            if reason:
                raise self._refuse(encode_name(path), reason)
        self._check_bomb(sum(sizes.values()))

    def _check_bomb(self, total: int) -> None:
        """Refuse what unpacks to far more than it is, or unpacks the same bytes again and again."""
        packed = sum(info.compress_size for _, info, _ in self.members)
        ratio = total / max(packed, 1)
        if total > RATIO_COUNTS_FROM_BYTES and ratio > self._limits["maximum_ratio"]:
            raise self._refuse(
                "",
                f"it unpacks to {ratio:.0f} times its size: at most "
                f"{self._limits['maximum_ratio']:g} times is allowed (arrival.maximum_ratio)",
            )
        placed = sorted(self.members, key=lambda member: member.info.header_offset)
        for one, other in itertools.pairwise(placed):
            end = one.info.header_offset + HEADER_BYTES + one.info.compress_size
            if other.info.header_offset < end:
                raise self._refuse(other.path, f"it shares its bytes with '{one.path}'")

    def read(self, members: Sequence[Member]) -> Iterator[bytes]:
        """Yield the content of members, in order.

        Raises:
            ArchiveError: one cannot be unpacked.
        """
        for path, info, _ in members:
            try:
                content = self._unpack(info)
            except Exception as error:
                # Python raises much besides BadZipFile: for a password, a way to pack that it does
                # not know, damaged bytes, an end too early, a place before the beginning.
                if is_passing(error):
                    raise
                raise self._refuse(path, _explain(error, info)) from error
            yield content

    def _unpack(self, info: zipfile.ZipInfo) -> bytes:
        """Return the content of a member, at most as long as the zip says that it is.

        `ZipFile.read` cuts it to that length once all of it is unpacked.
        """
        with cast("zipfile.ZipExtFile", self._archive.open(info)) as file:
            if info.compress_type not in UNBOUNDED_METHODS:
                return file.read(info.file_size)
            file.MIN_READ_SIZE = STEP_BYTES
            return b"".join(iter(lambda: file.read1(STEP_BYTES), b""))

    def _refuse(self, path: str, reason: str) -> ArchiveError:
        return refuse_member(self._name, path, reason)


def refuse_member(name: str, path: str, reason: str) -> ArchiveError:
    """Return the error of a zip that is not unpacked, for a file in it or, "", as a whole."""
    shown = escape_text(path if len(path) <= 100 else f"{path[:97]}...")
    because = f", because of '{shown}' in it" if path else ""
    return ArchiveError(
        f"'{escape_text(name)}' cannot be unpacked{because}: {escape_text(reason)}. {REMEDY}."
    )


def _explain(error: Exception, info: zipfile.ZipInfo) -> str:
    # Of a way to pack that it lacks, Python does not name the way.
    if info.compress_type in KNOWN_METHODS or info.flag_bits & ENCRYPTED:
        return describe_error(error)
    method = METHODS.get(info.compress_type, str(info.compress_type))
    return f"packed by {method}, which is not known here"


@contextmanager
def open_archive(
    file: IO[bytes], name: str, limits: ArrivalLimits = DEFAULT_LIMITS
) -> Iterator[Archive]:
    """Open a zip file; `name` is what sentences call it.

    Raises:
        ArchiveError: it is no zip file, or not a whole one, or its list of members is too long.
    """
    try:
        _check_list(file, limits)
        archive = zipfile.ZipFile(file)
        opened = Archive(archive, name, limits)
    except Exception as error:
        if is_passing(error):
            raise
        reason = describe_error(error)
        if isinstance(error, UnicodeDecodeError):
            reason = f"a name in it is said to be UTF-8, and is not ({reason})"
        raise ArchiveError(
            f"'{escape_text(name)}' is not a whole zip file: {reason}. {REMEDY}."
        ) from error
    with archive:
        yield opened


def _check_list(file: IO[bytes], limits: ArrivalLimits) -> None:
    """Count the entries of the list of members, which Python would hold in memory as a whole.

    Raises:
        ValueError: they are more than allowed, or longer than any names can make them.
    """
    start, size = locate_members(file)
    if size > MAXIMUM_LIST_BYTES:
        raise ValueError(f"its list of files is {size} bytes: at most {MAXIMUM_LIST_BYTES} is read")
    count, before = 0, b""
    file.seek(start)
    while size > 0 and (piece := file.read(min(PIECE_BYTES, size))):
        count += (before + piece).count(ENTRY)
        size, before = size - len(piece), piece[-3:]
        if count > limits["maximum_files"]:
            raise ValueError(
                f"its list names more than {limits['maximum_files']} files and folders "
                "(arrival.maximum_files)"
            )
    file.seek(0)


def _is_folder(info: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a folder: not all programs end its name with a slash."""
    if info.filename.replace("\\", "/").endswith("/"):
        return True
    if info.create_system == DOS and info.external_attr & DOS_FOLDER:
        return info.file_size == 0
    return info.create_system == UNIX and stat.S_ISDIR(info.external_attr >> 16)


def _is_link(info: zipfile.ZipInfo) -> bool:
    return info.create_system == UNIX and stat.S_ISLNK(info.external_attr >> 16)


def _read_name(info: zipfile.ZipInfo) -> str:
    """Return the name of a member, as Python names a local file.

    Without a flag, Python takes each name for one of DOS. Programs of Unix write what the disk has,
    mostly UTF-8; others may, too, or give the name once more in a field of its own.
    """
    name = info.orig_filename.partition("\0")[0]
    if info.flag_bits & UTF_8:
        return name
    raw = info.orig_filename.encode("cp437")
    if said := _read_name_field(info.extra, raw):
        return said.partition("\0")[0]
    if name.isascii():
        return name
    raw = name.encode("cp437")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return os.fsdecode(raw) if info.create_system == UNIX else name


def _read_name_field(extra: bytes, raw: bytes) -> str:
    """Return the name that the field "Info-ZIP Unicode Path" gives; "" where it gives none.

    It holds a version, the CRC-32 of the name that stands in the entry (`raw`), and the name in
    UTF-8. If the CRC-32 is another, the entry was renamed since, and the field does not count
    (PKWARE, APPNOTE 4.6.9). Python 3.13 reads it, too.
    """
    while len(extra) >= FIELD_HEAD.size:
        kind, length = FIELD_HEAD.unpack_from(extra)
        field, extra = extra[FIELD_HEAD.size :][:length], extra[FIELD_HEAD.size + length :]
        if kind == UNICODE_PATH and field[:5] == b"\1" + zlib.crc32(raw).to_bytes(4, "little"):
            return field[5:].decode("utf-8", "ignore")
    return ""


def _clean_path(name: str) -> str:
    """Return a member's path without what would lead out of the folder of the batch.

    Older tools of Windows write a backslash between folders.
    """
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))
