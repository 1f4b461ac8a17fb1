"""Are enough images new to train on, or does the night wait for more?"""

from __future__ import annotations

import pandas as pd


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


def judge_changes(new: int, gone: int, minimum: int, version: str) -> tuple[bool, str]:
    """Tell whether the changes are enough to train on, and say so.

    Args:
        new: images that the version was not made from.
        gone: images that it was made from, and that are no longer there.
        minimum: `training.min_new_images`.
        version: of the model, the newest one.

    Returns:
        Whether to train; and a clause, which names the parameter where the night waits.
    """
    changes = f"{new} new images since version {version}" + (f", {gone} gone" if gone else "")
    if new + gone < minimum:
        return False, f"{changes}: waiting for {minimum} (training.min_new_images)."
    return True, changes
