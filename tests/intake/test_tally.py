"""What was found in a batch adds up."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from image_classification.intake.tally import (
    MAXIMUM_REASONS,
    describe_refused,
    describe_tally,
    tally_batch,
)

RECORD: dict[str, Any] = {"files": 12, "images": 9, "refused": 2, "left_out": {".txt": 3}}


def own(**statuses: int) -> list[str]:
    return [name for name, count in statuses.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ({"accepted": 10}, "15 found: 10 accepted, 2 refused, 3 left out"),
        ({"accepted": 8}, "15 found: 8 accepted, 2 refused, 2 duplicates, 3 left out"),
        (
            {"accepted": 6, "conflict": 1},
            "15 found: 6 accepted, 1 conflict, 2 refused, 3 duplicates, 3 left out",
        ),
        ({"held": 9, "later": 1}, "15 found: 9 held, 1 later, 2 refused, 3 left out"),
    ],
)
def test_the_parts_add_up_to_what_was_found(statuses: dict[str, int], said: str) -> None:
    counts = tally_batch(RECORD, own(**statuses))
    assert counts["found"] == sum(count for name, count in counts.items() if name != "found")
    assert describe_tally(counts) == said


def test_files_with_another_label_than_the_index_are_no_duplicates() -> None:
    said = describe_tally(tally_batch(RECORD, own(accepted=7), relabelled=2))
    assert said == (
        "15 found: 7 accepted, 2 refused, 2 of known images with another label, 1 duplicates, "
        "3 left out"
    )


def test_a_record_of_an_earlier_release_adds_up_too() -> None:
    counts = tally_batch({"files": 12, "images": 9}, own(accepted=8))
    assert counts == {"found": 12, "accepted": 8, "refused": 3, "duplicates": 1}


def test_an_empty_batch_has_nothing() -> None:
    assert describe_tally(tally_batch({"files": 0, "images": 0}, own())) == "0 found: nothing"


def test_common_reasons_are_told_with_the_first_name_and_rare_ones_together() -> None:
    reasons = ["torn"] * 2 + [f"reason {n}" for n in range(MAXIMUM_REASONS + 1)] + [""]
    paths = [f"a/\n{n}.png" for n in range(len(reasons))]
    said = describe_refused(pd.DataFrame({"refusal": reasons, "path": paths}))
    assert said[0] == r"Refused: 2 (torn), the first is 'a/\n0.png'."
    assert said[-1] == "Refused: 2 for other reasons (index/quarantine)."
    assert len(said) == MAXIMUM_REASONS + 1
