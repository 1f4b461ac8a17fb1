"""What a person asks for when labels are wrong: read from a list, and judged one by one."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from image_classification.errors import DataError, name_near_misses
from image_classification.intake import index
from image_classification.intake.correction import RELABEL, Correction, LabelChange
from image_classification.intake.proposal import find_open
from image_classification.intake.sheet import Row, read_sheet
from image_classification.text import unify_text

COLUMNS = ("image", "label", "reason")
"""Of a list; `reason` may be missing."""

SHORTEST_ID = 8
"""Digits of a sha256 that are enough to name an image."""

PATHS_SHOWN = 3


class Request(NamedTuple):
    """An image that shall have another label.

    Attributes:
        image: its sha256 or the start of it, the path or the name of its file.
        label: the class.
        reason: why.
        line: of a list; 0 without one.
        fault: why the line cannot be read, "" if it can.
    """

    image: str
    label: str
    reason: str
    line: int = 0
    fault: str = ""


def name_image(image: str) -> str:
    """Return the sha256 of a file, or else what was given, whatever it is."""
    if not os.path.isfile(image):  # noqa: PTH113 - that of pathlib fails for a name that is too long
        return image
    return hashlib.sha256(Path(image).read_bytes()).hexdigest()


def read_requests(content: bytes, reason: str) -> list[Request]:
    """Return the rows of a list, those too that cannot be used.

    Args:
        content: of a .csv file with the columns `image`, `label` and, if wanted, `reason`; with
            commas, semicolons or tabs between them.
        reason: of the rows that have none.

    Raises:
        DataError: a column is missing, or there is no row.
    """
    try:
        columns, rows = read_sheet(content)
    except ValueError as error:
        raise DataError(f"The list of corrections cannot be read: {error}.") from None
    if missing := [name for name in COLUMNS[:2] if name not in columns]:
        raise DataError(
            f"The list of corrections has no column {', '.join(missing)}: expected image, label "
            f"and, if wanted, reason; received {', '.join(columns) or 'nothing'}."
        )
    requests = [_make_request(row, reason) for row in rows]
    if not requests:
        raise DataError("The list of corrections has no row below its header.")
    return requests


def _make_request(row: Row, reason: str) -> Request:
    image, label, own_reason = (row.cells.get(name, "").strip() for name in COLUMNS)
    return Request(image, label, own_reason or ("" if row.fault else reason), row.line, row.fault)


class Relabelling:
    """Judges requests by what is known of the images."""

    def __init__(self, log: pd.DataFrame, classes: Iterable[str]) -> None:
        """Look at the index.

        Args:
            log: of the index, with all corrections that are recorded; `index.SETTLING_COLUMNS`,
                `image_name` and more.
            classes: the labels that are allowed.
        """
        self._classes = {unify_text(name): name for name in classes}
        files = log[log["status"] != index.STATED].drop_duplicates("path")
        self._names: dict[str, list[str]] = {}
        for column in ("path", "image_name"):
            for name, image_id in zip(files[column], files["image_id"], strict=True):
                for form in {name, unify_text(name)}:
                    self._names.setdefault(form, []).append(image_id)
        self._ids = sorted(set(files["image_id"]))
        settled = index.settle_index(log)
        self._paths = dict(zip(settled["image_id"], settled["path"], strict=True))
        self._labels = dict(zip(settled["image_id"], settled["label"], strict=True))
        self._asked = set(find_open(log)["image_id"])
        self._given: dict[str, int] = {}

    def judge(self, request: Request) -> LabelChange | str:
        """Return what a request changes, or why it cannot be done."""
        if request.fault:
            return request.fault
        found = sorted(self._find(request.image))
        if not found:
            return (
                f"there is no image '{request.image}': name it by its sha256, by its path or by "
                "its file name, as in image-classification images"
            )
        if len(found) > 1:
            paths = ", ".join(self._paths[image_id] for image_id in found[:PATHS_SHOWN])
            return f"'{request.image}' names {len(found)} images ({paths} …): name one by its path"
        (image_id,) = found
        label = self._classes.get(unify_text(request.label))
        if label is None:
            return (
                f"'{request.label}' is not a class: allowed are {', '.join(self._classes)}."
                f"{name_near_misses(request.label, self._classes)}"
            )
        if fault := self._find_fault(request, image_id, label):
            return fault
        self._given[image_id] = request.line
        return LabelChange(
            image_id=image_id,
            path=self._paths[image_id],
            before=self._labels[image_id],
            after=label,
        )

    def _find(self, name: str) -> set[str]:
        if found := self._names.get(name) or self._names.get(unify_text(name)):
            return set(found)
        place = bisect_left(self._ids, name) if len(name) >= SHORTEST_ID else len(self._ids)
        found = []
        while place < len(self._ids) and self._ids[place].startswith(name):
            found.append(self._ids[place])
            place += 1
        return set(found)

    def _find_fault(self, request: Request, image_id: str, label: str) -> str:
        """Return why an image shall not get a label; "" where it may."""
        if not request.reason.strip():
            return "it has no reason: why is the label wrong? It is kept for ever"
        if image_id in self._given:
            return f"line {self._given[image_id]} gives the same image a label"
        if self._labels[image_id] == label and image_id not in self._asked:
            return f"'{request.image}' is {label} already"
        return ""


def group_changes(
    changes: Iterable[tuple[Request, LabelChange]], by: str, at: str
) -> Mapping[str, Correction]:
    """Return a record for each reason, by the reason."""
    records: dict[str, Correction] = {}
    for request, change in changes:
        record = records.setdefault(
            request.reason,
            Correction(at=at, by=by, reason=request.reason, how=RELABEL, batch="", labels=[]),
        )
        record["labels"].append(change)
    return records
