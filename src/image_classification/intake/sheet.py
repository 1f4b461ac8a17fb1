"""Tables in CSV that people write, mostly with a spreadsheet."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from image_classification.text import restore_cell, unify_text

DELIMITERS = ",;\t"
"""What spreadsheets write between cells, by the language of their user."""


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: its number in the file, from 1.
        cells: by the name of their column, "" where there is none.
        fault: why it cannot be read, "" if it can; then it has no cells.
    """

    line: int
    cells: dict[str, str]
    fault: str = ""


def decode_text(content: bytes) -> str:
    """Return the text of a file that a person wrote.

    It is UTF-8, or the UTF-16 that Windows calls Unicode, which begins with a mark of its own.
    Bytes that are neither are written as names of files are (`encode_name`).
    """
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if utf_16 else "utf-8-sig", "backslashreplace")


def read_sheet(content: bytes) -> tuple[list[str], Iterator[Row]]:
    """Return the names of the columns, in small letters, and the rows, without the empty ones.

    Cells that are empty and beyond the last column do not count: a spreadsheet writes them where
    there was something once. What `escape_cell` has kept from a spreadsheet is restored.

    Raises:
        ValueError: it is no CSV, or has two columns of one name.
    """
    text = decode_text(content)
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [unify_text(restore_cell(name)).strip().lower() for name in next(lines, [])]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise ValueError("it has two columns of one name")

    return named, _read_rows(lines, header)


def _read_rows(lines: Any, header: Sequence[str]) -> Iterator[Row]:
    """Yield the rows that a reader of the module `csv` gives after the header."""
    while True:
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(lines.line_num, {}, f"the line cannot be read: {error}")
            continue
        if any(cell.strip() for cell in cells[len(header) :]):
            yield Row(lines.line_num, {}, f"{len(cells)} columns: the header has {len(header)}")
        elif any(cell.strip() for cell in cells):
            pairs = itertools.zip_longest(header, cells[: len(header)], fillvalue="")
            yield Row(lines.line_num, {name: restore_cell(cell) for name, cell in pairs if name})
