"""What waits, and for what."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from image_classification.intake.waiting import (
    count_changes,
    count_corrected,
    describe_missing,
    judge_changes,
    list_due_batches,
    list_held_batches,
)

SCREENED = {"verdict": "accepted", "images": 3}


def tabulate(*ids: str, label: str = "ring") -> pd.DataFrame:
    return pd.DataFrame({"image_id": ids, "label": label})


def tell(*rows: tuple[str, str]) -> pd.DataFrame:
    """Return the log of an index: the batch of each row, and when it was reviewed."""
    return pd.DataFrame(rows, columns=["batch", "reviewed_at"])


def review(batch: str, at: str) -> dict[str, str]:
    return {"batch": batch, "at": at}


class TestDueBatches:
    def test_what_has_arrived_is_due(self) -> None:
        assert list_due_batches(["b", "a"], [], {}, [], tell()) == ["a", "b"]

    def test_what_was_taken_in_and_not_screened_is_due(self) -> None:
        assert list_due_batches([], ["a"], {}, [], tell(("a", ""))) == ["a"]

    def test_what_was_screened_and_not_indexed_is_due_where_it_has_an_image(self) -> None:
        empty = {**SCREENED, "images": 0}
        assert list_due_batches([], ["a"], {"a": SCREENED}, [], tell()) == ["a"]
        assert list_due_batches([], ["a"], {"a": empty}, [], tell()) == []

    def test_what_is_screened_and_indexed_is_done(self) -> None:
        assert list_due_batches([], ["a"], {"a": SCREENED}, [], tell(("a", ""))) == []

    def test_an_answer_is_due_until_the_index_has_it(self) -> None:
        answers = [review("a", "monday")]
        known = {"a": SCREENED}
        for log, due in (
            (tell(("a", "")), ["a"]),
            (tell(("a", ""), ("a", "monday")), []),
            (tell(("a", ""), ("b", "monday")), ["a"]),
            (tell(("a", "sunday")), ["a"]),
        ):
            assert list_due_batches([], ["a"], known, answers, log) == due


@pytest.mark.parametrize(
    ("verdict", "waits"),
    [("held", True), ("quarantined", True), ("accepted", False), ("waiting", False)],
)
def test_a_person_is_asked_about_what_is_held_or_in_quarantine(verdict: str, waits: bool) -> None:
    screenings: dict[str, Any] = {"a": {"verdict": verdict}}
    assert list_held_batches(screenings, []) == (["a"] if waits else [])
    assert list_held_batches(screenings, [review("a", "monday")]) == []
    assert list_held_batches(screenings, [review("b", "monday")]) == (["a"] if waits else [])


def test_what_a_night_waits_for_is_said_with_how_many_patients_are_known() -> None:
    assert describe_missing([], 3) == ""
    lacks = ["the split validation has 0 patients of ring", "at least 2 are needed"]
    assert describe_missing(lacks, 14) == (
        "Waiting for more: the split validation has 0 patients of ring; at least 2 are needed. "
        "14 patients are known."
    )
    assert describe_missing(lacks, 1).endswith("needed. 1 patient is known.")


def test_images_that_are_gone_or_labelled_anew_count_as_changes() -> None:
    known = pd.concat([tabulate("a", "b"), tabulate("c", label="healthy")])
    assert count_changes(tabulate("a", "c", "d"), known) == (2, 2)
    assert count_changes(known, known) == (0, 0)
    assert count_corrected(tabulate("a", "c", "d"), known) == 1
    assert count_corrected(known, known) == 0


def test_labels_that_were_corrected_are_said_to_be() -> None:
    said = "1 new images since version 7, 1 gone, 1 of both the same with another label"
    assert judge_changes(1, 1, 2, "7", 1) == (True, said)


@pytest.mark.parametrize(
    ("new", "gone", "minimum", "said"),
    [
        (2, 0, 2, (True, "2 new images since version 7")),
        (1, 1, 2, (True, "1 new images since version 7, 1 gone")),
        (0, 0, 0, (True, "0 new images since version 7")),
        (
            1,
            0,
            2,
            (False, "1 new images since version 7: waiting for 2 (training.min_new_images)."),
        ),
    ],
)
def test_a_night_waits_for_as_many_changes_as_are_asked_for(
    new: int, gone: int, minimum: int, said: tuple[bool, str]
) -> None:
    assert judge_changes(new, gone, minimum, "7") == said
