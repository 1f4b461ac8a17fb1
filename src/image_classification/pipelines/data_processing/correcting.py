"""Carry out what people and trusted depositors have said of labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from image_classification.configuration.parameters import DataProcessingParameters
from image_classification.datasets import BatchTables, Records
from image_classification.datasets.depositor import name_user
from image_classification.datasets.fault import describe_error
from image_classification.errors import DataError
from image_classification.intake import correction, index
from image_classification.intake.proposal import find_open, is_trusted
from image_classification.intake.status import make_rows

logger = logging.getLogger(__name__)


def follow_batches(
    log: pd.DataFrame,
    statuses: Mapping[str, Mapping[str, str]],
    batch_screenings: Records,
    records: correction.Corrections,
    parameters: DataProcessingParameters,
) -> dict[str, Any]:
    """Return the corrections of labels that batches make by themselves, by their names.

    The labels that a trusted depositor's batch proposes hold from now on. Those that a batch has
    brought, and that it or a person let hold, are taken back when it is rejected.

    Args:
        log: of the index, with the batches.
        statuses: of the batches that were accepted or rejected just now.
        batch_screenings: who has delivered each, among other things.
        records: the corrections that were made before.
        parameters: `data_processing`.
    """
    made: dict[str, Any] = {}
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    for batch, status in statuses.items():
        earlier = {**records, **made}
        if status["status"] == index.REJECTED:
            name = correction.name_record(status["reviewed_at"], correction.WITHDRAWAL, batch)
            record = correction.withdraw_labels(batch, status, earlier, now)
        elif status["status"] == index.ACCEPTED:
            uid = batch_screenings[batch].get("depositor")  # an older release knew none
            if uid is None or not is_trusted(uid, parameters["corrections"]):
                continue
            proposals = find_open(correction.foresee(log, earlier))
            proposals = proposals[proposals["batch"] == batch]
            record = correction.deliver_labels(proposals, name_user(uid), batch, now)
            came = log.loc[log["batch"] == batch, "first_seen"].min() if record["labels"] else ""
            name = correction.name_record(came, correction.DELIVERY, batch)
        else:
            continue
        if record["labels"] and name not in records:
            made[name] = record
            logger.info("%d labels of batch '%s': %s", len(record["labels"]), batch, record["how"])
    return made


def state_labels(
    due: pd.DataFrame, log: pd.DataFrame, image_inspections: BatchTables, recorded_at: str
) -> pd.DataFrame:
    """Return the rows of the log that carry corrections out, with `before`, the label of each.

    Args:
        due: of `list_due`.
        log: of the index.
        image_inspections: what is known of the files.
        recorded_at: now, ISO 8601.
    """
    parts = []
    for batch, statements in due.groupby("batch", sort=False):
        own = log[log["batch"] == batch]
        splits = dict(zip(own["patient"], own["split"], strict=True))
        try:
            files = make_rows(image_inspections.read(str(batch)), splits).set_index("path")
            rows = files.loc[statements["path"]].reset_index()
        except (DataError, OSError, KeyError) as error:
            reason = describe_error(error)
            logger.warning("Labels of batch '%s' cannot be corrected tonight: %s", batch, reason)
            continue
        said = statements.drop(columns=["image_id", "path", "batch", "first_seen"])
        parts.append(rows.set_index(statements.index).assign(**said, recorded_at=recorded_at))
    if not parts:
        return due.head(0)
    # In the order in which they were stated, since the last one holds.
    stated = pd.concat(parts).sort_index(ignore_index=True)
    logger.info("Carried out %d corrections of labels", len(stated))
    return stated
