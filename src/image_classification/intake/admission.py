"""Which batches may join the training set together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from image_classification.errors import name_near_misses
from image_classification.intake import contract, index
from image_classification.text import escape_text


def admit_together(
    images: pd.DataFrame,
    candidates: Mapping[str, pd.DataFrame],
    parameters: Mapping[str, Any],
) -> dict[str, list[str]]:
    """Find the batches with which the training set would break the contract.

    All batches are tried together first, since two may keep the contract where one alone would
    break it. If they break it together, they are tried one after the other. Where there are too few
    patients yet, a batch joins all the same, and the night waits; a batch that would leave too few
    where there are enough, by labels that it corrects, breaks the contract.

    Args:
        images: the index as it is.
        candidates: the rows that each batch would add; where `corrects` is true, their labels
            would hold for images that are known under others.
        parameters: `data_processing`.

    Returns:
        The breaches of each batch that has to wait.
    """
    accepted = images[images["status"] == index.ACCEPTED]
    if not candidates or not _find_breaches(accepted, list(candidates.values()), parameters):
        return {}
    waiting = {}
    for batch, rows in candidates.items():
        if breaches := _find_breaches(accepted, [rows], parameters):
            waiting[batch] = breaches
        else:
            accepted = pd.concat([accepted, rows], ignore_index=True)
    return waiting


def sample_patients(images: pd.DataFrame, maximum: int) -> pd.DataFrame:
    """Return about `maximum` images at most, equally many per patient, the same ones each time."""
    if len(images) <= maximum:
        return images
    own, names = pd.factorize(images["patient"])
    # By sha256, which is as good as a random draw and gives the same sample in the next run.
    order = images["image_id"].argsort().to_numpy()
    place = pd.Series(order).groupby(own[order], sort=False).cumcount().to_numpy()
    return images.iloc[order[place < -(-maximum // len(names))]]


def _find_breaches(
    accepted: pd.DataFrame, joining: list[pd.DataFrame], parameters: Mapping[str, Any]
) -> list[str]:
    found = _check([accepted, *joining], parameters)
    breaches = found.breaches
    if found.missing and not _check([accepted], parameters).missing:
        breaches = [*breaches, *(f"With it, {clause}." for clause in found.missing)]
    return [*_name_misspelt(accepted, joining), *breaches] if breaches else []


def _name_misspelt(accepted: pd.DataFrame, joining: list[pd.DataFrame]) -> list[str]:
    """Return a sentence for each folder that would be a new class, and resembles a known one."""
    known = set(accepted["label"])
    new = sorted({label for rows in joining for label in rows["label"]} - known)
    return [
        f"Folder '{escape_text(label)}' would be a new class.{resembled} Then rename the folder, "
        "deliver it again, and reject this batch (image-classification review)."
        for label in new
        if (resembled := name_near_misses(label, known))
    ]


def _check(parts: list[pd.DataFrame], parameters: Mapping[str, Any]) -> contract.Findings:
    columns = ["image_id", "label", "patient", "split", "corrects"]
    rows = index.join_rows([part.reindex(columns=columns, fill_value=False) for part in parts])
    if not rows["image_id"].is_unique:
        # The label that is known holds, but where a batch corrects it.
        first = rows.sort_values("corrects", ascending=False, kind="stable")
        rows = first.drop_duplicates("image_id")
    class_names = index.name_classes(rows, parameters["classes"])
    return contract.check_images(rows, class_names, parameters["contract"])
