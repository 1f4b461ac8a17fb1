"""Kedro's datasets of folders and files that fsspec knows.

What lies there is read by other modules of this folder, without Kedro.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Never, TypeVar

from kedro.io import AbstractDataset, DatasetError

from image_classification.champion.chain import Record
from image_classification.datasets.file import exists, open_filesystem
from image_classification.datasets.inbox import Inbox, IncomingFolder
from image_classification.datasets.ledger import LedgerFiles
from image_classification.datasets.page import Pages

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class FilesystemDataset(AbstractDataset[Saved, Loaded], Generic[Saved, Loaded]):
    """A folder or file on any filesystem that fsspec knows."""

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset; nothing is read yet.

        Args:
            filepath: the folder or file, a local path or an fsspec URL.
            credentials: arguments of the fsspec filesystem.
            metadata: ignored by Kedro, kept for people and plugins.
        """
        self._filesystem, self._root = open_filesystem(filepath, credentials)
        self.metadata = metadata

    def _exists(self) -> bool:
        return exists(self._filesystem, self._root)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._root, "filesystem": type(self._filesystem).__name__}


class LedgerDataset(FilesystemDataset[Never, dict[str, Record]], LedgerFiles):
    """Every decision about the champion; a node reads it, `champion.journal` appends to it."""

    def load(self) -> dict[str, Record]:
        """Return every decision that can be read, oldest first; what cannot is logged."""
        return {str(place): entry for place, entry in enumerate(self.read().entries)}

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: entries are chained, and so are appended one by one."""
        raise DatasetError("The ledger cannot be saved: champion.journal appends to it.")


class PagesDataset(AbstractDataset[Mapping[str, str], Pages]):
    """A folder of pages. Saving some leaves the others as they are."""

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Make the dataset; see `FilesystemDataset`."""
        self._filepath = filepath
        self._pages = Pages(filepath, credentials)
        self.metadata = metadata

    def load(self) -> Pages:
        """Return the pages; none is read yet."""
        return self._pages

    def save(self, data: Mapping[str, str]) -> None:
        """Write pages, by the names of their files."""
        for name, page in data.items():
            self._pages.write(name, page)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class InboxDataset(FilesystemDataset[Never, Inbox]):
    """The incoming folder: one folder or zip per batch. Each load is a look at it."""

    def __init__(self, *, notes: str | None = None, **arguments: Any) -> None:
        """Make the dataset; nothing is read yet.

        Args:
            notes: see `IncomingFolder`.
            arguments: `filepath`, `credentials`, `metadata`.
        """
        super().__init__(**arguments)
        self._incoming = IncomingFolder(self._filesystem, self._root, notes)

    def load(self) -> Inbox:
        """List what has arrived; a folder that does not exist yet is empty."""
        return self._incoming.look()

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: batches are put there by people, and by `image-classification deliver`."""
        raise DatasetError("The incoming folder is filled by `image-classification deliver`.")
