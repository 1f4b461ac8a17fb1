"""Write the ledger: a record at a time, each at a number that only one writer can get."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

from image_classification.champion.chain import (
    TAKEN_OVER,
    Chain,
    encode_record,
    name_record,
    read_chain,
    read_record,
)
from image_classification.errors import LedgerError

logger = logging.getLogger(__name__)

WRITERS_AT_ONCE = 8
"""Writers that try to create the same file, when a store is tried."""

_tried: set[str] = set()
"""Addresses of the stores that this process has tried."""


class Store(Protocol):
    """Files by name, each created once, as `datasets.LedgerDataset` keeps them."""

    @property
    def address(self) -> str:
        """Where they lie: a folder, or a URL."""

    @property
    def is_local(self) -> bool:
        """Whether that is a folder: its operating system creates a file once."""

    def read_files(self, after: str = "") -> Mapping[str, bytes | OSError]:
        """Return the content of each file after this name, or the error that reading it gave."""

    def create(self, name: str, content: bytes) -> None:
        """Create a file, whole and on the disk when this returns.

        Raises:
            FileExistsError: there is such a file; it stays as it is.
        """

    def remove(self, name: str) -> None:
        """Remove a file."""

    def read_key(self) -> bytes:
        """Return the key of this storage, which names patients; it is made at the first call."""


class NumberTakenError(Exception):
    """Another writer has got the number: look again at what the ledger says."""


class Journal:
    """The ledger, to be read and appended to."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def address(self) -> str:
        """Where the ledger lies."""
        return self._store.address

    def read(self) -> Chain:
        """Read all of it."""
        return read_chain(self._store.read_files())

    def is_settled(self, number: int) -> bool:
        """Tell whether a move that was intended has been done or undone by now."""
        later = self._store.read_files(after=name_record(number))
        records = (read_record(name, content) for name, content in later.items())
        return any(record is not None and record.get("of") == number for record in records)

    def append(self, record: Mapping[str, Any], chain: Chain) -> dict[str, Any]:
        """Write the next record of a chain; return it as it was written.

        The number decides between writers: exactly one creates the file of that number.

        Args:
            record: what to write, with its `step`.
            chain: what the writer has read, and rests on.

        Raises:
            NumberTakenError: somebody has written since it was read.
            LedgerError: it cannot be written, or the store does not keep what is written.
        """
        self.try_store()
        if chain.untaken:
            self._take_over(chain)
            raise NumberTakenError
        number = chain.head.number + 1
        whole = {
            "at": tell_time(),
            **record,
            "number": number,
            "previous": chain.head.digest,
            "token": record.get("token") or uuid4().hex,
        }
        content, name = encode_record(whole), name_record(number)
        try:
            self._store.create(name, content)
        except FileExistsError as error:
            # A request that was sent twice meets its own first try.
            if self._store.read_files().get(name) != content:
                raise NumberTakenError from error
        except OSError as error:
            raise LedgerError(
                f"Entry {number} of the ledger cannot be written to {self.address}: {error}. Make "
                "room, or mend the permissions of the folder, and run this again."
            ) from error
        return whole

    def add(self, make: Callable[[Chain], Mapping[str, Any] | None]) -> dict[str, Any] | None:
        """Append what `make` returns for the chain as it is, however many write at the same time.

        Args:
            make: returns the record, or None to write nothing; it is asked again whenever another
                writer was first. It may raise, to write nothing.

        Returns:
            The record as it was written, or None.
        """
        while True:
            chain = self.read()
            record = make(chain)
            if record is None:
                return None
            with suppress(NumberTakenError):
                return self.append(record, chain)

    def try_store(self) -> None:
        """Let several writers create one file at once, where this process has not done so yet.

        A folder needs no trial.

        Raises:
            LedgerError: more than one could, or nothing can be written.
        """
        if self._store.is_local or self.address in _tried:
            return
        name = f".trial-{uuid4().hex}"

        def create(_: int) -> bool:
            try:
                self._store.create(name, b"trial")
            except FileExistsError:
                return False
            return True

        try:
            with ThreadPoolExecutor(WRITERS_AT_ONCE) as pool:
                created = sum(pool.map(create, range(WRITERS_AT_ONCE)))
            again = create(0)
            self._store.remove(name)
        except OSError as error:
            raise LedgerError(
                f"Nothing can be written to the ledger at {self.address}: {error}. Make room, or "
                "mend the permissions of the folder, and run this again."
            ) from error
        # None, where the answer to the one that created it got lost.
        if created > 1 or again:
            raise LedgerError(
                f"The ledger cannot lie at {self.address}: {created + again} writers created the "
                "same file there, allowed: 1. So two runs could promote at once. Use a store that "
                "keeps conditional writes (a local folder, S3, Google Cloud Storage, Azure)."
            )
        _tried.add(self.address)

    def _take_over(self, chain: Chain) -> None:
        """Write down which files of an earlier release the ledger begins with."""
        record = {
            "step": TAKEN_OVER,
            "at": tell_time(),
            "number": 1,
            "previous": chain.head.digest,
            "token": uuid4().hex,
            "files": chain.untaken,
        }
        try:
            self._store.create(name_record(1), encode_record(record))
        except FileExistsError:
            return
        except OSError as error:
            raise LedgerError(
                f"The ledger at {self.address} cannot be taken over from an earlier release: "
                f"{error}. Make room, or mend the permissions of the folder, and run this again."
            ) from error
        logger.warning(
            "The ledger of an earlier release was taken over: %d entries", len(chain.untaken)
        )


def tell_time() -> str:
    """Return the present time in UTC, as entries have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
