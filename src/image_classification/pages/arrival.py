"""What arrived in a night, and what became of it: numbers that add up, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from image_classification.intake import index
from image_classification.intake.measure import Reading, read_measures
from image_classification.intake.proposal import select_opposed
from image_classification.intake.tally import FOUND, tally_batch

SHOWN_NOTES = 8
VERDICTS = {
    "accepted": "joined the training set",
    "held": "held: a person is asked",
    "quarantined": "quarantined: a person is asked",
    "waiting": "waits for other batches",
}
"""What became of a batch as a whole, by its verdict."""

ASKED = ("held", "quarantined")
"""Verdicts of batches that a person is asked about."""


@dataclass
class Arrival:
    """One batch.

    Attributes:
        batch: its name, as it was delivered.
        verdict: what became of it as a whole.
        counts: what became of each thing in it, by what that is; they add up to `found`.
        found: all that lay in it.
        notes: why, and what else there is to know, sentences.
        readings: what was measured of it, where a person is asked.
    """

    batch: str
    verdict: str
    counts: dict[str, int]
    found: int
    notes: list[str] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)


def list_arrivals(judged: Mapping[str, Mapping[str, Any]], log: pd.DataFrame) -> list[Arrival]:
    """Return what became of the batches that were judged in a night.

    Args:
        judged: the record of the screening of each batch.
        log: of the index.
    """
    if not judged:
        return []
    files = log[(log["status"] != index.STATED) & log["batch"].isin(list(judged))]
    files = files.drop_duplicates("path", keep="last")
    settled = index.settle_same(log, files["image_id"])
    opposed = select_opposed(files, settled)["batch"].value_counts()
    return [
        _describe(batch, record, settled[settled["batch"] == batch], int(opposed.get(batch, 0)))
        for batch, record in judged.items()
    ]


def _describe(batch: str, record: Mapping[str, Any], own: pd.DataFrame, relabelled: int) -> Arrival:
    counts = tally_batch(record, own["status"], relabelled)
    found = counts.pop(FOUND)
    told = [*record["reasons"], *record["notes"]]
    if len(told) > SHOWN_NOTES:
        told = [*told[:SHOWN_NOTES], f"… and {len(told) - SHOWN_NOTES} more"]
    verdict = VERDICTS.get(record["verdict"], record["verdict"])
    is_asked = record["verdict"] in ASKED
    readings = read_measures(record.get("numbers", {})) if is_asked else []
    return Arrival(batch, verdict, counts, found, told, readings)


def add_up(arrivals: list[Arrival]) -> dict[str, int]:
    """Return what became of all that arrived; the numbers add up to all that was found."""
    sums: dict[str, int] = {}
    for arrival in arrivals:
        for name, count in arrival.counts.items():
            sums[name] = sums.get(name, 0) + count
    return sums
