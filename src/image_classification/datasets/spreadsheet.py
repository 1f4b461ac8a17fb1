"""Tables as CSV that people open in a spreadsheet: no cell of them is a formula."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from kedro_datasets.pandas import CSVDataset

from image_classification.text import escape_cell, restore_cell


class SpreadsheetDataset(CSVDataset):
    """Kedro's CSV dataset, in which no text begins as a formula does.

    A name such as ``=cmd()`` is written as ``'=cmd()``, and is read back as it was.
    """

    def save(self, data: pd.DataFrame) -> None:
        """Write a table."""
        super().save(escape_table(data))

    def load(self) -> pd.DataFrame:
        """Read a table, every text as it was."""
        return restore_table(super().load())


def escape_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table, its texts and the names of its columns as `escape_cell` writes them."""
    return _change(table, escape_cell)


def restore_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table that `escape_table` was given."""
    return _change(table, restore_cell)


def _change(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    def change_text(cell: object) -> object:
        return change(cell) if isinstance(cell, str) else cell

    texts = table.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    changed = table.assign(
        **{name: table[name].map(change_text).astype(table[name].dtype) for name in texts}
    )
    return changed.rename(columns=change_text)
