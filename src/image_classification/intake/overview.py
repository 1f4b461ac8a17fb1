"""What the index knows of each batch, for a person who asks.

The rules are those of `index`, `status` and `proposal`, here one row after another: without pandas
an answer takes a tenth of the time. `tests/intake/test_overview.py` holds both to the same result.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from image_classification.intake import index
from image_classification.intake.correction import Corrections, sort_corrections
from image_classification.intake.proposal import NOTED
from image_classification.intake.status import CONTRADICTING, UNREVIEWED


class Row(NamedTuple):
    """A row of the log; the fields are columns of it."""

    image_id: str
    path: str
    batch: str
    label: str
    status: str
    first_seen: str
    reviewed_by: str
    review_reason: str
    reviewed_at: str


@dataclass
class Overview:
    """What is known of a batch.

    Attributes:
        status: `status`, `reviewed_by`, `review_reason` and `reviewed_at`; empty where the log has
            no file of it.
        files: how many files of it the log has.
        statuses: how many images the index knows from it, by status.
        opposed: its files of images that the index knows from another one, under another label.
        asked: its labels for known images that nobody has answered about.
        paired: its files that it brought under two labels, while nobody has stated the label.
    """

    status: dict[str, str] = field(default_factory=dict)
    files: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    opposed: int = 0
    asked: int = 0
    paired: int = 0


class _Content(NamedTuple):
    """How an image stands in the index.

    Attributes:
        file: the row of the file that counts.
        status: of the image.
        label: of the image, "" for none.
    """

    file: Row
    status: str
    label: str


def survey_batches(log: Sequence[Row], corrections: Corrections) -> dict[str, Overview]:
    """Return what is known of each batch of the log, by name.

    Args:
        log: of the index, in the order it was written.
        corrections: records of corrected labels, of which the log may not hold all yet.
    """
    batches: dict[str, Overview] = defaultdict(Overview)
    for row in log:
        if row.status != index.STATED:
            batches[row.batch].status = _tell_status(row)
    files = _find_files(log)
    contents = _settle(files, log)
    for content in contents.values():
        batches[content.file.batch].statuses[content.status] += 1
    for row in files.values():
        batch, content = batches[row.batch], contents[row.image_id]
        batch.files += 1
        batch.opposed += row.status in CONTRADICTING and content.file.path != row.path
        batch.paired += row.status == index.CONFLICT == content.status
    for row in _find_open([*log, *_list_due(corrections, log)], files):
        batches[row.batch].asked += 1
    return dict(batches)


def _tell_status(row: Row) -> dict[str, str]:
    # Only an accepted batch has files that contradict others, or one another.
    status = index.ACCEPTED if row.status in CONTRADICTING else row.status
    return {"status": status, **{name: getattr(row, name) for name in UNREVIEWED}}


def _find_files(log: Iterable[Row]) -> dict[str, Row]:
    """Return the last row of each file, by path."""
    return {row.path: row for row in log if row.status != index.STATED}


def _settle(files: dict[str, Row], log: Iterable[Row]) -> dict[str, _Content]:
    """Return how each image stands, by its id: the rule of `index.settle_index`."""
    stated = {row.image_id: row.label for row in log if row.status == index.STATED}
    same: dict[str, list[Row]] = defaultdict(list)
    for row in files.values():
        same[row.image_id].append(row)
    return {
        image_id: _settle_content(rows, stated.get(image_id, "")) for image_id, rows in same.items()
    }


def _settle_content(rows: Sequence[Row], stated: str) -> _Content:
    """Return how one image stands.

    Args:
        rows: its files.
        stated: the label that was stated last; "" for none.
    """
    if stated:
        rows = [
            row._replace(
                label=stated, status=index.ACCEPTED if row.status in CONTRADICTING else row.status
            )
            for row in rows
        ]
    first = min(rows, key=_rank)
    accepted = {row.label for row in rows if row.status == index.ACCEPTED}
    status = index.CONFLICT if len(accepted) > 1 else first.status
    if status == index.PROPOSED:
        status = index.ACCEPTED
    return _Content(first, status, "" if status == index.CONFLICT else first.label)


def _rank(row: Row) -> tuple[int, str, str]:
    order = index.LASTING_ORDER
    return order.get(row.status, len(order)), row.first_seen, row.path


def _list_due(corrections: Corrections, log: Iterable[Row]) -> Iterator[Row]:
    """Yield the statements that the log does not hold yet: the rule of `correction.list_due`."""
    done = {(row.image_id, row.reviewed_at) for row in log if row.status == index.STATED}
    for record in sort_corrections(corrections):
        for change in record["labels"]:
            if (change["image_id"], record["at"]) not in done:
                yield Row(
                    image_id=change["image_id"],
                    path=change["path"],
                    batch=change["path"].partition("/")[0],
                    label=change["after"],
                    status=index.STATED,
                    first_seen=record["at"],
                    reviewed_by=record["by"],
                    review_reason=record["reason"],
                    reviewed_at=record["at"],
                )


def _find_open(log: Sequence[Row], files: dict[str, Row]) -> Iterator[Row]:
    """Yield the proposals that nobody has answered: the rule of `proposal.find_open`."""
    proposals = {path: row for path, row in files.items() if row.status == index.PROPOSED}
    if not proposals:  # nearly always
        return
    concerned = {row.image_id for row in proposals.values()}
    contents = _settle(files, log)
    came: dict[str, int] = {}
    statements: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for place, row in enumerate(log):
        if row.image_id in concerned and row.status == index.STATED:
            statements[row.image_id].append((place, row.path))
        elif row.image_id in concerned and row.status in NOTED:
            came.setdefault(row.path, place)
    for path, row in proposals.items():
        answered = any(
            place > came[path] and (about == path or about not in proposals)
            for place, about in statements[row.image_id]
        )
        if contents[row.image_id].label != row.label and not answered:
            yield row
