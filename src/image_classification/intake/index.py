"""The index of images: what is known of each content, read from a log that only grows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from image_classification.intake.split import TEST, TRAIN, VALIDATION
from image_classification.text import unify_text

ACCEPTED, HELD, REJECTED, CONFLICT = "accepted", "held", "rejected", "conflict"
"""Status of an image: only an accepted one is trained on."""

SPLITS = (TRAIN, VALIDATION, TEST)
IMAGE_COLUMNS = [
    "image_id",
    "image_name",
    "path",
    "label",
    "patient",
    "captured_on",
    "width",
    "height",
    "size_bytes",
    "batch",
    "labelled_by",
    "labelled_on",
    "first_seen",
    "split",
    "packed_px",
]
LOG_COLUMNS = [
    *IMAGE_COLUMNS,
    "status",
    "reviewed_by",
    "review_reason",
    "reviewed_at",
    "recorded_at",
]
SETTLING_COLUMNS = ["image_id", "path", "label", "status", "first_seen"]
"""The columns that decide which row of a content counts."""

QUARANTINE_COLUMNS = ["path", "label", "image_id", "reason"]
LASTING_ORDER = {ACCEPTED: 0, HELD: 1, REJECTED: 2}
"""Of several files with one content, the one whose status has the lowest number counts."""


def settle_index(log: pd.DataFrame) -> pd.DataFrame:
    """Return one row per image content, as the log stands.

    A file's last row in the log holds. Of several files with the same content the accepted one
    counts, and of several of these the first seen. A content that was accepted under two labels
    has the status `conflict` and no label.

    Args:
        log: in the order it was written; at least `SETTLING_COLUMNS`.

    Returns:
        The columns of `log`, one row per `image_id`. The order of the batches changes only the
        order of the rows, and which of several equal files was seen first.
    """
    files = log.reset_index(drop=True)
    if not files["path"].is_unique:
        files = files.drop_duplicates("path", keep="last", ignore_index=True)
    if files["image_id"].is_unique:  # nearly always; the rest is for the few that repeat
        return files
    repeated = files["image_id"].duplicated(keep=False)
    ranked = files[repeated].assign(rank=files["status"].map(LASTING_ORDER))
    ranked = ranked.sort_values(["image_id", "rank", "first_seen", "path"])
    beaten = ranked.index[ranked["image_id"].duplicated()]
    index = files.drop(index=beaten).reset_index(drop=True)
    disputed = index["image_id"].isin(find_conflicts(files[repeated]))
    index.loc[disputed, "status"] = CONFLICT
    index.loc[disputed, "label"] = ""
    return index


def select_accepted(log: pd.DataFrame) -> pd.DataFrame:
    """Return the images that may be trained on, one row per content."""
    settled = settle_index(log)
    return settled[settled["status"] == ACCEPTED].reset_index(drop=True)


def select_usable(inspections: pd.DataFrame) -> pd.DataFrame:
    """Return the files of a batch that were not refused, each content once per label."""
    usable = inspections[inspections["refusal"] == ""]
    if usable["image_id"].is_unique:  # nearly always
        return usable
    return usable.drop_duplicates(["image_id", "label"])


def join_rows(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of one or more tables; joined only where there is something to join."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return filled[0] if len(filled) == 1 else pd.concat(filled, ignore_index=True)


def locate_last(values: pd.Series) -> npt.NDArray[np.intp]:
    """Return the place of each value's last row, ordered by the place of its first row.

    These are the rows that `duplicated(keep="last")` finds, at a third of its cost where few
    values repeat.
    """
    own, names = pd.factorize(values)
    last = np.empty(len(names), np.intp)
    last[own] = np.arange(len(own))  # the last row of a value overwrites those before it
    return last


def name_classes(images: pd.DataFrame, classes: Sequence[str] | None) -> list[str]:
    """Return the class names in order: those configured, or those found."""
    return sorted(map(unify_text, classes) if classes else images["label"].unique())


def find_conflicts(files: pd.DataFrame) -> set[str]:
    """Return the ids of contents that were accepted under more than one label."""
    accepted = files[files["status"] == ACCEPTED]
    pairs = accepted[["image_id", "label"]].drop_duplicates()
    return set(pairs.loc[pairs["image_id"].duplicated(), "image_id"])


def describe_quarantine(batch: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """List the files of a batch that are not counted, with the reason.

    Args:
        batch: the inspections of one batch: `path`, `label`, `image_id`, `refusal`.
        others: the log of all other batches: at least `path`, `label`, `image_id`, `status`.

    Returns:
        `QUARANTINE_COLUMNS`. A conflict of labels names both files, a row for each.
    """
    refused = describe_refusals(batch)
    usable = batch.loc[batch["refusal"] == "", ["path", "label", "image_id"]]
    # First the few files that may repeat one of the batch, since the log is long.
    similar = others.loc[others["image_id"].isin(usable["image_id"]), "path"]
    if similar.empty and usable["image_id"].is_unique:  # nearly always
        return refused
    known = others[others["path"].isin(similar)].drop_duplicates("path", keep="last")
    known = known[(known["status"] == ACCEPTED) & known["image_id"].isin(usable["image_id"])]
    files = pd.concat([known[["path", "label", "image_id"]], usable])
    repeated = files[files["image_id"].duplicated(keep=False)]
    rows = [_explain(group, set(usable["path"])) for _, group in repeated.groupby("image_id")]
    return pd.concat([refused, *rows], ignore_index=True)


def describe_refusals(batch: pd.DataFrame) -> pd.DataFrame:
    """List the files of a batch that cannot be used, with the reason; columns as above."""
    refused = batch.loc[batch["refusal"] != "", ["path", "label", "image_id", "refusal"]]
    return refused.set_axis(QUARANTINE_COLUMNS, axis=1).reset_index(drop=True)


def _explain(group: pd.DataFrame, own: set[str]) -> pd.DataFrame:
    """Say which of the files with one content counts; `own` are those of the new batch."""
    if group["label"].nunique() > 1:
        files = ", ".join(f"{path} ({label})" for path, label in group[["path", "label"]].values)
        return group.assign(reason=f"the same image has more than one label: {files}")
    extra = group.iloc[1:]
    extra = extra[extra["path"].isin(own)]
    return extra.assign(reason=f"duplicate of {group['path'].iloc[0]}")


def digest_images(images: pd.DataFrame) -> str:
    """Return 32 hex digits that change when any image, label or split of the table does."""
    keys = images["image_id"] + " " + images["label"] + " " + images["split"]
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:32]


def summarise_images(images: pd.DataFrame, class_names: Sequence[str]) -> dict[str, Any]:
    """Count the images and patients of a table with splits, and return digests of its rows."""
    return {
        "data_digest": digest_images(images),
        "images": len(images),
        "patients": int(images["patient"].nunique()),
        "captured_until": max(images["captured_on"], default=""),
        "batches": sorted(images["batch"].unique()),
        "splits": {
            split: {
                "digest": digest_images(rows),
                "images": len(rows),
                "patients": int(rows["patient"].nunique()),
                "classes": {name: int((rows["label"] == name).sum()) for name in class_names},
            }
            for split in SPLITS
            for rows in [images[images["split"] == split]]
        },
    }
