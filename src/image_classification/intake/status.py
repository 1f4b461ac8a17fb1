"""The status of each batch in the index, and the rows that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from image_classification.intake import index

if TYPE_CHECKING:
    import pandas as pd

CONTRADICTING = (index.PROPOSED, index.CONFLICT)
"""Statuses of files in the log."""

UNREVIEWED = {"reviewed_by": "", "review_reason": "", "reviewed_at": ""}


def make_rows(inspections: pd.DataFrame, splits: Mapping[str, str]) -> pd.DataFrame:
    """Return the usable files of a batch, each content once per label, with their splits.

    Args:
        inspections: a row per file.
        splits: of each patient of the batch.
    """
    usable = index.select_usable(inspections.sort_values("path", ignore_index=True))
    usable = usable.drop(columns="refusal").reset_index(drop=True)
    return usable.assign(split=usable["patient"].map(splits))


def read_statuses(log: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the status of each batch as it stands in the log, by name."""
    names = ["status", *UNREVIEWED]
    log = log[log["status"] != index.STATED]  # a statement is about one image
    last = log[["batch", *names]].iloc[index.locate_last(log["batch"])]
    # Only an accepted batch has files that contradict others, or one another.
    last = last.replace({"status": dict.fromkeys(CONTRADICTING, index.ACCEPTED)})
    return {
        batch: dict(zip(names, status, strict=True))
        for batch, *status in last.itertuples(index=False, name=None)
    }


def list_accepted(statuses: Mapping[str, Mapping[str, str]]) -> set[str]:
    """Return the batches that are trained on."""
    return {batch for batch, status in statuses.items() if status["status"] == index.ACCEPTED}


def find_statuses(
    screenings: Mapping[str, Mapping[str, Any]], reviews: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, str]]:
    """Return the status of each batch, by name: the last review's, else the screening's."""
    statuses = {}
    for batch in sorted(screenings):
        accepted = screenings[batch]["verdict"] == "accepted"
        statuses[batch] = {"status": index.ACCEPTED if accepted else index.HELD, **UNREVIEWED}
    for name in sorted(reviews):
        review = reviews[name]
        statuses[review["batch"]] = {
            "status": index.ACCEPTED if review["answer"] == "accept" else index.REJECTED,
            "reviewed_by": review["by"],
            "review_reason": review["reason"],
            "reviewed_at": review["at"],
        }
    return statuses
