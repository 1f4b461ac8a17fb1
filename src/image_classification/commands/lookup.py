"""What a command looks up in the storage without Kedro, pandas and MLflow: an answer at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from image_classification.champion import glance
from image_classification.champion.chain import Chain
from image_classification.champion.ledger import Entry, sort_entries
from image_classification.configuration import names
from image_classification.configuration.plain import PlainConfiguration
from image_classification.datasets.file import open_filesystem
from image_classification.datasets.ledger import LedgerFiles
from image_classification.datasets.record import Records
from image_classification.vendor.mlflow_store import Registered, read_registered

if TYPE_CHECKING:
    from image_classification.datasets.inbox import Inbox


class Lookup:
    """The storage that the configuration names, each part read when it is asked for."""

    def __init__(self) -> None:
        """Prepare; nothing is read yet."""
        self.configuration = PlainConfiguration()

    @property
    def model_name(self) -> str:
        """The registered model."""
        return str(self.configuration["parameters"]["registered_model_name"])

    @cached_property
    def ledger(self) -> LedgerFiles:
        """The ledger, as files."""
        return LedgerFiles(*self._open(names.LEDGER))

    def read_entries(self) -> list[Entry]:
        """Return the ledger of the registered model, in the order of time.

        What a run has left half done is ended first; for that MLflow is imported.
        """
        chain = self.ledger.read()
        registered = self.ask_registry()
        if registered is None or not self._is_settled(chain, registered):
            from image_classification.commands.console import open_context
            from image_classification.commands.settling import look, open_release

            look(open_release(open_context()))
            chain = self.ledger.read()
        return sort_entries(one for one in chain.entries if one["model"] == self.model_name)

    def ask_registry(self, version: str = "") -> Registered | None:
        """Return what MLflow's registry knows of the model; None if only MLflow can tell."""
        uri = self.configuration["mlflow"].get("server", {}).get("mlflow_tracking_uri") or ""
        return read_registered(uri, self.model_name, version)

    @cached_property
    def patients(self) -> set[str]:
        """The names of all patients that the index knows."""
        rows = self.read_columns(names.IMAGE_INDEX, ["patient"])
        return {str(patient) for (patient,) in rows if patient is not None}

    def read_records(self, name: str) -> Records:
        """Return records of the catalog; none is read yet."""
        filesystem, root = self._open(name)
        return Records(root, filesystem)

    def read_columns(self, name: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table of the catalog that only grows, in the order of the log."""
        # Parquet takes a quarter of a second to import.
        from image_classification.datasets.appended import AppendedTable

        table = AppendedTable(*self._open(name), columns).read()
        if table is not None:
            yield from zip(*(table[column].to_pylist() for column in columns), strict=True)

    def list_batches(self) -> list[str]:
        """Return the names of the batches that were taken in, sorted."""
        from image_classification.datasets.arrival import list_taken

        return list_taken(*self._open(names.IMAGE_BATCHES))

    def read_inbox(self) -> Inbox:
        """Look at the incoming folder."""
        from image_classification.datasets.inbox import IncomingFolder

        notes = self.configuration["catalog"][names.INCOMING_BATCHES].get("notes")
        return IncomingFolder(*self._open(names.INCOMING_BATCHES), notes).look()

    def _is_settled(self, chain: Chain, registered: Registered) -> bool:
        return glance.is_settled(chain, self.model_name, registered.tags, registered.aliases)

    def _open(self, name: str) -> tuple[Any, str]:
        entry = self.configuration["catalog"][name]
        return open_filesystem(entry["filepath"], entry.get("credentials"))
