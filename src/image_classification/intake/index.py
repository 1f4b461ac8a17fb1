"""The index of images: what is known of each content, read from a log that only grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from image_classification.intake.split import TEST, TRAIN, VALIDATION
from image_classification.text import unify_text

if TYPE_CHECKING:
    # Imported where tables are joined: quick commands read the words of this module alone.
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

ACCEPTED, HELD, REJECTED, CONFLICT = "accepted", "held", "rejected", "conflict"
"""Status of an image: only an accepted one is trained on."""

PROPOSED = "proposed"
"""Status of a file in the log: it is in an accepted batch, and came when its content had another
label, which goes on to hold. No image has this status."""

STATED = "stated"
"""Status of a row of the log that is no file: it says which label a content has, and who said so.
Without a label it takes back what was stated before."""

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
LASTING_ORDER = {ACCEPTED: 0, CONFLICT: 1, PROPOSED: 2, HELD: 3, REJECTED: 4}
"""Of several files with one content, the one whose status has the lowest number counts."""

LABEL_COLUMNS = ["label", "labelled_by", "labelled_on"]
"""What a statement about a label replaces."""


def settle_index(log: pd.DataFrame) -> pd.DataFrame:
    """Return one row per image content, as the log stands.

    A file's last row in the log holds. Of several files with the same content the accepted one
    counts, and of several of these the first seen. The label that was stated last for a content
    holds for all of its files. Without a statement, a content that was accepted under two labels,
    or that one batch brought under two, has the status `conflict` and no label.

    Args:
        log: in the order it was written; at least `SETTLING_COLUMNS`.

    Returns:
        The columns of `log`, one row per `image_id`. The order of the batches changes only the
        order of the rows, and which of several equal files was seen first.
    """
    files, statements = _part_statements(log.reset_index(drop=True))
    if not files["path"].is_unique:
        files = files.drop_duplicates("path", keep="last", ignore_index=True)
    if len(statements):
        files = _apply_statements(files, statements)
    if files["image_id"].is_unique:  # nearly always; the rest is for the few that repeat
        return _name_statuses(files)
    repeated = files["image_id"].duplicated(keep=False)
    ranked = files[repeated].assign(rank=files["status"].map(LASTING_ORDER))
    ranked = ranked.sort_values(["image_id", "rank", "first_seen", "path"])
    beaten = ranked.index[ranked["image_id"].duplicated()]
    index = files.drop(index=beaten).reset_index(drop=True)
    index.loc[index["image_id"].isin(find_conflicts(files[repeated])), "status"] = CONFLICT
    return _name_statuses(index)


def _part_statements(log: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of files, and the last statement about each content."""
    stated = log["status"] == STATED
    if not stated.any():  # nearly always
        return log, log.head(0)
    statements = log[stated].drop_duplicates("image_id", keep="last")
    return log[~stated].reset_index(drop=True), statements[statements["label"] != ""]


def _apply_statements(files: pd.DataFrame, statements: pd.DataFrame) -> pd.DataFrame:
    """Return the files with the labels that were stated; no dispute about these is left."""
    said = statements.set_index("image_id")
    concerned = files["image_id"].isin(said.index)
    ids = files.loc[concerned, "image_id"]
    changed = {
        name: files[name].mask(concerned, ids.map(said[name]))
        for name in LABEL_COLUMNS
        if name in files
    }
    settled = concerned & files["status"].isin([PROPOSED, CONFLICT])
    return files.assign(**changed, status=files["status"].mask(settled, ACCEPTED))


def _name_statuses(index: pd.DataFrame) -> pd.DataFrame:
    """Return an index in which a proposal is accepted, and a conflict has no label.

    A proposal is left here only where the files that it contradicted were rejected since.
    """
    odd = index["status"].isin([PROPOSED, CONFLICT])
    if odd.any():
        index.loc[index["status"] == PROPOSED, "status"] = ACCEPTED
        index.loc[index["status"] == CONFLICT, "label"] = ""
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
    import pandas as pd  # noqa: PLC0415

    filled = [table for table in tables if len(table)] or tables[:1]
    return filled[0] if len(filled) == 1 else pd.concat(filled, ignore_index=True)


def locate_last(values: pd.Series) -> npt.NDArray[np.intp]:
    """Return the place of each value's last row, ordered by the place of its first row.

    These are the rows that `duplicated(keep="last")` finds, at a third of its cost where few
    values repeat.
    """
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

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
        others: the log of all other batches: at least `SETTLING_COLUMNS`.

    Returns:
        `QUARANTINE_COLUMNS`. A conflict of labels names both files, a row for each.
    """
    refused = describe_refusals(batch)
    usable = batch.loc[batch["refusal"] == "", ["path", "label", "image_id"]]
    known = settle_same(others, usable["image_id"])
    if known.empty and usable["image_id"].is_unique:  # nearly always
        return refused
    known = known.loc[known["status"].isin([ACCEPTED, CONFLICT]), ["path", "label", "image_id"]]
    import pandas as pd  # noqa: PLC0415

    files = pd.concat([known, usable])
    repeated = files[files["image_id"].duplicated(keep=False)]
    same: dict[str, list[tuple[str, str]]] = {}
    for image_id, path, label in repeated[["image_id", "path", "label"]].itertuples(index=False):
        same.setdefault(image_id, []).append((path, label))
    own = set(usable["path"])
    rows = [
        (path, label, image_id, reason)
        for image_id in sorted(same)
        for path, label, reason in _explain(same[image_id], own)
    ]
    return pd.concat(
        [refused, pd.DataFrame(rows, columns=QUARANTINE_COLUMNS, dtype=object)], ignore_index=True
    )


def settle_same(log: pd.DataFrame, image_ids: pd.Series) -> pd.DataFrame:
    """Return the rows of the settled index that are of some contents; mostly there are none."""
    # First the few rows that concern them, since the log is long.
    return settle_index(log[log["image_id"].isin(image_ids)])


def describe_refusals(batch: pd.DataFrame) -> pd.DataFrame:
    """List the files of a batch that cannot be used, with the reason; columns as above."""
    refused = batch.loc[batch["refusal"] != "", ["path", "label", "image_id", "refusal"]]
    return refused.set_axis(QUARANTINE_COLUMNS, axis=1).reset_index(drop=True)


def _explain(files: list[tuple[str, str]], own: set[str]) -> Iterator[tuple[str, str, str]]:
    """Say which of the files with one content counts: path, label and reason of the others.

    Args:
        files: path and label of each; the one that is known first.
        own: the paths of those of the new batch.
    """
    first, held = files[0]
    if len({label for _, label in files}) == 1:
        reason = f"duplicate of {first}"
        files = files[1:]
    else:
        named = ", ".join(f"{path} ({label or 'no label'})" for path, label in files)
        reason = f"the same image has more than one label: {named}"
        if first in own or not held:
            yield from ((path, label, reason) for path, label in files)
            return
        reason += f". It keeps the label {held}"
    yield from ((path, label, reason) for path, label in files if path in own)


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
