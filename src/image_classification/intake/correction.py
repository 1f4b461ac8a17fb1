"""Corrected labels: who stated which, when and why, and what of it is still to be carried out.

A record tells that labels were corrected, by whom, when and why; see `Correction`. It is written
once. The next intake carries it out: it adds a row with the status `STATED` to the log of the index
for each label, and the index reads the label off the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from image_classification.intake import index

if TYPE_CHECKING:
    import pandas as pd

RELABEL, REVIEW, DELIVERY, WITHDRAWAL = "relabel", "review", "delivery", "withdrawal"
"""How a label was corrected: by the command, by an answer about a batch, by a trusted depositor's
batch, or back again because that batch was rejected."""

STATEMENT_COLUMNS = [
    *("image_id", "path", "batch", "before", "label", "status", "first_seen"),
    *("labelled_by", "labelled_on", "reviewed_by", "review_reason", "reviewed_at"),
]


class LabelChange(TypedDict):
    """What a correction does to one image; "" stands for no label, where labels are in conflict.

    Attributes:
        image_id: sha256 of its file.
        path: of its file, or of the file that proposed the label.
        before: the label that it had.
        after: the label that it has from then on; the same as before where a proposal was rejected.
    """

    image_id: str
    path: str
    before: str
    after: str


class Correction(TypedDict):
    """A record of corrected labels.

    Attributes:
        at: when, ISO 8601, UTC.
        by: who.
        reason: why.
        how: `RELABEL`, `REVIEW`, `DELIVERY` or `WITHDRAWAL`.
        batch: the one that brought the labels; "" for a `RELABEL`.
        labels: the images.
    """

    at: str
    by: str
    reason: str
    how: str
    batch: str
    labels: list[LabelChange]


Corrections = Mapping[str, Any]
"""Records by name; the values are of `Correction`."""


def sort_corrections(records: Corrections) -> list[Correction]:
    """Return the records in the order of time."""
    return [records[name] for name in sorted(records, key=lambda name: (records[name]["at"], name))]


def tabulate_statements(records: Iterable[Correction]) -> pd.DataFrame:
    """Return what records state as rows of a log, with `before`, the label that an image had."""
    import pandas as pd  # noqa: PLC0415

    rows = [
        (
            *(change["image_id"], change["path"], change["path"].partition("/")[0]),
            *(change["before"], change["after"], index.STATED, record["at"]),
            *(record["by"], record["at"][:10], record["by"], record["reason"], record["at"]),
        )
        for record in records
        for change in record["labels"]
    ]
    return pd.DataFrame(rows, columns=STATEMENT_COLUMNS, dtype=object)


def list_due(records: Corrections, log: pd.DataFrame) -> pd.DataFrame:
    """Return the statements that the log does not hold yet, as `tabulate_statements`.

    Args:
        records: all that were written.
        log: of the index: `image_id`, `status` and `reviewed_at`.
    """
    statements = tabulate_statements(sort_corrections(records))
    if statements.empty:  # nearly always
        return statements
    done = log.loc[log["status"] == index.STATED, ["image_id", "reviewed_at"]]
    known = set(done.itertuples(index=False, name=None))
    pairs = statements[["image_id", "reviewed_at"]].itertuples(index=False, name=None)
    return statements.loc[[pair not in known for pair in pairs]].reset_index(drop=True)


def foresee(log: pd.DataFrame, records: Corrections) -> pd.DataFrame:
    """Return the log as the next intake will leave it, if nothing else arrives."""
    import pandas as pd  # noqa: PLC0415

    due = list_due(records, log)
    return pd.concat([log, due[due.columns.intersection(log.columns)]]) if len(due) else log


def answer_proposals(
    proposals: pd.DataFrame, answer: str, *, at: str, by: str, reason: str, batch: str
) -> Correction:
    """Return the record of an answer about the labels that a batch proposes.

    Args:
        proposals: those that are open, of `proposal.find_open`.
        answer: `accept` lets the proposed labels hold; `reject` states those that hold now.
        at: when, ISO 8601.
        by: who.
        reason: why.
        batch: its name.
    """
    return Correction(
        at=at,
        by=by,
        reason=reason,
        how=REVIEW,
        batch=batch,
        labels=_list_changes(proposals, "label" if answer == "accept" else "before"),
    )


def deliver_labels(proposals: pd.DataFrame, depositor: str, batch: str, at: str) -> Correction:
    """Return the record of the labels of a trusted depositor, which hold at once.

    Args:
        proposals: those of the batch, of `proposal.find_open`.
        depositor: who that is.
        batch: its name.
        at: when, ISO 8601.
    """
    return Correction(
        at=at,
        by=depositor,
        reason=f"delivered under another label in batch '{batch}'",
        how=DELIVERY,
        batch=batch,
        labels=_list_changes(proposals, "label"),
    )


def withdraw_labels(
    batch: str, review: Mapping[str, str], records: Corrections, at: str
) -> Correction:
    """Return the record that takes back the labels that a batch brought, now that it is rejected.

    A label that somebody else stated since stays.

    Args:
        batch: its name.
        review: who rejected the batch, and why: `reviewed_by` and `review_reason`.
        records: all that were written.
        at: when, ISO 8601.
    """
    last: dict[str, tuple[Correction, LabelChange]] = {}
    for record in sort_corrections(records):
        for change in record["labels"]:
            last[change["image_id"]] = (record, change)
    labels = [
        LabelChange(
            image_id=image_id, path=change["path"], before=change["after"], after=change["before"]
        )
        for image_id, (record, change) in last.items()
        if record["batch"] == batch
        and record["how"] in (REVIEW, DELIVERY)
        and change["before"] != change["after"]
    ]
    return Correction(
        at=at,
        by=review["reviewed_by"],
        reason=f"batch '{batch}' was rejected: {review['review_reason']}",
        how=WITHDRAWAL,
        batch=batch,
        labels=labels,
    )


def count_changed(records: Iterable[Correction]) -> int:
    """Return for how many images records give another label than the one before."""
    return sum(
        change["before"] != change["after"] for record in records for change in record["labels"]
    )


def name_record(at: str, how: str, about: str) -> str:
    """Return the name of a record: the file of this name can be made on any disk.

    Args:
        at: a moment that belongs to what is recorded, ISO 8601. Where it is the same when a run is
            repeated, so is the name, and the record is not written twice.
        how: `RELABEL`, `REVIEW`, `DELIVERY` or `WITHDRAWAL`.
        about: a batch or an image.
    """
    return f"{at.replace(':', '').replace('+0000', 'Z')}-{how}-{about}"


def _list_changes(proposals: pd.DataFrame, after: str) -> list[LabelChange]:
    columns = proposals[["image_id", "path", "before", after]]
    return [
        LabelChange(image_id=image_id, path=path, before=before, after=label)
        for image_id, path, before, label in columns.itertuples(index=False, name=None)
    ]
