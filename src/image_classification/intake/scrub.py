"""Take what is of one patient out of the content of a file, whatever kind of file it is."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from image_classification import words
from image_classification.text import restore_cell

TRUNCATED = 12
"""Letters of a long name that figures and pages show at least."""

CELL = re.compile(r"<li>(?:(?!</?li>).)*</li>\n?", re.DOTALL)
"""An image on the page of a night, with its picture."""


@dataclass(frozen=True)
class Person:
    """A patient, and what their images are called.

    Attributes:
        patient: the name; of an image that tells no patient, the sha256 of its file.
        pseudonym: what takes the place of the name where something of it has to stay.
        image_ids: sha256 of each file.
        image_names: names of files that are of nobody else.
        paths: of the files below the folder of the batches, which begin with the batch.
    """

    patient: str
    pseudonym: str
    image_ids: frozenset[str] = frozenset()
    image_names: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()

    @property
    def batches(self) -> set[str]:
        """The batches that have brought some of the images."""
        return {path.partition("/")[0] for path in self.paths}

    @property
    def is_common(self) -> bool:
        """Whether the name stands for much else: a number, a letter. Text alone cannot tell."""
        return self.patient.isdigit() or len(self.patient) < 2

    @cached_property
    def sure(self) -> re.Pattern[str]:
        """What names one of the images, wherever it stands."""
        found = sorted({*self.image_ids, *self.image_names, *self.paths}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, found)) if found else "(?!)")

    @cached_property
    def likely(self) -> re.Pattern[str]:
        """What names the patient, or one of the images, in a text."""
        own = re.escape(self.patient)
        if len(self.patient) > TRUNCATED:
            own = rf"{re.escape(self.patient[:TRUNCATED])}\w*"
        group = re.escape(f"{words.current().group} ")
        before = f"(?<={group})" if self.is_common else r"(?<![\w-])"
        named = rf"{before}{own}(?![\w-])"
        return re.compile(f"{self.sure.pattern}|{named}" if self.sure.pattern != "(?!)" else named)

    def hide(self, text: str) -> str:
        """Return a text in which the pseudonym stands for the patient and for their images."""
        return self.likely.sub(self.pseudonym, text)

    def hide_in(self, value: str) -> str:
        """Return a value of a table or a record in which nothing names the patient any more.

        A single word is a key: a batch, a class, a path may be called as the patient is, and others
        rest on it. Only what names an image is replaced there.
        """
        is_prose = any(map(str.isspace, value))
        return self.hide(value) if is_prose else self.sure.sub(self.pseudonym, value)

    def owns(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of a table, or a record in a list, is about one of the images."""
        return (
            row.get("image_id") in self.image_ids
            or row.get("image_name") in self.image_names
            or self.owns_path(str(row.get("path")))
            or ("image_id" in row and row.get("patient") == self.patient)
        )

    def owns_path(self, path: str) -> bool:
        """Return whether a file of a batch, by its path, is one of theirs."""
        return path in self.paths or posixpath.basename(path) in self.image_names

    def owns_content(self, content: bytes) -> bool:
        """Return whether a file of this content is one of theirs."""
        return hashlib.sha256(content).hexdigest() in self.image_ids


def scrub_content(name: str, content: bytes, person: Person) -> bytes:
    """Return the content of a file without what is of a patient; the same bytes where nothing is.

    Of a table the rows go, of lists of records the records, of a page the images. What is left of
    the name in a text or a record becomes the pseudonym, as in the ledger.

    Args:
        name: of the file: its ending says of which kind it is.
        content: of the file.
        person: the patient.
    """
    ending = posixpath.splitext(name)[1].lower()
    return KINDS.get(ending, _scrub_text)(content, person)


def _scrub_table(content: bytes, person: Person) -> bytes:
    try:
        table = parquet.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except pa.ArrowException:
        return content  # damaged: `check --repair` makes it again, or moves it aside
    texts = [
        field.name
        for field in table.schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    images = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    columns = {name: table[name].to_pylist() for name in (*texts, *images)}
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    kept = [
        not (
            row.get("patient") == person.patient
            or person.owns(row)
            or any(person.owns_content(row[name] or b"") for name in images)
        )
        for row in rows
    ]
    changed = table.filter(pa.array(kept)) if not all(kept) else table
    for place, field in enumerate(changed.schema):
        if field.name in texts:
            cells = changed[field.name].to_pylist()
            hidden = [cell and person.hide_in(cell) for cell in cells]
            if hidden != cells:
                changed = changed.set_column(place, field, pa.array(hidden, field.type))
    if changed is table:
        return content
    written = io.BytesIO()
    parquet.write_table(changed, written, compression="lz4", use_dictionary=False)
    return written.getvalue()


def _scrub_sheet(content: bytes, person: Person) -> bytes:
    try:
        text = content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (ValueError, csv.Error):
        return _scrub_text(content, person)
    header = [restore_cell(name).strip() for name in rows[0]] if rows else []
    kept = [
        row
        for row in rows
        if not _owns_cells(dict(zip(header, map(restore_cell, row), strict=False)), person)
    ]
    hidden = [[person.hide_in(cell) for cell in row] for row in kept]
    if hidden == rows:
        return content
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n" if "\r\n" in text else "\n").writerows(hidden)
    return written.getvalue().encode()


def _owns_cells(row: Mapping[str, str], person: Person) -> bool:
    return row.get("patient") == person.patient or person.owns(row)


def _scrub_json(content: bytes, person: Person) -> bytes:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return _scrub_text(content, person)
    scrubbed = _scrub_value(found, person, "")
    return content if scrubbed == found else json.dumps(scrubbed, indent=2).encode()


def _scrub_value(value: Any, person: Person, key: str) -> Any:
    if isinstance(value, dict):
        return {
            _scrub_value(name, person, key): _scrub_value(one, person, str(name))
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [
            _scrub_value(one, person, key)
            for one in value
            if not (isinstance(one, dict) and person.owns(one))
        ]
    if not isinstance(value, str):
        return value
    if value == person.patient and "patient" in key:
        return person.pseudonym
    return person.hide_in(value)


def _scrub_page(content: bytes, person: Person) -> bytes:
    page = content.decode("utf-8", "surrogateescape")
    named = re.compile(f"{person.sure.pattern}|>[^<]* {re.escape(html.escape(person.patient))}<")

    def keep(cell: re.Match[str]) -> str:
        return "" if "<img" in cell[0] and named.search(html.unescape(cell[0])) else cell[0]

    return person.hide(CELL.sub(keep, page)).encode("utf-8", "surrogateescape")


def _scrub_text(content: bytes, person: Person) -> bytes:
    text = content.decode("utf-8", "surrogateescape")
    return person.hide(text).encode("utf-8", "surrogateescape")


KINDS: dict[str, Callable[[bytes, Person], bytes]] = {
    ".parquet": _scrub_table,
    ".csv": _scrub_sheet,
    ".json": _scrub_json,
    ".html": _scrub_page,
}
"""How each kind of file is read; any other that is looked at is a text."""

LOOKED_AT = (*KINDS, ".md", ".txt", ".log", ".yml", ".yaml")
"""Endings of the files that may name a patient. Networks, keys and figures are no text."""
