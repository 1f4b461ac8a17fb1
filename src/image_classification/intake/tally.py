"""What became of each thing that lies in a batch: the numbers add up to what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from image_classification.intake.index import ACCEPTED, CONFLICT, HELD, REJECTED
from image_classification.text import escape_text

if TYPE_CHECKING:
    import pandas as pd

MAXIMUM_REASONS = 5
"""At most so many reasons to refuse files of one batch are told one by one."""

FOUND, REFUSED, DUPLICATES, LEFT_OUT = "found", "refused", "duplicates", "left out"
RELABELLED = "of known images with another label"


def tally_batch(
    record: Mapping[str, Any], statuses: Iterable[str], relabelled: int = 0
) -> dict[str, int]:
    """Count what became of each thing that was found in a batch.

    Args:
        record: of the screening: `files`, `refused`, `images`, `left_out`.
        statuses: of the images that the index knows from this batch, one for each content.
        relabelled: files of images that the index knows from another batch under another label.

    Returns:
        `found`, and parts of it that add up to it: how many images have which status, how many
        files are `refused`, `RELABELLED`, `duplicates` of another file, or `left out`. Parts of
        zero are missing.
    """
    counted = Counter(statuses)
    files = int(record["files"])
    # A record of an earlier release counts duplicates within the batch among those refused.
    refused = int(record.get("refused", files - record["images"]))
    left_out = sum(record.get("left_out", {}).values())
    order = [ACCEPTED, HELD, REJECTED, CONFLICT]
    parts = {status: counted.pop(status, 0) for status in order} | dict(counted)
    duplicates = files - refused - relabelled - sum(parts.values())
    parts |= {REFUSED: refused, RELABELLED: relabelled, DUPLICATES: duplicates, LEFT_OUT: left_out}
    return {FOUND: files + left_out, **{name: count for name, count in parts.items() if count}}


def describe_tally(counts: Mapping[str, int]) -> str:
    """Return the numbers of `tally_batch` in one line."""
    parts = [f"{count} {name}" for name, count in counts.items() if name != FOUND]
    return f"{counts[FOUND]} found: {', '.join(parts) or 'nothing'}"


def describe_refused(inspections: pd.DataFrame) -> list[str]:
    """Return a sentence for each common reason to refuse files: how many, and the first name."""
    refused = inspections[inspections["refusal"] != ""]
    common = Counter(refused["refusal"]).most_common()
    said = []
    for reason, count in common[:MAXIMUM_REASONS]:
        first = refused.loc[refused["refusal"] == reason, "path"].iloc[0]
        said.append(f"Refused: {count} ({reason}), the first is '{escape_text(first)}'.")
    if more := sum(count for _, count in common[MAXIMUM_REASONS:]):
        said.append(f"Refused: {more} for other reasons (index/quarantine).")
    return said
