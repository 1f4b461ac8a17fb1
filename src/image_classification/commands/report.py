"""The command about the pages of the nights."""

from __future__ import annotations

from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.io import MemoryDataset

from image_classification.commands.console import open_context, open_dataset, report_errors, say
from image_classification.configuration import names
from image_classification.pages import INDEX
from image_classification.pages.night import save_history


@click.command()
@report_errors
def report() -> None:
    """Write the page of all nights anew, and tell where it lies.

    Each night does so itself. The page shows what is in use, since when and why, and leads to the
    page of each night. It needs the storage alone: MLflow is not asked.
    """
    catalog = Entries(open_context())
    save_history(catalog)
    say(catalog[names.PAGES].load().locate(INDEX))


class Entries:
    """Entries of the catalog, each opened when it is asked for."""

    def __init__(self, context: KedroContext) -> None:
        self._context = context

    def __getitem__(self, name: str) -> Any:
        """Return a dataset, or the parameters."""
        if name == "parameters":
            return MemoryDataset(self._context.params)
        return open_dataset(self._context, name)
