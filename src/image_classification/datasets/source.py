"""Images to score: those of a folder, or those of a list."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

import fsspec
import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from image_classification.datasets.file import (
    MAXIMUM_FILE_BYTES,
    NotRegularError,
    decode_name,
    is_local,
    open_filesystem,
    read_file,
    read_in_parts,
)
from image_classification.datasets.folder import READERS, may_pass
from image_classification.datasets.listing import (
    HOW_TO_NAME,
    find_folder,
    list_folder,
    read_list,
)
from image_classification.datasets.patience import ask_each
from image_classification.datasets.place import find_allowed, find_local_path
from image_classification.errors import DataError

HOW_TO_ALLOW = (
    "allow its folder, or the beginning of its URL, by scoring_places in conf/*/globals.yml, or by "
    "--allow of 'image-classification score'"
)

NOT_READ = "the file cannot be read"
"""How the reason begins where there is no content to look at."""

PATIENCE_S = 60.0
LISTING_PATIENCE = 10
"""So many times as long as reading a file may listing a folder take."""

SILENT_FILES = 3
"""After so many files that it did not give in time, a place is not asked any more."""


@dataclass(frozen=True)
class ImageSource:
    """Images on any filesystem that fsspec knows, listed and read when asked for.

    Attributes:
        default: the folder or list where no other is named.
        credentials: arguments of the fsspec filesystem.
        allowed: folders and beginnings of URLs; nothing else is listed or read. None: everything.
        patience_s: how long another machine may take for a file, in seconds.
    """

    default: str
    credentials: dict[str, Any] = field(default_factory=dict, repr=False)
    allowed: tuple[str, ...] | None = None
    patience_s: float = PATIENCE_S
    _silent: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

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
            DataError: there is no such folder or list, it may not or cannot be read, it does not
                answer in time, or it names no image.
        """
        place = place or self.default
        if self.allowed is not None and find_allowed(place, self.allowed) is None:
            raise DataError(f"'{place}' lies in none of the places allowed here: {HOW_TO_ALLOW}.")
        if find_local_path(place) is not None:
            return self._list(place)
        patience_s = LISTING_PATIENCE * self.patience_s
        (answer,) = ask_each(self._try_list, [place], 1, patience_s)
        if answer is None:
            raise DataError(f"'{place}' did not answer within {patience_s:g} s.")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read(self, paths: Sequence[str]) -> list[bytes | str]:
        """Return the content of each file in order, or the reason (str) why there is none.

        Raises:
            OSError: not one of several local files can be read, for a reason that may pass, such as
                a disk that is away.
        """
        remote = [path for path in paths if find_local_path(path) is None]
        if not remote:
            return _explain_all(read_in_parts(self._read_local, paths, READERS, alone=True))
        contents = dict(zip(remote, self._read_remote(remote), strict=True))
        local = [path for path in paths if path not in contents]
        contents |= dict(zip(local, map(_explain, self._read_local(local)), strict=True))
        return [contents[path] for path in paths]

    def _try_list(self, place: str) -> pd.DataFrame | Exception:
        try:
            return self._list(place)
        except Exception as error:  # noqa: BLE001 - it is raised by the thread that waits
            return error

    def _list(self, place: str) -> pd.DataFrame:
        filesystem, root = open_filesystem(place, self.credentials)
        if is_local(filesystem):
            root = str(Path(root).resolve())
        if filesystem.isdir(root):
            return list_folder(filesystem, root)
        if not filesystem.exists(root):
            raise DataError(f"'{place}' does not exist. {HOW_TO_NAME}")
        return read_list(filesystem, root)

    def _read_local(self, paths: Sequence[str]) -> list[bytes | Exception]:
        return [_try(self._read_local_file, path) for path in paths]

    def _read_local_file(self, path: str) -> bytes:
        filesystem = fsspec.filesystem("file", **self.credentials)
        path = find_local_path(path) or path
        if self.allowed is None:
            return read_file(filesystem, path)
        if (root := find_allowed(path, self.allowed)) is None:
            raise NotAllowedError
        return read_file(filesystem, os.path.realpath(decode_name(path)), within=root)

    def _read_remote(self, paths: Sequence[str]) -> list[bytes | str]:
        """Read files of other machines; one that does not answer is left alone after a while."""

        def read(path: str) -> bytes | str:
            host = _name_host(path)
            if self._silent.get(host, 0) >= SILENT_FILES:
                return f"{NOT_READ}: {host} did not answer for other files, and is not asked again"
            content = _try(self._fetch, path)
            self._silent[host] = 0
            return _explain(content)

        contents = ask_each(read, paths, READERS, self.patience_s, self._note_silence)
        late = f"{NOT_READ}: {{}} did not answer within {self.patience_s:g} s"
        return [
            late.format(_name_host(path)) if content is None else content
            for path, content in zip(paths, contents, strict=True)
        ]

    def _note_silence(self, path: str) -> None:
        host = _name_host(path)
        self._silent[host] = self._silent.get(host, 0) + 1

    def _fetch(self, path: str) -> bytes:
        if self.allowed is not None and find_allowed(path, self.allowed) is None:
            raise NotAllowedError
        filesystem = fsspec.filesystem(path.partition("://")[0], **self.credentials)
        content = filesystem.cat_file(
            filesystem._strip_protocol(path), start=0, end=MAXIMUM_FILE_BYTES + 1
        )
        if len(content) > MAXIMUM_FILE_BYTES:
            raise NotRegularError(f"it is larger than {MAXIMUM_FILE_BYTES} bytes")
        return bytes(content)


