"""Let batches join the index, one after the other, and count what became of their images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from image_classification.intake import index
from image_classification.intake.proposal import judge_files
from image_classification.intake.status import make_rows

logger = logging.getLogger(__name__)

COLUMNS = [*index.SETTLING_COLUMNS, "batch", "patient", "split", "reviewed_at"]
"""What is asked of the log while batches join it."""


def join_batches(
    known_index: pd.DataFrame,
    inspections: Mapping[str, pd.DataFrame],
    statuses: Mapping[str, Mapping[str, str]],
    splits: Mapping[str, str],
    recorded_at: str,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, list[pd.DataFrame]]:
    """Return the quarantine of each batch, the log with the batches, and the rows that each adds.

    Args:
        known_index: the log.
        inspections: of the batches, in the order in which they join.
        statuses: of the batches.
        splits: of the patients of the batches.
        recorded_at: now, ISO 8601.
    """
    known = set(known_index["batch"])
    log, rows = known_index[COLUMNS], list[pd.DataFrame]()
    quarantine = {}
    for batch, files in inspections.items():
        # The rows of the batch before are joined only now that another one follows.
        log = index.join_rows([log, *(added[COLUMNS] for added in rows[-1:])])
        # Of the log only the few rows that concern the batch, since it is long.
        others = log[log["image_id"].isin(files["image_id"])]
        if batch in known:
            others = others[(others["batch"] != batch) | (others["status"] == index.STATED)]
        added = make_rows(files, splits).assign(**statuses[batch], recorded_at=recorded_at)
        if statuses[batch]["status"] == index.ACCEPTED:
            quarantine[batch] = index.describe_quarantine(files, others)
            added = added.assign(status=judge_files(added, others))
            _tell_proposals(batch, added)
        else:
            quarantine[batch] = index.describe_refusals(files)
        rows.append(added)
    return quarantine, index.join_rows([log, *(added[COLUMNS] for added in rows[-1:])]), rows


def count_statuses(
    added: pd.DataFrame,
    stated: pd.DataFrame,
    quarantine: Mapping[str, pd.DataFrame],
    left_out: int,
) -> dict[str, Any]:
    """Return how many images got which status, and how many labels were corrected.

    Args:
        added: the rows of the batches.
        stated: the rows that correct labels, with `before`.
        quarantine: of each batch.
        left_out: how many other things lie in the batches.
    """
    counts = added["status"].value_counts()
    statuses = (index.ACCEPTED, index.HELD, index.REJECTED)
    summary = {name: int(counts.get(name, 0)) for name in statuses}
    summary |= {"quarantined_files": sum(map(len, quarantine.values())), "left_out": left_out}
    logger.info(
        "%d images accepted, %d held, %d rejected; %d files in quarantine, %d left out",
        *summary.values(),
    )
    summary["proposed"] = int(counts.get(index.PROPOSED, 0))
    summary["corrected"] = int((stated["before"] != stated["label"]).sum())
    return {**summary, "batches": sorted(quarantine)}


def _tell_proposals(batch: str, images: pd.DataFrame) -> None:
    if count := int((images["status"] == index.PROPOSED).sum()):
        logger.warning(
            "Batch '%s' has another label for %d images that are known. They keep theirs until it "
            "is answered: image-classification review %s --labels",
            batch,
            count,
            batch,
        )
