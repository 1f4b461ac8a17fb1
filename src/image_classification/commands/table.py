"""A table as whoever reads it wants it: aligned in a terminal, CSV in a pipe, JSON for a script."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from image_classification.text import escape_cell, escape_lines, escape_text

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]

DIGEST = re.compile(r"[0-9a-f]{32,64}")
DIGITS = 12
"""So many digits of a digest are shown, and are enough to name an image."""

MOST_ROWS = 200
"""A longer table is shown by its last rows: a screen is no place to look for one of them."""


@dataclass(frozen=True)
class Column:
    """A column of a table in a terminal.

    Attributes:
        title: above it.
        show: returns the text of a row; its second line and those after it are said more quietly.
        right: whether it is aligned to the right, as numbers are.
        whole: whether it may not be broken into lines.
        widest: at most so many characters; None for as many as there are.
    """

    title: str
    show: Callable[[Row], str]
    right: bool = False
    whole: bool = True
    widest: int | None = None


def is_terminal() -> bool:
    """Tell whether a person looks at what is printed."""
    return sys.stdout.isatty()


def print_rows(
    rows: Sequence[Row], columns: Sequence[str], view: Sequence[Column], *, as_json: bool = False
) -> None:
    """Print rows for whoever reads them.

    Args:
        rows: what is known, by key.
        columns: the keys that are printed as CSV. JSON has all keys.
        view: the columns that a person is shown.
        as_json: print JSON, wherever it goes.
    """
    if as_json:
        print_json(rows)
    elif is_terminal():
        print_view(rows, view)
    else:
        click.echo(escape_lines(render_csv(rows, columns)), nl=False)


def print_json(value: Any) -> None:
    """Print a value as JSON in ASCII: nothing in it is a command to the terminal."""
    click.echo(json.dumps(_make_plain(value), indent=2))


def print_view(rows: Sequence[Row], view: Sequence[Column]) -> None:
    """Print the last rows of a table, aligned, as wide as the terminal is."""
    from rich.console import Console  # a tenth of a second

    if not rows:
        return
    render_view(rows[-MOST_ROWS:], view, Console(highlight=False))
    if len(rows) > MOST_ROWS:
        click.echo(
            f"The last {MOST_ROWS} of {len(rows)} rows. All of them: --to FILE.csv, or a pipe.",
            err=True,
        )


def render_view(rows: Sequence[Row], view: Sequence[Column], console: Console) -> None:
    """Write an aligned table to a console of rich."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for column in view:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=column.whole,
            overflow="ellipsis" if column.whole else "fold",
            max_width=column.widest,
        )
    for row in rows:
        cells = []
        for column in view:
            first, *more = column.show(row).split("\n")
            cell = Text(escape_text(first))
            for line in more:
                cell.append(f"\n{escape_text(line)}", style="dim")
            cells.append(cell)
        table.add_row(*cells)
    console.print(table)


def view_all(columns: Iterable[str]) -> list[Column]:
    """Return columns that show each key as it is; digests are cut short."""
    return [Column(name.replace("_", " "), _shower(name), whole=False) for name in columns]


def render_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Return rows as CSV; no cell of it is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(escape_cell, columns))
    for row in rows:
        writer.writerow(_show_cell(row.get(name)) for name in columns)
    return text.getvalue()


def show_time(at: str) -> str:
    """Return an ISO 8601 time in UTC to the minute."""
    return at[:16].replace("T", " ")


def is_missing(value: object) -> bool:
    """Tell whether nothing is known: None, or no number."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def show_share(value: object) -> str:
    """Return a share with three decimals; "" where it is not known."""
    return f"{value:.3f}" if isinstance(value, float) and not is_missing(value) else ""


def _shower(name: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        value = row.get(name)
        text = "" if is_missing(value) else str(value)
        return text[:DIGITS] if DIGEST.fullmatch(text) else text

    return show


def _show_cell(value: object) -> object:
    if is_missing(value):
        return ""
    return escape_cell(value) if isinstance(value, str) else value


def _make_plain(value: Any) -> Any:
    """Return a value in which what is not known is null, and nothing is foreign to JSON."""
    if isinstance(value, Mapping):
        return {str(key): _make_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_plain(each) for each in value]
    if hasattr(value, "item"):  # a number of numpy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