class NotAllowedError(PermissionError):
    """A place that may not be read."""

    def __init__(self) -> None:
        super().__init__(f"it lies in none of the places allowed here: {HOW_TO_ALLOW}")


class ImageSourceDataset(AbstractDataset[Never, ImageSource]):
    """Where images to score come from."""

    def __init__(
        self,
        *,
        filepath: str,
        allowed: Sequence[str] | None = None,
        named: Sequence[str] = (),
        patience_s: float = PATIENCE_S,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset; nothing is read yet.

        Args:
            filepath: the folder or list where no other is named, a local path or an fsspec URL.
            allowed: folders and beginnings of URLs that may be read, beside the folder of
                `filepath`; None for everything.
            named: more of them, or lists, whose folders may be read: what a command line named.
            patience_s: how long another machine may take for a file, in seconds.
            credentials: arguments of the fsspec filesystem.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        places = None
        if allowed is not None:
            places = (*allowed, *map(find_folder, (filepath, *named)))
        self._source = ImageSource(filepath, credentials or {}, places, patience_s)
        self.metadata = metadata

    def load(self) -> ImageSource:
        """Return the source; nothing is listed yet."""
        return self._source

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: these images are somebody else's."""
        raise DatasetError("Images to score are read-only.")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._source.default}


def _try(read: Callable[[str], bytes], path: str) -> bytes | Exception:
    try:
        return read(path)
    except Exception as error:  # noqa: BLE001 - each library of a protocol raises its own
        return error


def _explain_all(contents: list[bytes | Exception]) -> list[bytes | str]:
    """Return contents and reasons; where a whole part fails and may not fail again, raise."""
    passing = [error for error in contents if isinstance(error, OSError) and may_pass(error)]
    if passing and len(passing) == len(contents):
        raise passing[0]
    return [_explain(content) for content in contents]


def _explain(content: bytes | Exception) -> bytes | str:
    """Return a content as it is, and the reason for an error."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, FileNotFoundError):
        return f"{NOT_READ}: there is no such file"  # a store's own message is the name alone
    lines = str(content).splitlines() or [type(content).__name__]
    return f"{NOT_READ}: {lines[0]}"


def _name_host(path: str) -> str:
    """Return the beginning of a URL that tells who answers for it."""
    protocol, _, rest = path.partition("://")
    return f"{protocol}://{rest.lstrip('/').partition('/')[0].rpartition('@')[2]}"
