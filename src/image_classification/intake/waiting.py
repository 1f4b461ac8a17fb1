"""What waits: batches for the intake, held batches for a person, a night for more images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from image_classification import words

Record = Mapping[str, Any]


def list_due_batches(
    arrived: Iterable[str],
    taken: Iterable[str],
    screenings: Mapping[str, Record],
    reviews: Collection[Record],
    log: pd.DataFrame,
) -> list[str]:
    """Return the batches that an intake would do something about, sorted.

    Those that have arrived whole; those that an earlier run took in and did not finish; and those
    about which a person has answered since.

    Args:
        arrived: names of the batches that lie in the incoming folder, whole.
        taken: names of the batches taken in.
        screenings: what the screening found, by batch.
        reviews: what people answered.
        log: of the index: `batch` and `reviewed_at`.
    """
    indexed = set(log["batch"])
    unfinished = {
        batch
        for batch in taken
        if batch not in screenings or (batch not in indexed and screenings[batch]["images"])
    }
    answered = {
        review["batch"]
        for review in reviews
        if review["at"] not in set(log.loc[log["batch"] == review["batch"], "reviewed_at"])
    }
    return sorted({*arrived, *unfinished, *answered})


def list_held_batches(screenings: Mapping[str, Record], reviews: Iterable[Record]) -> list[str]:
    """Return the batches that wait for a person's answer, in the order of the screenings."""
    answered = {review["batch"] for review in reviews}
    return [
        batch
        for batch, record in screenings.items()
        if record["verdict"] in ("held", "quarantined") and batch not in answered
    ]


def describe_missing(missing: Sequence[str], patients: int) -> str:
    """Say what a night waits for, in a sentence or two; "" where nothing is missing.

    Args:
        missing: what the training set lacks, as `contract.check_images` says it.
        patients: how many the training set has.
    """
    if not missing:
        return ""
    known = f"{words.current().count_groups(patients)} {'is' if patients == 1 else 'are'} known"
    return f"Waiting for more: {'; '.join(missing)}. {known}."


def count_changes(images: pd.DataFrame, known: pd.DataFrame) -> tuple[int, int]:
    """Return how many images are new, and how many are gone.

    An image is a content under a label: one whose label was changed is gone, and new.

    Args:
        images: those that would be trained on: `image_id` and `label`.
        known: those that the newest model version was made from, with the same columns.
    """
    ours, theirs = (
        set(zip(table["image_id"], table["label"], strict=True)) for table in (images, known)
    )
    return len(ours - theirs), len(theirs - ours)


def count_corrected(images: pd.DataFrame, known: pd.DataFrame) -> int:
    """Return how many images have another label than they had: each counts as gone, and as new.

    Args:
        images: those that would be trained on: `image_id` and `label`.
        known: those that the newest model version was made from, with the same columns.
    """
    labels = dict(zip(known["image_id"], known["label"], strict=True))
    pairs = zip(images["image_id"], images["label"], strict=True)
    return sum(labels.get(image_id, label) != label for image_id, label in pairs)


def judge_changes(
    new: int, gone: int, minimum: int, version: str, corrected: int = 0
) -> tuple[bool, str]:
    """Tell whether the changes are enough to train on, and say so.

    Args:
        new: images that the version was not made from.
        gone: images that it was made from, and that are no longer there.
        minimum: `training.min_new_images`.
        version: of the model, the newest one.
        corrected: images among both that only have another label.

    Returns:
        Whether to train; and a clause, which names the parameter where the night waits.
    """
    changes = f"{new} new images since version {version}" + (f", {gone} gone" if gone else "")
    if corrected:
        changes += f", {corrected} of both the same with another label"
    if new + gone < minimum:
        return False, f"{changes}: waiting for {minimum} (training.min_new_images)."
    return True, changes
