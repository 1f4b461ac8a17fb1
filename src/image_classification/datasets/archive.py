"""Zip files, of every making: what is in them, or a sentence that says why it cannot be read."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from image_classification.datasets.fault import describe_error, is_passing
from image_classification.errors import DataError
from image_classification.text import escape_text

MAXIMUM_MEMBER_BYTES = 256 * 1024**2
"""A larger file in a zip is refused before it is unpacked."""

MAXIMUM_NAME_BYTES = 255
"""No usual file system allows a longer name of a file or folder."""

ENCRYPTED = 0x1
"""The bit of a member's flags which says that it needs a password."""

METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 98: "PPMd", 99: "AES"}
"""What the ways to pack are called that Python may not know."""

REMEDY = "Pack the folder anew, as a plain zip without a password, or deliver the folder itself"


class ArchiveError(DataError):
    """A zip file cannot be unpacked."""


class Member(NamedTuple):
    """A file in a zip.

    Attributes:
        path: where it is unpacked, below the folder of the batch; never out of it.
        info: what the zip says of it.
    """

    path: str
    info: zipfile.ZipInfo


class Archive:
    """A zip file that is open. Whatever is wrong with it is an `ArchiveError`."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        """Look into a zip; no member is unpacked yet."""
        self._archive, self._name = archive, name
        infos = [info for info in archive.infolist() if not info.is_dir()]
        self.members = [Member(_clean_path(info.filename), info) for info in infos]

    def check(self) -> None:
        """Look at what the zip says of its members, before any of them is unpacked.

        Raises:
            ArchiveError: one needs a password, is too large, or has a name that is impossible.
        """
        counts = Counter(member.path for member in self.members)
        folders = {str(parent) for path in counts for parent in PurePosixPath(path).parents}
        for path, info in self.members:
            if info.flag_bits & ENCRYPTED:
                raise self._refuse(path, "it needs a password")
            if info.file_size > MAXIMUM_MEMBER_BYTES:
                raise self._refuse(
                    path,
                    f"it says it is {info.file_size} bytes: at most {MAXIMUM_MEMBER_BYTES} are "
                    "allowed",
                )
            if any(len(part.encode()) > MAXIMUM_NAME_BYTES for part in path.split("/")):
                raise self._refuse(path, f"a name is longer than {MAXIMUM_NAME_BYTES} bytes")
            if not path or path in folders:
                raise self._refuse(path, "its name is that of a folder, too")
            if counts[path] > 1:
                raise self._refuse(path, f"{counts[path]} files have this name")

    def read(self, members: Sequence[Member]) -> Iterator[bytes]:
        """Yield the content of members, in order.

        Raises:
            ArchiveError: one cannot be unpacked.
        """
        for path, info in members:
            try:
                content = self._archive.read(info)
            except Exception as error:
                # Python raises much besides BadZipFile: for a password, a way to pack that it does
                # not know, damaged bytes, an end too early, a place before the beginning.
                if is_passing(error):
                    raise
                raise self._refuse(path, _explain(error, info)) from error
            yield content

    def _refuse(self, path: str, reason: str) -> ArchiveError:
        shown = escape_text(path if len(path) <= 100 else f"{path[:97]}...")
        return ArchiveError(
            f"'{escape_text(self._name)}' cannot be unpacked, because of '{shown}' in it: "
            f"{reason}. {REMEDY}."
        )


def _explain(error: Exception, info: zipfile.ZipInfo) -> str:
    # Python has one class of error for every way to pack that it lacks, and does not name the way.
    if isinstance(error, NotImplementedError):
        method = METHODS.get(info.compress_type, str(info.compress_type))
        return f"packed by {method}, which is not known here"
    return describe_error(error)


@contextmanager
def open_archive(file: IO[bytes], name: str) -> Iterator[Archive]:
    """Open a zip file; `name` is what sentences call it.

    Raises:
        ArchiveError: it is no zip file, or not a whole one.
    """
    try:
        archive = zipfile.ZipFile(file)
        opened = Archive(archive, name)
    except Exception as error:
        if is_passing(error):
            raise
        raise ArchiveError(
            f"'{escape_text(name)}' is not a whole zip file: {describe_error(error)}. {REMEDY}."
        ) from error
    with archive:
        yield opened


def _clean_path(name: str) -> str:
    """Return a member's path without what would lead out of the folder of the batch.

    Older tools of Windows write a backslash between folders.
    """
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))
