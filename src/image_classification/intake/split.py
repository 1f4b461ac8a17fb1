"""In which split a patient is: drawn once, written into the index, and kept for ever."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TRAIN, VALIDATION, TEST = "train", "validation", "test"

SPLIT_RULE = (
    "split_salt",
    "validation_share",
    "test_share",
    "enough_validation_patients",
    "enough_test_patients",
)
"""The parameters by which a patient is drawn."""

NO_NAME = re.compile(r"[0-9a-f]{64}")
"""An image whose name tells no patient has the digest of its content for one. It keeps the full
shares and is not counted: an image says far less than a patient."""


def assign_splits(
    log: pd.DataFrame,
    batches: Mapping[str, Iterable[str]],
    accepted: Collection[str],
    parameters: Mapping[str, Any],
) -> dict[str, str]:
    """Return the split of each patient of the batches that join the index together.

    A patient whom the index knows stays where it is, whatever the parameters are now. All others
    are drawn at once, so that the order of the batches changes nothing. Only patients of accepted
    batches are counted, and they are drawn first: who delivers a batch that is held or rejected
    moves nobody else's share.

    Args:
        log: of the index: `batch`, `patient`, `split`.
        batches: the patients of the usable images of each batch; any number of times each.
        accepted: the batches that are trained on, among those of the log and those that join it.
        parameters: `data_processing`.
    """
    if not batches:
        return {}
    known = log.drop_duplicates("patient")[["patient", "split"]]
    given = dict(known.itertuples(index=False, name=None))
    counted = log.loc[log["batch"].isin(accepted), "patient"].unique()
    counts = _count({patient: given[patient] for patient in counted})
    named = {batch: set(patients) for batch, patients in batches.items()}
    splits = {name: given[name] for name in set().union(*named.values()) & given.keys()}
    for is_accepted in (True, False):
        joining = [named[batch] for batch in named if (batch in accepted) is is_accepted]
        drawn = draw_splits(set().union(*joining) - splits.keys(), parameters, counts)
        counts += _count(drawn)
        splits |= drawn
    return splits


def draw_splits(
    patients: Iterable[str],
    parameters: Mapping[str, Any],
    known: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Draw the split of new patients, as if they came one after the other.

    A hash of salt and name says where a patient belongs, and when it comes. While validation, or
    test, has at most as many patients as are enough, all who belong there go there. Beyond that the
    share falls as enough / number, and the others are trained on. So the number never stops
    growing, since stains and cameras change and new ones must be measured, too; it grows as the
    square root of all patients: of 10,000 some 345 are in validation, where enough are 30.

    Args:
        patients: names, any number of times each.
        parameters: `SPLIT_RULE`.
        known: how many patients each split has already.

    Returns:
        The split of each patient. It does not depend on the order they are given in.
    """
    counts = Counter(known or {})
    splits = {}
    digests = {name: _digest(name, parameters["split_salt"]) for name in set(patients)}
    for patient in sorted(digests, key=lambda name: digests[name][8:]):
        place = int.from_bytes(digests[patient][:8]) / 2**64
        is_named = not NO_NAME.fullmatch(patient)
        splits[patient] = _choose_split(place, parameters, counts if is_named else Counter())
        counts[splits[patient]] += is_named
    return splits


def _digest(patient: str, salt: str) -> bytes:
    return hashlib.sha256(f"{salt}/{patient}".encode()).digest()


def _choose_split(place: float, parameters: Mapping[str, Any], counts: Counter[str]) -> str:
    """Return the split at a place from 0 to 1: test comes first, then validation, then train.

    A share falls at its upper end, so that who leaves it is trained on, and nobody moves between
    validation and test.
    """
    start = 0.0
    for split in (TEST, VALIDATION):
        share, enough = parameters[f"{split}_share"], parameters[f"enough_{split}_patients"]
        if place < start + share:
            falls_to = min(1.0, enough / max(counts[split], 1))
            return split if place < start + share * falls_to else TRAIN
        start += share
    return TRAIN


def _count(splits: Mapping[str, str]) -> Counter[str]:
    return Counter(split for patient, split in splits.items() if not NO_NAME.fullmatch(patient))
